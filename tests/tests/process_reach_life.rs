//! What laptops do: cables come and go, addresses change, lids close.
#![cfg(target_os = "linux")]

use lanchat_tests::lab::{AtHost, Lab};
use lanchat_tests::watch::shows;
use lanchat_tests::{Node, Office, within};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// How long a lid stays closed; the minute is for long runs.
const LID: Duration = Duration::from_secs(20);

fn lid() -> Duration {
    let asked = std::env::var("LANCHAT_LID_S").ok().and_then(|seconds| seconds.parse().ok());
    asked.map_or(LID, Duration::from_secs)
}

fn three(lab: &Lab) -> (Office, [Node; 3]) {
    let office = Office::at(&lab.host());
    let nodes = office.people_at([("alice", &lab.host()), ("bob", &lab.host()), ("carol", &lab.host())]);
    within(5 * SECOND, "everybody sees everybody", || {
        nodes.iter().all(|one| nodes.iter().all(|other| one.name == other.name || one.sees(other)))
    });
    (office, nodes)
}

/// The story goes on after this long, whatever happens meanwhile.
fn time_passes(time: Duration) {
    std::thread::sleep(time);
}

#[test]
fn a_cable_pulled_for_five_seconds_is_noticed_by_nobody() {
    let lab = Lab::new();
    let (_office, [alice, bob, carol]) = three(&lab);
    let watches = [&alice, &bob, &carol].map(Node::watch);
    for (watch, other) in watches.iter().zip([&bob, &carol, &bob]) {
        watch.within(5 * SECOND, 0, "the watch is there", shows(other, "online"));
    }
    let (there, back) = (alice.talk_to(&bob, 10), bob.talk_to(&carol, 10));
    time_passes(SECOND);
    lab.cut(&bob);
    time_passes(5 * SECOND);
    lab.plug(&bob);
    within(10 * SECOND, "words pass again", || {
        let before = bob.texts("alice").len();
        time_passes(SECOND / 2);
        bob.texts("alice").len() > before
    });
    // Longer than anything takes by which somebody is declared dead.
    time_passes(20 * SECOND);
    let (there, back) = (there.end(), back.end());
    within(10 * SECOND, "nothing is lost", || {
        bob.has_all(&alice, &there).is_ok() && carol.has_all(&bob, &back).is_ok()
    });
    for (watch, node) in watches.iter().zip([&alice, &bob, &carol]) {
        for other in [&alice, &bob, &carol] {
            let gone = watch.since(0, shows(other, "offline"));
            assert!(gone.is_empty(), "{} was told: {gone:?}", node.name);
        }
    }
}

#[test]
fn a_cable_pulled_for_good_is_seen_by_all_within_twenty_seconds() {
    let lab = Lab::new();
    let (office, [alice, bob, carol]) = three(&lab);
    lab.cut(&bob);
    within(20 * SECOND, "bob is offline at all others", || alice.misses(&bob) && carol.misses(&bob));
    within(SECOND, "and at the coordinator", || {
        office.admin(&["online", "--json"]).json().as_array().map(Vec::len) == Some(2)
    });
    assert!(alice.sees(&carol) && carol.sees(&alice));
    alice.send("bob", "when you are back");
    lab.plug(&bob);
    within(40 * SECOND, "bob is back and has it", || {
        alice.sees(&bob) && bob.texts("alice") == ["when you are back"]
    });
}

#[test]
fn a_new_address_is_a_matter_of_ten_seconds() {
    let lab = Lab::new();
    let (_office, [alice, bob, carol]) = three(&lab);
    let talk = alice.talk_to(&bob, 10);
    let floor = lab.subnet();
    for (what, subnet) in [("a new lease", lab.main()), ("and another", lab.main()), ("another floor", floor)]
    {
        let now = lab.move_to(&bob, subnet);
        // Over IPv6 it is the new address as well, which the host has in place of the old.
        let new = [format!("{now}:"), format!("[{}]:", bob.host().address6())];
        within(10 * SECOND, what, || {
            [&alice, &carol].iter().all(|other| {
                let at = other.addr_of(&bob);
                new.iter().any(|new| at.starts_with(new)) && other.sees(&bob) && bob.sees(other)
            })
        });
    }
    within(10 * SECOND, "the coordinator has it too", || bob.signed_in());
    let said = talk.end();
    within(10 * SECOND, "nothing is lost", || bob.has_all(&alice, &said).is_ok());
}

#[test]
fn a_closed_lid_is_forgotten_ten_seconds_after_it_opens() {
    let lab = Lab::new();
    let (_office, [alice, bob, carol]) = three(&lab);
    let closed = Instant::now();
    bob.freeze();
    if lid() >= LID {
        within(LID, "bob is gone", || alice.misses(&bob) && carol.misses(&bob));
    }
    alice.send("bob", "sleep well");
    time_passes(lid().saturating_sub(closed.elapsed()));
    bob.thaw();
    within(10 * SECOND, "all is right", || {
        let linked = [&alice, &carol].iter().all(|other| other.sees(&bob) && bob.sees(other));
        linked && bob.signed_in() && bob.texts("alice") == ["sleep well"]
    });
    bob.send("carol", "awake");
    within(2 * SECOND, "bob is heard", || carol.texts("bob") == ["awake"]);
}

#[test]
fn a_coordinator_whose_machine_sleeps_is_missed_by_no_chat() {
    let lab = Lab::new();
    let (office, [alice, bob, _]) = three(&lab);
    office.freeze();
    let talk = alice.talk_to(&bob, 10);
    time_passes(lid());
    assert!(alice.sees(&bob) && bob.sees(&alice), "their link has nothing to do with it");
    office.thaw();
    within(40 * SECOND, "both are signed in", || alice.signed_in() && bob.signed_in());
    let said = talk.end();
    within(5 * SECOND, "nothing is lost", || bob.has_all(&alice, &said).is_ok());
}
