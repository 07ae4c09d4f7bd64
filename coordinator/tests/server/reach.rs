//! Ways of devices to each other through the coordinator, and of devices to the coordinator.

use crate::stage::{Client, DEADLINE, command, config, json, start};
use lanchat_coordinator::Server;
use lanchat_net::{Announced, Discovery, DiscoveryConfig, DiscoveryEvent, Link, NetEvent, Service};
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::RealmId;
use lanchat_proto::limits::MAX_TEXT;
use lanchat_proto::signed::SecretKey;
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::reach::{
    DialMe, Dialled, DialledPort, DialledYou, Introduce, Introduced, Introduction, Knock, RelayTerms, Way,
};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::timeout;

async fn introduced(client: &mut Client, other: &Client, way: Way) -> Introduction {
    client.say(Kind::Introduce, &Introduce { request: 7, device: other.key.public(), way });
    client.hear(Kind::Introduction).await
}

/// Two members with a circuit between them, and its two ends.
async fn circuit(server: &Server) -> (Client, Client, Link, Link) {
    let mut alice = Client::member(server, 1, "alice").await;
    let mut bob = Client::member(server, 2, "bob").await;
    assert!(alice.reserve(server).await && bob.reserve(server).await);
    assert_eq!(introduced(&mut alice, &bob, Way::Circuit).await.outcome, Introduced::Yes);
    alice.dial_through(server, &bob);
    let (at_alice, at_bob) = (alice.opened().await, bob.opened().await);
    assert!(at_alice.relayed && at_bob.relayed);
    assert_eq!((at_alice.device, at_bob.device), (bob.key.public(), alice.key.public()));
    at_alice.link.admit();
    at_bob.link.admit();
    (alice, bob, at_alice.link, at_bob.link)
}

