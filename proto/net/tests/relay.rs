//! Links through a relay.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a story that cannot go on fails"
)]

mod common;

use common::{Device, PATIENCE, frame, key, loopback, number, soon};
use futures::StreamExt;
use lanchat_net::{
    Channel, DialId, DialTarget, Link, NetConfig, NetEvent, NetHandle, NetLimits, Opened, RelayLimits,
    RelayRole, multiaddr_of,
};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::wire::Endpoint;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, Swarm, SwarmBuilder, identify, noise, relay, tcp, yamux};
use std::time::{Duration, Instant};

/// A relay that lets everybody in, as one user each or without naming one, and answers each frame with the same.
struct Relay {
    net: NetHandle,
    at: Endpoint,
}

impl Relay {
    async fn new(limits: RelayLimits) -> Self {
        Self::start(limits, loopback(0), true).await
    }

    async fn start(limits: RelayLimits, at: Endpoint, members: bool) -> Self {
        let config = NetConfig {
            relay: RelayRole::Server(limits),
            limits: NetLimits { unproved_per_source: 100, ..NetLimits::default() },
            ..NetConfig::new(key(200), vec![Channel::Link])
        };
        let Device { net, mut events, at } = Device::start(config, at).await;
        tokio::spawn(async move {
            let mut links = std::collections::BTreeMap::new();
            while let Some(event) = events.recv().await {
                match event {
                    NetEvent::Opened(opened) => {
                        if members {
                            opened.link.admit_user(user(&opened.device));
                        } else {
                            opened.link.admit();
                        }
                        links.insert(opened.link.id(), opened.link);
                    }
                    NetEvent::Frame { link, frame } => links[&link].send(frame).unwrap(),
                    NetEvent::Closed { link, .. } => drop(links.remove(&link)),
                    _ => {}
                }
            }
        });
        Self { net, at }
    }

    fn id(&self) -> DeviceId {
        self.net.device()
    }
}

fn user(device: &DeviceId) -> [u8; 16] {
    device.as_bytes()[..16].try_into().unwrap()
}

/// A device that uses relays.
async fn client(seed: u8) -> Device {
    let config = NetConfig { relay: RelayRole::Client, ..NetConfig::new(key(seed), vec![Channel::Link]) };
    Device::start(config, loopback(0)).await
}

/// Links to the relay.
async fn join(device: &mut Device, relay: &Relay) -> Link {
    device.dial(1000, Some(relay.id()), vec![relay.at]);
    let opened = device.opened().await;
    opened.link.admit();
    opened.link
}

