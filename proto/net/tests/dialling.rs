//! What a dial comes to.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a story that cannot go on fails"
)]

mod common;

use common::{Device, frame, key, loopback, number, soon};
use lanchat_net::{Channel, DialId, DialTarget, Net, NetConfig, NetEvent};
use lanchat_proto::wire::Endpoint;
use std::time::{Duration, Instant};

/// Loopback addresses where nobody listens.
fn dead(count: u8) -> Vec<Endpoint> {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    (1..=count).map(|last| Endpoint::new(([127, 0, 1, last], port).into())).collect()
}

/// A listener that accepts and never says a word.
fn silent() -> (std::net::TcpListener, Endpoint) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = Endpoint::new(listener.local_addr().unwrap());
    (listener, at)
}

#[tokio::test]
async fn dead_addresses_ahead_of_the_good_one_hardly_delay_it() {
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    let (_held, silent) = silent();
    let mut endpoints = dead(9);
    endpoints.push(silent);
    endpoints.push(b.at);
    let start = Instant::now();
    a.dial(1, Some(b.id()), endpoints.clone());
    let opened = a.opened().await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(opened.remote, b.at);
    b.opened().await;
    // A coordinator that is not known yet: address by address, but the silent one holds nothing up.
    let start = Instant::now();
    a.dial(2, None, endpoints);
    assert_eq!(a.opened().await.device, b.id());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test]
async fn of_several_good_addresses_the_first_is_taken() {
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    let second = b.net.listen(loopback(0)).await.unwrap();
    assert!(matches!(b.event().await, NetEvent::Listening(_)));
    for (dial, endpoints) in [(1, vec![b.at, second]), (2, vec![second, b.at])] {
        let best = endpoints[0];
        a.dial(dial, Some(b.id()), endpoints);
        assert_eq!(a.opened().await.remote, best);
    }
}

#[tokio::test]
async fn only_the_expected_device_will_do_and_a_reused_address_does_not_spoil_the_rest() {
    let (mut a, b, mut c) = (Device::new(1).await, Device::new(2).await, Device::new(3).await);
    a.dial(1, Some(c.id()), vec![b.at]);
    let failure = a.dial_failed().await;
    assert_eq!(failure.dial, DialId(1));
    assert_eq!(failure.attempts, [(b.at, "another device answered".to_owned())]);
    assert_eq!(failure.reason, "another device answered");
    a.dial(2, Some(c.id()), vec![b.at, c.at]);
    assert_eq!(a.opened().await.device, c.id());
    assert_eq!(c.opened().await.device, a.id());
}

#[tokio::test]
async fn a_dial_that_nobody_answers_says_what_happened_where() {
    let mut a = Device::new(1).await;
    a.dial(1, Some(key(2).public()), dead(3));
    let failure = a.dial_failed().await;
    assert_eq!(failure.attempts.len(), 3);
    assert!(failure.attempts.iter().all(|(_, error)| error.contains("refused")), "{failure:?}");
    assert_eq!(failure.reason, "no address answered");
    a.dial(2, None, dead(2));
    assert_eq!(a.dial_failed().await.attempts.len(), 2);
    a.dial(3, Some(a.id()), vec![a.at]);
    assert_eq!(a.dial_failed().await.reason, "this is the own device");
    a.dial(4, None, vec![a.at]);
    assert_eq!(a.dial_failed().await.reason, "this is an address of this device itself");
}

#[tokio::test]
async fn a_service_that_is_not_offered_is_a_clear_failure() {
    let (a, b) = (Device::new(1).await, Device::new(2).await);
    let mut a = a;
    let target =
        DialTarget { device: Some(b.id()), endpoints: vec![b.at], channel: Channel::Coordinator, via: None };
    a.net.dial(DialId(1), target).unwrap();
    let failure = a.dial_failed().await;
    assert!(failure.reason.contains("does not offer this service"), "{failure:?}");
}

#[tokio::test]
async fn both_channels_can_be_offered_and_ipv6_works() {
    let config = NetConfig::new(key(2), Channel::ALL.to_vec());
    let (net, mut events) = Net::start(config).unwrap();
    let six: Endpoint = Endpoint::new("[::1]:0".parse().unwrap());
    let Ok(at) = net.listen(six).await else { return };
    assert_eq!(net.listen(loopback(at.port())).await, Ok(loopback(at.port())), "IPv4 is separate");
    let mut a = Device::new(1).await;
    for (dial, channel) in Channel::ALL.iter().enumerate() {
        let target = DialTarget { device: None, endpoints: vec![at], channel: *channel, via: None };
        a.net.dial(DialId(dial as u64), target).unwrap();
        let opened = a.opened().await;
        assert_eq!((opened.channel, opened.device, opened.remote), (*channel, net.device(), at));
        opened.link.send(frame(3, 3)).unwrap();
        let got = soon("both events", async {
            let mut channels = None;
            loop {
                match events.recv().await.unwrap() {
                    NetEvent::Opened(opened) => channels = Some(opened.channel),
                    NetEvent::Frame { frame, .. } => return (channels, number(&frame)),
                    _ => {}
                }
            }
        });
        assert_eq!(got.await, (Some(*channel), 3));
    }
}

#[tokio::test]
async fn a_device_has_at_most_four_connections() {
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    for dial in 0..4 {
        a.dial(dial, Some(b.id()), vec![b.at]);
        a.opened().await.link.admit();
        b.opened().await.link.admit();
    }
    a.dial(9, Some(b.id()), vec![b.at]);
    assert!(a.dial_failed().await.reason.contains("too many connections with this device"));
}
