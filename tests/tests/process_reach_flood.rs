//! Floods of connections that mean nothing, and colleagues who get through all the same.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a story that cannot go on has failed")]

mod papers;

use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::signed::SecretKey;
use lanchat_tests::flood::{Bother, Flood};
use lanchat_tests::lab::{AtHost, Host, Lab};
use lanchat_tests::search::resident;
use lanchat_tests::{Office, within};
use papers::{Door, Issuer, knock, stranger};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
const MIB: u64 = 1024 * 1024;
/// Connections of each kind.
const CROWD: usize = 1000;
/// Dials of a colleague in each flood, and the time between them.
const DIALS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(100);

/// A runtime whose tasks stand on a host.
fn on(host: &Host) -> tokio::runtime::Runtime {
    let here = host.clone();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().on_thread_start(move || here.enter());
    host.inside(|| builder.build().unwrap())
}

/// People with valid keys and no certificates, who say nothing, introduce themselves, or say far too much.
fn keyed_strangers(host: &Host, door: &Door, over: &AtomicBool) -> u64 {
    let runtime = on(host);
    let mut knocks = 0;
    while !over.load(Ordering::Relaxed) {
        let crowd: Vec<_> = (0..48_u8)
            .map(|n| {
                let mut seed = [n; 32];
                seed[..8].copy_from_slice(&(knocks + u64::from(n)).to_be_bytes());
                let (key, door) = (SecretKey::from_seed(&seed), *door);
                let frame = match n % 3 {
                    0 => None,
                    1 => Some(stranger(&key)),
                    _ => Some(Frame { kind: Kind::Hello.number(), payload: vec![7; 60_000] }),
                };
                runtime.spawn(async move { knock(&key, &door, frame).await.0 })
            })
            .collect();
        for one in crowd {
            assert!(!runtime.block_on(one).unwrap(), "a stranger was answered");
            knocks += 1;
        }
    }
    knocks
}

/// A colleague dials again and again; the time that was enough for 95 of 100, dial and hello together.
fn colleague_dials(host: &Host, door: &Door, issuer: &Issuer) -> Duration {
    let runtime = on(host);
    let mut times: Vec<Duration> = (0..DIALS)
        .map(|n| {
            std::thread::sleep(PAUSE);
            let mut seed = [0xc0; 32];
            seed[..4].copy_from_slice(&n.to_be_bytes());
            let key = SecretKey::from_seed(&seed);
            let frame = issuer.hello(&key);
            let door = *door;
            let dial = runtime.spawn(async move { knock(&key, &door, Some(frame)).await });
            let (answered, took) = runtime.block_on(dial).unwrap();
            assert!(answered, "dial {n} of a colleague came to nothing after {took:?}");
            took
        })
        .collect();
    times.sort();
    times[times.len() * 95 / 100 - 1]
}

#[test]
fn colleagues_get_through_every_flood() {
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let [alice, bob] = office.people_at([("alice", &lab.host()), ("bob", &lab.host())]);
    within(5 * SECOND, "they see each other", || alice.sees(&bob) && bob.sees(&alice));
    let (colleague, crowd) = (lab.host(), lab.host());
    let one = vec![crowd.address()];
    let fifty = lab.more_addresses(&crowd, 50);
    let target = SocketAddr::from((alice.host().address(), alice.port().unwrap()));
    let peer = alice.status()["peer_id"].as_str().unwrap().to_owned();
    let address = format!("/ip4/{}/tcp/{}/p2p/{peer}", target.ip(), target.port());
    let (endpoint, device) = lanchat_net::parse_multiaddr(&address).unwrap();
    let door = (endpoint, device.unwrap());
    let issuer = Issuer::of(&office);
    let process = alice.pid().unwrap();
    // Once without a flood, so that memory is what it is in use.
    let quiet = colleague_dials(&colleague, &door, &issuer);
    let before = resident(process).unwrap();
    println!("{quiet:?} without a flood; {} MiB", before / MIB);
    let talk = alice.talk_to(&bob, 10);

    let floods: [(&str, &[Ipv4Addr]); 2] = [("one address", &one), ("fifty addresses", &fifty)];
    for (from, sources) in floods {
        for bother in [Bother::Silent, Bother::Slow, Bother::Garbage, Bother::Oversize] {
            let flood = Flood::begin(&crowd, sources, target, bother, CROWD);
            within(20 * SECOND, "everybody has rung", || flood.opened() >= CROWD as u64);
            let p95 = colleague_dials(&colleague, &door, &issuer);
            let memory = resident(process).unwrap();
            println!(
                "{bother:?} from {from}: {} opened, dials {p95:?} (95 of 100), {} MiB",
                flood.opened(),
                memory / MIB
            );
            assert!(p95 < SECOND / 2, "{bother:?} from {from}: {p95:?}");
            assert!(memory < before + 64 * MIB, "{bother:?} from {from}: {} MiB", memory / MIB);
        }
    }
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let strangers = scope.spawn(|| keyed_strangers(&crowd, &door, &over));
        let p95 = colleague_dials(&colleague, &door, &issuer);
        over.store(true, Ordering::Relaxed);
        println!("{} strangers with keys, dials {p95:?} (95 of 100)", strangers.join().unwrap());
        assert!(p95 < SECOND / 2, "strangers with keys: {p95:?}");
    });

    let said = talk.end();
    within(5 * SECOND, "the chat went on", || bob.has_all(&alice, &said).is_ok());
    assert!(alice.sees(&bob) && bob.sees(&alice));
    within(60 * SECOND, "the memory is given back", || resident(process).unwrap() < before + 16 * MIB);
}

#[test]
fn a_flooded_coordinator_lets_colleagues_in() {
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let alice = office.node_at("alice", &lab.host()).joins(&office);
    let crowd = lab.host();
    let sources = lab.more_addresses(&crowd, 50);
    let target = SocketAddr::from((office.host().address(), office.port()));
    let process = office.pid().unwrap();
    let before = resident(process).unwrap();
    let _floods =
        [Bother::Silent, Bother::Garbage].map(|bother| Flood::begin(&crowd, &sources, target, bother, CROWD));
    let begin = Instant::now();
    for n in 0..5 {
        let node = office.node_at(&format!("new{n}"), &lab.host()).joins(&office);
        within(5 * SECOND, "the newcomer and alice see each other", || {
            node.sees(&alice) && alice.sees(&node)
        });
    }
    println!("five newcomers in {:?}", begin.elapsed());
    let memory = resident(process).unwrap();
    assert!(memory < before + 64 * MIB, "{} MiB after {}", memory / MIB, before / MIB);
    assert!(alice.signed_in());
}
