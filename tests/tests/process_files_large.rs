//! Files that are large: memory, what the coordinator carries, and talk beside them.
//!
//! Sizes for long runs: `LANCHAT_SPARSE_GIB=100`, `LANCHAT_SPARSE_PART_MIB=1024`, `LANCHAT_RELAYED_MB=20`,
//! `LANCHAT_DIRECT_MB=200`; with `LANCHAT_PLAIN_COPY=105` the direct one may take 105 % of the time of a plain TCP copy.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

use lanchat_tests::files::{Desk, SmallDisk, done, hash_of};
use lanchat_tests::lab::{Host, Lab};
use lanchat_tests::{Office, within};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// A size that a long run may set.
fn size(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|size| size.parse().ok()).unwrap_or(usual)
}

#[test]
fn memory_does_not_grow_with_the_file() {
    let len = size("LANCHAT_SPARSE_GIB", 4) * GIB;
    let part = size("LANCHAT_SPARSE_PART_MIB", 96) * MIB;
    let office = Office::open();
    let [alice] = office.people(["alice"]);
    let (bob, desk) = (office.node("bob"), Desk::new());
    // In memory, so that it holds more than the disk of whoever runs this; the source takes no room at all.
    let disks = [bob.dir().join("blobs"), desk.inbox()];
    let disks = disks.map(|dir| SmallDisk::new(&dir, &format!("{}m", len / MIB + 512)));
    let bob = bob.joins(&office);
    within(10 * SECOND, "they see each other", || alice.sees(&bob) && bob.sees(&alice));
    let path = desk.dir().join("sparse");
    std::fs::File::create(&path).unwrap().set_len(len).unwrap();
    // A command of its own, since it takes as long as reading that much.
    let begin = Instant::now();
    let mut sending = alice.command(&["send-file", "bob", "--json"]);
    let sent = sending.arg(&path).output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    println!("{:>6} ms: {len} bytes are offered", begin.elapsed().as_millis());
    let sent: serde_json::Value = serde_json::from_slice(&sent.stdout).unwrap();
    let offer = lanchat_tests::files::Offer::of(&sent["transfers"][0]);
    bob.accept(&offer, &desk.inbox());
    bob.has_part(&offer, part, 600 * SECOND);
    assert_eq!(bob.file_state(&offer), "running");
    assert!(done(&bob.transfer(&offer)) >= part);
    bob.act("cancel", &offer).ok();
    within(10 * SECOND, "what came is gone", || bob.leftovers(&offer).is_empty());
    assert_eq!(desk.arrived(), [""; 0]);
    for node in [&alice, &bob] {
        let most = node.most_memory();
        println!("{} had {} MiB", node.name, most / MIB);
        assert!(most < 150_000_000, "{} had {most} bytes of memory", node.name);
    }
    drop(disks);
}

/// How long so many bytes take over one TCP connection.
fn plain_copy(from: &Host, to: &Host, len: u64) -> Duration {
    let listener = to.inside(|| TcpListener::bind((to.address(), 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            std::io::copy(&mut stream, &mut std::io::sink()).unwrap()
        });
        let mut stream = from.inside(|| TcpStream::connect(address)).unwrap();
        std::io::copy(&mut std::io::repeat(0).take(len), &mut stream).unwrap();
        drop(stream);
        assert_eq!(reading.join().unwrap(), len);
    });
    begin.elapsed()
}

#[test]
fn a_large_file_goes_directly_and_people_talk_beside_it() {
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let hosts = [lab.host(), lab.host()];
    hosts.iter().for_each(|host| lab.rate(host, 200));
    let [alice, bob] = office.people_at([("alice", &hosts[0]), ("bob", &hosts[1])]);
    within(10 * SECOND, "they see each other", || alice.sees(&bob) && bob.sees(&alice));
    let desk = Desk::new();
    let len = size("LANCHAT_DIRECT_MB", 60) * 1_000_000;
    let offer = alice.offer(&bob, &desk.file("large", len));
    let (before, begin) = (lab.traffic(&office).total(), Instant::now());
    bob.accept(&offer, &desk.inbox());
    bob.has_part(&offer, MIB, 20 * SECOND);
    let (there, back) = (alice.talk_to(&bob, 10), bob.talk_to(&alice, 10));
    within(120 * SECOND, "it is complete", || bob.file_state(&offer) == "complete");
    let took = begin.elapsed().as_secs_f64();
    println!("{:.1} MB/s", len as f64 / 1e6 / took);
    let (there, back) = (there.end(), back.end());
    within(5 * SECOND, "everything that was said is there", || {
        bob.has_all(&alice, &there).is_ok() && alice.has_all(&bob, &back).is_ok()
    });
    let crossed = lab.traffic(&office).total() - before;
    assert!(crossed < 100_000, "{crossed} bytes crossed the coordinator's interface");
    assert_eq!(hash_of(&desk.inbox().join("large")), offer.blob);
    let percent = size("LANCHAT_PLAIN_COPY", 0);
    if percent > 0 {
        let plain = plain_copy(&hosts[0], &hosts[1], len).as_secs_f64();
        println!("{took:.2} s; a plain copy takes {plain:.2} s");
        assert!(took <= plain * percent as f64 / 100.0);
    }
}

#[test]
fn the_coordinator_carries_a_file_at_its_budget_where_there_is_no_other_way() {
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let hosts = [lab.host(), lab.host()];
    lab.block(&hosts[0], &hosts[1]);
    let [alice, bob] = office.people_at([("alice", &hosts[0]), ("bob", &hosts[1])]);
    within(15 * SECOND, "they see each other", || {
        alice.route(&bob) == "relay" && bob.route(&alice) == "relay"
    });
    let desk = Desk::new();
    let len = size("LANCHAT_RELAYED_MB", 8) * 1_000_000;
    let offer = alice.offer(&bob, &desk.file("relayed", len));
    let begin = Instant::now();
    bob.accept(&offer, &desk.inbox());
    bob.has_part(&offer, 100_000, 20 * SECOND);
    let talk = alice.talk_to(&bob, 5);
    within(60 * SECOND, "it is complete", || bob.file_state(&offer) == "complete");
    let rate = len as f64 / begin.elapsed().as_secs_f64();
    let said = talk.end();
    within(10 * SECOND, "everything that was said is there", || bob.has_all(&alice, &said).is_ok());
    println!("{:.2} MB/s", rate / 1e6);
    // 2 MB a second is what the coordinator grants a user.
    assert!(rate < 2_400_000.0, "{rate} bytes a second");
    assert_eq!(hash_of(&desk.inbox().join("relayed")), offer.blob);
}
