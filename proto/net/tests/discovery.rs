//! Devices find each other in the local network: mDNS over loopback, on a UDP port of its own for each story, so that no
//! other program hears or answers. Networks that change are left to the stories of the network lab.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a story that cannot go on fails"
)]

mod common;

use common::{key, loopback, soon};
use lanchat_net::{
    Announced, Discovery, DiscoveryConfig, DiscoveryEvent, DiscoveryState, Found, Lost, Service,
};
use lanchat_proto::ids::{DeviceId, RealmId};
use lanchat_proto::wire::Endpoint;
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Receiver;

const REALM: RealmId = RealmId([3; 32]);

fn device(seed: u8) -> DeviceId {
    key(seed).public()
}

fn everywhere(realm: RealmId, port: u16) -> Announced {
    Announced { realm, listen: vec![Endpoint::new(([0, 0, 0, 0], port).into())] }
}

/// A UDP port that no other test uses.
fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(seed: u8, udp_port: u16, announced: Announced) -> (Discovery, Receiver<DiscoveryEvent>) {
    let config = DiscoveryConfig::new(device(seed), Service::Node, announced);
    Discovery::start(DiscoveryConfig { loopback: true, udp_port, ..config })
}

/// The next finding of a device that has an address there; adapters may tell of more than loopback.
async fn found(events: &mut Receiver<DiscoveryEvent>, seed: u8, realm: RealmId, port: u16) -> Found {
    let next = async {
        loop {
            match events.recv().await {
                Some(DiscoveryEvent::Found(found)) => {
                    assert_eq!(found.device, device(seed));
                    let at = loopback(port);
                    if found.realm == realm && found.endpoints.contains(&at) {
                        return found;
                    }
                }
                Some(DiscoveryEvent::Lost(_)) => {}
                None => panic!("the search ended"),
            }
        }
    };
    soon("a device", next).await
}

/// The next loss of a device.
async fn lost(events: &mut Receiver<DiscoveryEvent>, seed: u8, realm: RealmId) {
    let lost = Lost { service: Service::Node, device: device(seed), realm };
    let next = async {
        while let Some(event) = events.recv().await {
            if event == DiscoveryEvent::Lost(lost) {
                return;
            }
        }
        panic!("the search ended");
    };
    soon("a loss", next).await;
}

#[tokio::test]
async fn two_devices_find_each_other_and_say_goodbye() {
    let udp = free_port();
    let (alice, mut hers) = start(1, udp, everywhere(REALM, 7420));
    let (bob, mut his) = start(2, udp, everywhere(RealmId::OPEN, 7430));
    let seen = found(&mut hers, 2, RealmId::OPEN, 7430).await;
    assert_eq!((seen.service, seen.version), (Service::Node, 1));
    found(&mut his, 1, REALM, 7420).await;

    let status = bob.status();
    assert_eq!((status.state, status.devices), (DiscoveryState::Running, 1));
    assert!(status.announcements > 0 && status.heard.is_some() && !status.interfaces.is_empty());

    let asked = Instant::now();
    alice.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    lost(&mut his, 1, REALM).await;
    // Much sooner than the two minutes after which the silent are forgotten.
    assert_eq!(bob.status().devices, 0);
    bob.stop().await;
}

#[tokio::test]
async fn a_changed_port_and_realm_are_seen() {
    let udp = free_port();
    let (alice, _) = start(3, udp, everywhere(RealmId::OPEN, 7420));
    let (_bob, mut his) = start(4, udp, Announced { realm: RealmId::OPEN, listen: vec![] });
    found(&mut his, 3, RealmId::OPEN, 7420).await;
    alice.announce(everywhere(RealmId::OPEN, 7425));
    found(&mut his, 3, RealmId::OPEN, 7425).await;
    alice.announce(everywhere(REALM, 7425));
    found(&mut his, 3, REALM, 7425).await;
    alice.announce(Announced { realm: REALM, listen: vec![] });
    lost(&mut his, 3, REALM).await;
}

#[tokio::test]
async fn who_looks_no_more_loses_all_and_finds_them_again_when_it_looks_again() {
    let udp = free_port();
    let only = Announced { realm: REALM, listen: vec![loopback(7420)] };
    let (_alice, _) = start(6, udp, only);
    let (bob, mut his) = start(7, udp, everywhere(REALM, 7430));
    found(&mut his, 6, REALM, 7420).await;
    bob.search(vec![Service::Coordinator]);
    lost(&mut his, 6, REALM).await;
    bob.search(vec![Service::Node]);
    found(&mut his, 6, REALM, 7420).await;
}

#[tokio::test]
async fn a_port_that_cannot_be_shared_is_told_and_tried_again() {
    // Not set up to be shared, as some other program's may be; in both families, since one is enough to run.
    let taken6 = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    taken6.set_only_v6(true).unwrap();
    taken6.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into()).unwrap();
    let udp = taken6.local_addr().unwrap().as_socket().unwrap().port();
    let taken = UdpSocket::bind(("0.0.0.0", udp)).unwrap();
    let (alice, _events) = start(5, udp, everywhere(RealmId::OPEN, 7420));
    let told = async {
        loop {
            match alice.status().state {
                DiscoveryState::Waiting(error) => return error.to_string(),
                DiscoveryState::Running | DiscoveryState::Stopped => panic!("it runs"),
                DiscoveryState::Starting => tokio::task::yield_now().await,
            }
        }
    };
    let told = soon("the reason", told).await;
    assert!(told.contains(&format!("UDP port {udp} cannot be opened")), "{told}");
    drop((taken, taken6));
    alice.refresh();
    let runs = async {
        while alice.status().state != DiscoveryState::Running {
            tokio::task::yield_now().await;
        }
    };
    soon("the next attempt", runs).await;
    alice.stop().await;
}