async fn reserved(device: &mut Device, relay: &Relay) {
    loop {
        match device.event().await {
            NetEvent::Reserved { relay: told } => return assert_eq!(told, relay.id()),
            NetEvent::ReservationLost { .. } | NetEvent::Closed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// A member that can be reached.
async fn member(seed: u8, relay: &Relay) -> (Device, Link) {
    let mut device = client(seed).await;
    let link = join(&mut device, relay).await;
    device.net.reserve(relay.id(), relay.at);
    reserved(&mut device, relay).await;
    (device, link)
}

fn circuit(from: &NetHandle, dial: u64, to: DeviceId, relay: &Relay) {
    let target = DialTarget {
        device: Some(to),
        endpoints: vec![relay.at],
        channel: Channel::Link,
        via: Some(relay.id()),
    };
    from.dial(DialId(dial), target).unwrap();
}

/// A relayed link, admitted at both ends.
async fn relayed(a: &mut Device, b: &mut Device, relay: &Relay) -> (Link, Link) {
    circuit(&a.net, 1, b.id(), relay);
    let (at_a, at_b) = (a.opened().await, b.opened().await);
    at_a.link.admit();
    at_b.link.admit();
    (at_a.link, at_b.link)
}

#[tokio::test]
async fn a_circuit_is_a_link_and_a_direct_one_can_be_had_beside_it() {
    let relay = Relay::new(RelayLimits::default()).await;
    let (mut a, to_relay) = member(1, &relay).await;
    let (mut b, _to_relay) = member(2, &relay).await;
    circuit(&a.net, 1, b.id(), &relay);
    let (at_a, at_b) = (a.opened().await, b.opened().await);
    assert_eq!((at_a.device, at_b.device), (b.id(), a.id()));
    assert_eq!((at_a.dialler, at_a.dial, at_b.dialler, at_b.dial), (true, Some(DialId(1)), false, None));
    assert!(at_a.relayed && at_b.relayed);
    assert_eq!((at_a.remote, at_b.remote), (relay.at, relay.at));
    at_a.link.admit();
    at_b.link.admit();
    for round in 0..50 {
        at_a.link.send(frame(round, 5000)).unwrap();
        assert_eq!(number(&b.frame().await), round);
        at_b.link.send(frame(round, 50)).unwrap();
        assert_eq!(number(&a.frame().await), round);
    }
    let stats = relay.net.relay_stats().await.unwrap();
    assert_eq!((stats.reservations, stats.circuits, stats.users.len(), stats.restarts), (2, 1, 2, 0));
    let of = |device: &Device| *stats.users.iter().find(|known| known.user == user(&device.id())).unwrap();
    assert!(of(&a).bytes >= 250_000 && of(&a).circuits == 1, "{stats:?}");
    assert!((2500..250_000).contains(&of(&b).bytes) && of(&b).circuits == 0, "{stats:?}");
    assert_eq!(stats.bytes, of(&a).bytes + of(&b).bytes);
    to_relay.send(frame(0, 100_000)).unwrap();
    a.frame().await;
    assert_eq!(relay.net.relay_stats().await.unwrap().bytes, stats.bytes, "only circuits are counted");

    a.dial(2, Some(b.id()), vec![b.at]);
    let direct = a.opened().await;
    assert!(!direct.relayed && !b.opened().await.relayed);
    assert_eq!(direct.remote, b.at);
    at_a.link.close(lanchat_net::Close::Now);
    a.closed().await;
    b.closed().await;
    soon("the circuit ends", async {
        while relay.net.relay_stats().await.unwrap().circuits > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_circuit_that_cannot_be_says_why() {
    let relay = Relay::new(RelayLimits::default()).await;
    let (mut a, _to_relay) = member(1, &relay).await;
    let mut b = client(2).await;
    let reason = async |dial: u64, a: &mut Device, to: DeviceId| {
        circuit(&a.net, dial, to, &relay);
        let failure = a.dial_failed().await;
        assert_eq!(failure.attempts.len(), 1, "{failure:?}");
        assert_eq!(failure.attempts[0].0, relay.at);
        failure.reason
    };
    assert_eq!(reason(1, &mut a, b.id()).await, "it has no reservation at the relay");
    assert_eq!(reason(2, &mut b, a.id()).await, "no connection to the relay");
    join(&mut b, &relay).await;
    // To be reached takes a reservation, to reach others does not.
    circuit(&b.net, 3, a.id(), &relay);
    assert!(b.opened().await.relayed && a.opened().await.relayed);
    b.net.reserve(relay.id(), relay.at);
    reserved(&mut b, &relay).await;
    b.net.release();
    soon("it is given up", async {
        loop {
            circuit(&a.net, 4, b.id(), &relay);
            tokio::select! {
                event = a.event() => if let NetEvent::DialFailed(failure) = event {
                    break assert_eq!((failure.dial, &*failure.reason), (DialId(4), "it did not take the circuit"));
                },
                event = b.event() => assert!(matches!(event, NetEvent::Opened(_) | NetEvent::Closed { .. })),
            }
        }
    })
    .await;
}

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
struct Standard {
    identify: identify::Behaviour,
    relay: relay::client::Behaviour,
}

/// Another libp2p program that looks for a relay.
fn stranger() -> Swarm<Standard> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key, relay| Standard {
            identify: identify::Behaviour::new(identify::Config::new("any/1".to_owned(), key.public())),
            relay,
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE * 3))
        .build()
}

/// What a stranger hears from identify, and what it is told when it asks for a reservation.
async fn probe(at: Endpoint, device: &DeviceId) -> (Vec<String>, String) {
    let mut stranger = stranger();
    let relay: Multiaddr = multiaddr_of(&at, device).parse().unwrap();
    stranger.dial(relay.clone()).unwrap();
    let (mut names, mut refusal) = (None, None);
    soon("the stranger is answered", async {
        while names.is_none() || refusal.is_none() {
            match stranger.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => {
                    stranger.listen_on(format!("{relay}/p2p-circuit").parse().unwrap()).unwrap();
                }
                SwarmEvent::Behaviour(StandardEvent::Identify(identify::Event::Received {
                    info, ..
                })) => {
                    assert!(info.listen_addrs.is_empty(), "{info:?}");
                    names = Some(info.protocols.iter().map(ToString::to_string).collect::<Vec<_>>());
                }
                SwarmEvent::ListenerClosed { reason, .. } => refusal = Some(format!("{reason:?}")),
                SwarmEvent::NewListenAddr { address, .. } => panic!("a reservation: {address}"),
                _ => {}
            }
        }
    })
    .await;
    (names.unwrap(), refusal.unwrap())
}

#[tokio::test]
async fn strangers_are_not_told_of_a_relay_and_get_nothing_of_it() {
    let relay = Relay::new(RelayLimits::default()).await;
    let (member, _to_relay) = member(1, &relay).await;
    for (at, device) in [(relay.at, relay.id()), (member.at, member.id())] {
        let (names, refusal) = probe(at, &device).await;
        assert!(names.contains(&"/ipfs/id/1.0.0".to_owned()), "{names:?}");
        assert!(!names.iter().any(|name| name.contains("circuit") || name.contains("lanchat")), "{names:?}");
        assert!(refusal.contains("Unsupported"), "{refusal}");
    }
    assert_eq!(relay.net.relay_stats().await.unwrap().reservations, 1);
}

#[tokio::test]
async fn who_is_let_in_but_named_as_no_user_gets_no_reservation() {
    let relay = Relay::start(RelayLimits::default(), loopback(0), false).await;
    let mut device = client(1).await;
    join(&mut device, &relay).await;
    device.net.reserve(relay.id(), relay.at);
    match device.event().await {
        NetEvent::ReservationLost { reason, .. } => assert!(reason.contains("Reservation"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(relay.net.relay_stats().await.unwrap().reservations, 0);
}

#[tokio::test]
async fn the_reservation_is_kept_through_restarts_of_the_relay_and_made_again_on_demand() {
    let mut relay = Relay::new(RelayLimits::default()).await;
    let (mut a, _to_relay) = member(1, &relay).await;
    for _ in 0..3 {
        relay.net.shutdown().await;
        let (mut lost, mut closed) = (false, false);
        while !lost || !closed {
            match a.event().await {
                NetEvent::ReservationLost { .. } => lost = true,
                NetEvent::Closed { .. } => closed = true,
                other => panic!("{other:?}"),
            }
        }
        relay = Relay::start(RelayLimits::default(), relay.at, true).await;
        join(&mut a, &relay).await;
        reserved(&mut a, &relay).await;
    }
    a.net.release();
    a.net.reserve(relay.id(), relay.at);
    // At once, while the request may still be on its way.
    a.net.release();
    a.net.reserve(relay.id(), relay.at);
    let (mut b, _to_relay) = member(2, &relay).await;
    soon("A can be reached again", async {
        for dial in 0.. {
            circuit(&b.net, dial, a.id(), &relay);
            if let NetEvent::Opened(opened) = b.event().await {
                assert!(opened.relayed);
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_reservation_is_renewed_before_it_ends() {
    let limits = RelayLimits { reservation_time: Duration::from_secs(2), ..RelayLimits::default() };
    let relay = Relay::new(limits).await;
    let (mut a, _to_relay) = member(1, &relay).await;
    let (mut b, _to_relay) = member(2, &relay).await;
    // Nothing is lost while more than two of them would have ended.
    assert!(tokio::time::timeout(Duration::from_secs(5), a.events.recv()).await.is_err());
    relayed(&mut b, &mut a, &relay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forty_devices_reach_one_at_the_same_instant() {
    let relay = Relay::new(RelayLimits::default()).await;
    let (mut target, _to_relay) = member(1, &relay).await;
    let mut dialers = Vec::new();
    for seed in 2..42 {
        let mut device = client(seed).await;
        let link = join(&mut device, &relay).await;
        dialers.push((device, link));
    }
    let to = target.id();
    let all = tokio::spawn(async move {
        let mut seen = std::collections::BTreeMap::new();
        while seen.len() < 40 {
            if let NetEvent::Opened(Opened { device, link, .. }) = target.event().await {
                link.admit();
                seen.insert(device, link);
            }
        }
        (target, seen)
    });
    for (device, _) in &dialers {
        circuit(&device.net, 0, to, &relay);
    }
    let mut retries = 0;
    let mut links = Vec::new();
    for (device, _) in &mut dialers {
        for dial in 1.. {
            match device.event().await {
                NetEvent::Opened(opened) => {
                    links.push(opened.link);
                    break;
                }
                NetEvent::DialFailed(failure) => {
                    assert!(dial < 5, "{failure:?}");
                    retries += 1;
                    circuit(&device.net, dial, to, &relay);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(retries < 20, "{retries}");
    all.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_slows_down_and_cuts_nothing_and_the_control_stream_does_not_wait() {
    const RATE: u64 = 512 * 1024;
    const FRAMES: u32 = 40;
    let relay = Relay::new(RelayLimits { per_user: RATE, ..RelayLimits::default() }).await;
    let (mut a, to_relay) = member(1, &relay).await;
    let (mut b, _to_relay) = member(2, &relay).await;
    let (at_a, _at_b) = relayed(&mut a, &mut b, &relay).await;
    let start = Instant::now();
    for sent in 0..FRAMES {
        at_a.send(frame(sent, 64 * 1024)).unwrap();
    }
    let asks = tokio::spawn(async move {
        let mut answers = Vec::new();
        let mut every = tokio::time::interval(Duration::from_millis(50));
        while at_a.queued() > 0 {
            every.tick().await;
            let asked = Instant::now();
            to_relay.send(frame(7, 8)).unwrap();
            assert_eq!(number(&a.frame().await), 7);
            answers.push(asked.elapsed());
        }
        (answers, a)
    });
    for expected in 0..FRAMES {
        assert_eq!(number(&b.frame().await), expected);
    }
    // 2.5 MiB less a burst.
    let took = start.elapsed();
    assert!(took > Duration::from_millis(4500), "{took:?}");
    let (answers, _a) = asks.await.unwrap();
    assert!(answers.len() > 10 && answers.iter().all(|took| *took < Duration::from_secs(1)), "{answers:?}");
}

#[tokio::test]
async fn reservations_and_circuits_are_bounded_and_renewals_are_not() {
    let limits = RelayLimits {
        reservations: 1,
        circuits: 1,
        reservation_time: Duration::from_secs(1),
        ..RelayLimits::default()
    };
    let relay = Relay::new(limits).await;
    let (mut a, _to_relay) = member(1, &relay).await;
    let mut b = client(2).await;
    join(&mut b, &relay).await;
    b.net.reserve(relay.id(), relay.at);
    assert!(matches!(b.event().await, NetEvent::ReservationLost { .. }));
    relayed(&mut b, &mut a, &relay).await;
    let mut c = client(3).await;
    join(&mut c, &relay).await;
    circuit(&c.net, 1, a.id(), &relay);
    c.dial_failed().await;
    assert!(tokio::time::timeout(Duration::from_secs(2), a.events.recv()).await.is_err(), "still reserved");
}
