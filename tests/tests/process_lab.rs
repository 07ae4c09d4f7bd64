//! Coordinator and nodes on hosts of their own, in network namespaces.
#![cfg(target_os = "linux")]

use lanchat_tests::lab::Lab;
use lanchat_tests::{Office, within};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn three_hosts_talk_directly_and_the_coordinator_carries_nothing() {
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let nodes = office.people_at([("alice", &lab.host()), ("bob", &lab.host()), ("carol", &lab.host())]);
    let [alice, bob, _] = &nodes;
    within(5 * SECOND, "everybody sees everybody, directly", || {
        nodes.iter().all(|a| nodes.iter().all(|b| a.name == b.name || a.sees(b)))
    });
    let before = lab.traffic(&office).total();
    let page = "0123456789abcdef".repeat(4000);
    for n in 0..16 {
        alice.send("bob", &format!("{n} {page}"));
    }
    within(10 * SECOND, "a megabyte of chat has arrived", || bob.texts("alice").len() == 16);
    let crossed = lab.traffic(&office).total() - before;
    assert!(crossed < 20_000, "{crossed} bytes crossed the coordinator's interface");
}

#[test]
fn a_pulled_cable_is_seen_within_twenty_seconds_and_healed_when_plugged_in() {
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let [alice, bob] = office.people_at([("alice", &lab.host()), ("bob", &lab.host())]);
    within(5 * SECOND, "they see each other", || alice.sees(&bob) && bob.sees(&alice));
    lab.cut(&bob);
    within(20 * SECOND, "bob is gone", || alice.misses(&bob));
    alice.send("bob", "are you there?");
    lab.plug(&bob);
    within(20 * SECOND, "the message arrives", || bob.texts("alice") == ["are you there?"]);
}
