//! Nobody in the middle: nodes find each other by mDNS, without a coordinator or while it is away.
#![cfg(target_os = "linux")]

use lanchat_tests::browse::browse;
use lanchat_tests::lab::{AtHost, Lab};
use lanchat_tests::{Lan, Node, Office, within};
use serde_json::Value;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const NODES: &str = "_lanchat._tcp.local.";
const COORDINATORS: &str = "_lanchat-coord._tcp.local.";

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Both see each other directly, and a message arrives each way.
fn meet(one: &Node, other: &Node, deadline: Duration) {
    within(deadline, "they see each other", || one.sees(other) && other.sees(one));
    let before = (one.texts(&other.name).len(), other.texts(&one.name).len());
    one.send(&other.name, "hello 你好");
    other.send(&one.name, "hello yourself");
    within(2 * SECOND, "both messages are there", || {
        (one.texts(&other.name).len(), other.texts(&one.name).len()) == (before.0 + 2, before.1 + 2)
    });
}

/// What the browser lists of a node.
fn listed(found: &[Value], node: &Node) -> Option<Value> {
    let status = node.status();
    found.iter().find(|entry| text(entry, "/txt/id") == text(&status, "/peer_id")).cloned()
}

#[test]
fn two_people_without_a_coordinator_see_each_other_and_a_standard_browser_lists_them() {
    let (lab, lan) = (Lab::new(), Lan::open());
    let (alice, bob) = (lan.node_at("alice", &lab.host()), lan.node_at("bob", &lab.host()));
    alice.start();
    bob.start();
    meet(&alice, &bob, 5 * SECOND);
    assert_eq!(text(&alice.status(), "/coordinator/state"), "none");
    assert!(alice.users().iter().all(|user| user["verified"] == false), "nobody has compared anything yet");

    let stranger = lab.host();
    let found = browse(&stranger, 3 * SECOND, &[NODES]);
    for (node, host) in [(&alice, alice.host().address()), (&bob, bob.host().address())] {
        let Some(entry) = listed(&found, node) else { panic!("{} is not in {found:?}", node.name) };
        assert_eq!(entry["port"].as_u64(), node.port().map(u64::from), "{entry}");
        assert!(
            entry["addresses"].as_array().is_some_and(|list| list.contains(&host.to_string().into())),
            "{entry}"
        );
        assert!(!text(&entry, "/txt/v").is_empty(), "{entry}");
    }

    assert_eq!(bob.stop(), Some(0));
    within(2 * SECOND, "bob is gone", || alice.misses(&bob));
    let found = browse(&stranger, 3 * SECOND, &[NODES]);
    assert!(listed(&found, &alice).is_some() && found.len() == 1, "bob said goodbye: {found:?}");
}

#[test]
fn members_find_each_other_again_while_the_coordinator_is_away_and_return_to_it() {
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let [alice, bob] =
        ["alice", "bob"].map(|name| office.node_at(name, &lab.host()).with_mdns().joins(&office));
    within(5 * SECOND, "they see each other", || alice.sees(&bob) && bob.sees(&alice));
    assert_eq!(office.stop(), Some(0));
    meet(&alice, &bob, SECOND);
    for node in [&alice, &bob] {
        assert_eq!(node.stop(), Some(0));
        // What they remember of each other is of no use any more.
        lab.new_address(node);
    }
    for node in [&alice, &bob] {
        node.start();
    }
    meet(&alice, &bob, 5 * SECOND);
    office.start();
    within(40 * SECOND, "both have returned to the coordinator", || alice.signed_in() && bob.signed_in());
    meet(&alice, &bob, SECOND);
}

#[test]
fn the_open_lan_and_an_organisation_on_one_network_do_not_mix() {
    let lab = Lab::new();
    let (office, lan) = (Office::at(&lab.host()), Lan::open());
    let [alice, bob] =
        ["alice", "bob"].map(|name| office.node_at(name, &lab.host()).with_mdns().joins(&office));
    let guests = ["gus", "gil"].map(|name| lan.node_at(name, &lab.host()));
    guests.iter().for_each(|node| drop(node.start()));
    let [gus, gil] = &guests;
    within(5 * SECOND, "each sees their own", || alice.sees(&bob) && gus.sees(gil) && gil.sees(gus));
    let names =
        |node: &Node| node.users().iter().map(|user| text(user, "/name").to_owned()).collect::<Vec<_>>();
    assert_eq!((names(&alice), names(gus)), (vec!["bob".to_owned()], vec!["gil".to_owned()]));
}

#[test]
fn a_coordinator_is_listed_and_found_by_itself() {
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let found = browse(&lab.host(), 3 * SECOND, &[COORDINATORS]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["port"].as_u64(), Some(u64::from(office.port())));
    assert!(
        ["/txt/v", "/txt/id", "/txt/org"].iter().all(|key| !text(&found[0], key).is_empty()),
        "{found:?}"
    );
    let alice = office.node_at("alice", &lab.host()).with_mdns();
    alice.start();
    // No terminal: the fingerprint is asked for, and the invite has to be given.
    let asked = alice.register("auto", lanchat_tests::office::PASSWORD).fails_with(4);
    let fingerprint = office.fingerprint();
    assert!(asked.stderr.contains(&fingerprint), "{}", asked.stderr);
    let invite = office.admin(&["invite", "--json"]).json();
    let code = text(&invite, "/code");
    let args = ["register", "--coordinator", "auto", "--user", "alice", "--password-stdin"];
    let more = ["--trust", &fingerprint, "--invite", code];
    let password = format!("{}\n", lanchat_tests::office::PASSWORD);
    alice.cli_with(&[&args[..], &more].concat(), &password).ok();
    within(2 * SECOND, "alice is signed in", || alice.signed_in());
}