/// Asks until the coordinator's figures are so.
async fn figures(dir: &Path, holds: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let begun = Instant::now();
    loop {
        let figures = json(dir, &["relay"]).await;
        if holds(&figures) {
            return figures;
        }
        assert!(begun.elapsed() < DEADLINE, "{figures}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_have_a_circuit_until_one_is_kicked() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let (mut alice, mut bob, at_alice, _at_bob) = circuit(&server).await;
    let terms: RelayTerms = alice.hear(Kind::RelayTerms).await;
    assert_eq!(terms, RelayTerms { per_user: 2_000_000, total: 20_000_000 });
    let long = Frame { kind: Kind::Heartbeat.number(), payload: vec![7; MAX_TEXT] };
    at_alice.send(long.clone()).unwrap();
    let heard = |event: &NetEvent| match event {
        NetEvent::Frame { frame, .. } => Some(frame.clone()),
        _ => None,
    };
    assert_eq!(bob.notice(heard).await, long);

    let told = json(dir.path(), &["relay"]).await;
    assert_eq!(
        (&told["relay"], &told["per_user"], &told["total"]),
        (&true.into(), &2_000_000.into(), &20_000_000.into())
    );
    assert_eq!(
        (&told["reservations"], &told["circuits"], &told["restarts"]),
        (&2.into(), &1.into(), &0.into())
    );
    assert_eq!((&told["users"][0]["name"], &told["users"][0]["circuits"]), (&"alice".into(), &1.into()));
    assert!(told["users"][0]["bytes"].as_u64().unwrap() >= MAX_TEXT as u64, "{told}");
    assert!(told["bytes"].as_u64() >= told["users"][0]["bytes"].as_u64());
    let stats = json(dir.path(), &["stats"]).await;
    assert_eq!(
        (&stats["relay_circuits"], &stats["introductions"], &stats["mdns"]),
        (&1.into(), &1.into(), &"off".into())
    );
    let table = String::from_utf8(command(dir.path(), &["relay"]).await.stdout).unwrap();
    assert!(table.contains("circuits      1\n") && table.contains("\nalice "), "{table}");

    json(dir.path(), &["kick", "bob"]).await;
    alice.link_closed(&at_alice).await;
    bob.until_closed().await;
    figures(dir.path(), |told| told["circuits"] == 0 && told["reservations"] == 1).await;
    // Back without a sign-in, it is a stranger.
    bob.reconnect(&server).await;
    assert!(!bob.reserve(&server).await);
    bob.dial_through(&server, &alice);
    bob.dial_failed().await;
    assert_eq!(json(dir.path(), &["relay"]).await["reservations"], 1);
    server.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_slows_a_user_down_and_cuts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut small = config(dir.path());
    (small.relay_per_user, small.relay_total) = (Some(100_000), Some(200_000));
    let server = Server::bind(small).await.unwrap();
    let (_alice, mut bob, at_alice, _at_bob) = circuit(&server).await;
    let begun = Instant::now();
    let sent = |n: u8| Frame { kind: Kind::Heartbeat.number(), payload: vec![n; 50_000] };
    (0..5).for_each(|n| at_alice.send(sent(n)).unwrap());
    for n in 0..5 {
        let frame = |event: &NetEvent| match event {
            NetEvent::Frame { frame, .. } => Some(frame.clone()),
            _ => None,
        };
        assert_eq!(bob.notice(frame).await, sent(n));
    }
    // 250 kB, of which a little goes at once.
    assert!(begun.elapsed() > Duration::from_millis(1200), "{:?}", begun.elapsed());
    server.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_gets_neither_a_reservation_nor_a_circuit() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut alice = Client::member(&server, 1, "alice").await;
    assert!(alice.reserve(&server).await);
    let mut stranger = Client::connect(&server, 2).await;
    assert!(!stranger.reserve(&server).await);
    stranger.dial_through(&server, &alice);
    stranger.dial_failed().await;
    // An account alone does not make a member of a device either.
    stranger.ask_register("bob");
    stranger.enrolled().await;
    stranger.dial_through(&server, &alice);
    stranger.dial_failed().await;
    stranger.sign_in().await;
    stranger.dial_through(&server, &alice);
    assert!(stranger.opened().await.relayed);
    server.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_relay_is_off_nobody_is_carried_and_everybody_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut off = config(dir.path());
    off.relay = Some(false);
    let server = Server::bind(off).await.unwrap();
    let mut alice = Client::member(&server, 1, "alice").await;
    let mut bob = Client::member(&server, 2, "bob").await;
    assert_eq!(introduced(&mut alice, &bob, Way::Circuit).await.outcome, Introduced::NoRelay);
    assert!(!bob.reserve(&server).await);
    assert_eq!(introduced(&mut alice, &bob, Way::DialBack).await.outcome, Introduced::Yes);
    let knock: Knock = bob.hear(Kind::Knock).await;
    assert_eq!(knock.device.device, alice.key.public());
    let told = json(dir.path(), &["relay"]).await;
    assert_eq!(
        (&told["relay"], &told["total"], &told["reservations"]),
        (&false.into(), &().into(), &0.into())
    );
    server.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_learns_whether_it_can_be_dialled() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut alice = Client::member(&server, 1, "alice").await;
    let loopback = Endpoint::new("127.0.0.1:0".parse().unwrap());
    let open = alice.net.listen(loopback).await.unwrap().port();
    // Another program's port, which the device is not behind.
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = other.local_addr().unwrap().port();
    drop(other);
    let mut ports = [open, closed];
    alice.say(Kind::DialMe, &DialMe { request: 8, ports: BoundedVec::first(ports) });
    let told: DialledYou = alice.hear(Kind::DialledYou).await;
    ports.sort_unstable();
    let expected = ports.map(|port| DialledPort {
        port,
        outcome: if port == open { Dialled::Reached } else { Dialled::Failed },
    });
    assert_eq!((told.request, &*told.ports), (8, &expected[..]));
    let opened = alice.opened().await;
    assert_eq!(opened.device, server.info().device);
    alice.link_closed(&opened.link).await;
    assert_eq!(json(dir.path(), &["stats"]).await["probes"], 1);
    server.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_found_in_the_local_network_until_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut announced = config(dir.path());
    announced.mdns = true;
    let server = Server::bind(announced).await.unwrap();
    let (device, realm) = (server.info().device, server.info().realm);
    let nothing = Announced { realm: RealmId::OPEN, listen: Vec::new() };
    let own = SecretKey::from_seed(&[9; 32]).public();
    let mut looking = DiscoveryConfig::new(own, Service::Node, nothing);
    (looking.loopback, looking.browse) = (true, vec![Service::Coordinator]);
    let (_discovery, mut events) = Discovery::start(looking);
    let found = async {
        loop {
            if let DiscoveryEvent::Found(found) = events.recv().await.unwrap()
                && found.device == device
            {
                return found;
            }
        }
    };
    let found = timeout(DEADLINE, found).await.expect("found");
    assert_eq!((found.service, found.realm), (Service::Coordinator, realm));
    assert!(found.endpoints.contains(&server.info().endpoints[0]));
    assert_eq!(json(dir.path(), &["stats"]).await["mdns"], "running");
    server.shutdown().await.unwrap();
    let lost = async {
        loop {
            if let DiscoveryEvent::Lost(lost) = events.recv().await.unwrap()
                && lost.device == device
            {
                return;
            }
        }
    };
    timeout(DEADLINE, lost).await.expect("goodbye");
}
