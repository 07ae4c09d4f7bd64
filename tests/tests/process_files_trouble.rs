//! Files on a way that breaks: programs killed, cables cut, routes moved, disks full, sources that change.
#![cfg(target_os = "linux")]

use lanchat_tests::files::{Desk, Offer, SmallDisk, done, hash_of, text};
use lanchat_tests::lab::Lab;
use lanchat_tests::{Node, Office, within};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MIB: u64 = 1024 * 1024;
/// What an interruption may cost: the most that is on its way, and the unit that it belonged to.
const COST: u64 = 5 * MIB;

/// Two people in a lab, whose cables carry 80 Mbit/s.
fn two(lab: &Lab) -> (Office, [Node; 2]) {
    let office = Office::at(&lab.host());
    let hosts = [lab.host(), lab.host()];
    hosts.iter().for_each(|host| lab.rate(host, 80));
    let nodes = office.people_at([("alice", &hosts[0]), ("bob", &hosts[1])]);
    within(10 * SECOND, "they see each other", || nodes[0].sees(&nodes[1]) && nodes[1].sees(&nodes[0]));
    (office, nodes)
}

/// What may leave the sender for a file that is interrupted so often: headers, chat and acknowledgements included.
fn most(len: u64, interruptions: u64) -> u64 {
    len + len / 10 + MIB / 2 + interruptions * COST
}

fn whole(bob: &Node, desk: &Desk, offer: &Offer, name: &str, deadline: Duration) {
    within(deadline, "it is complete", || bob.file_state(offer) == "complete");
    assert_eq!(hash_of(&desk.inbox().join(name)), offer.blob);
    assert_eq!(bob.leftovers(offer), [""; 0]);
}

#[test]
fn a_killed_program_or_a_cut_cable_costs_no_more_than_what_was_on_its_way() {
    let lab = Lab::new();
    let (_office, [alice, bob]) = two(&lab);
    let desk = Desk::new();
    let kill = |node: &Node| {
        node.kill();
        node.start();
    };
    let pull = |node: &Node| {
        lab.cut(node);
        std::thread::sleep(2 * SECOND);
        lab.plug(node);
    };
    let len = 16_000_000;
    for (name, trouble) in [
        ("receiver killed", &(|| kill(&bob)) as &dyn Fn()),
        ("sender killed", &|| kill(&alice)),
        ("cable pulled", &|| pull(&bob)),
    ] {
        let offer = alice.offer(&bob, &desk.file(name, len));
        let (before, look) = (lab.traffic(&alice).sent, desk.look());
        bob.accept(&offer, &desk.inbox());
        bob.has_part(&offer, len / 3, 30 * SECOND);
        assert!(done(&bob.transfer(&offer)) < len, "it is on its way");
        trouble();
        whole(&bob, &desk, &offer, name, 60 * SECOND);
        let sent = lab.traffic(&alice).sent - before;
        assert!(sent < most(len, 1), "{name}: {sent} bytes were sent for {len}");
        assert_eq!(look.end().get(name), Some(&len), "under its name it is whole at once");
        within(10 * SECOND, "its sender knows", || alice.file_state(&offer) == "complete");
    }
    assert_eq!(desk.arrived(), ["cable pulled", "receiver killed", "sender killed"]);
}

#[test]
fn a_route_may_move_to_the_coordinator_and_back_in_the_middle() {
    let lab = Lab::new();
    let (office, [alice, bob]) = two(&lab);
    let desk = Desk::new();
    let len = 24_000_000;
    let offer = alice.offer(&bob, &desk.file("moved", len));
    let before = lab.traffic(&alice).sent;
    bob.accept(&offer, &desk.inbox());
    bob.has_part(&offer, len / 5, 30 * SECOND);
    lab.block(&alice, &bob);
    within(20 * SECOND, "they reach each other through the coordinator", || bob.route(&alice) == "relay");
    let there = done(&bob.transfer(&offer));
    assert!(there < len, "it is on its way");
    bob.has_part(&offer, there + 2 * MIB, 20 * SECOND);
    lab.unblock(&alice, &bob);
    whole(&bob, &desk, &offer, "moved", 90 * SECOND);
    let sent = lab.traffic(&alice).sent - before;
    assert!(sent < most(len, 2), "{sent} bytes were sent for {len}");
    let relayed = lab.traffic(&office).received;
    println!("{relayed} bytes went through the coordinator");
    assert!(relayed > 2 * MIB);
    within(60 * SECOND, "they reach each other directly", || {
        alice.route(&bob) == "direct" && bob.route(&alice) == "direct"
    });
}

#[test]
fn a_source_that_is_not_the_same_any_more_fails_by_name() {
    let office = Office::open();
    let [alice, bob] = office.people(["alice", "bob"]);
    within(10 * SECOND, "they see each other", || alice.sees(&bob) && bob.sees(&alice));
    let desk = Desk::new();
    alice.set("rate_limit_up", "4MiB");
    let begin = |name: &str| {
        let path = desk.file(name, 12 * MIB);
        let offer = alice.offer(&bob, &path);
        bob.accept(&offer, &desk.inbox());
        bob.has_part(&offer, 2 * MIB, 20 * SECOND);
        (path, offer)
    };
    let fails = |offer: &Offer, why: &str| {
        within(20 * SECOND, "it fails", || bob.file_state(offer) == "failed");
        within(5 * SECOND, "its sender knows", || alice.file_state(offer) == "failed");
        for node in [&alice, &bob] {
            assert_eq!(text(&node.transfer(offer), "error_code"), why, "{}", node.file_error(offer));
        }
        assert_eq!(desk.arrived(), [""; 0]);
    };

    let (path, offer) = begin("changed");
    std::fs::write(&path, "something else").unwrap();
    fails(&offer, "changed");

    let (path, offer) = begin("gone");
    let aside = desk.dir().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    fails(&offer, "gone");
    let kept = done(&bob.transfer(&offer));
    assert!(kept >= 2 * MIB, "what is good is kept: {kept}");
    std::fs::rename(&aside, &path).unwrap();
    bob.cli(&["accept", &offer.id, "--to", &desk.inbox().display().to_string()]).ok();
    whole(&bob, &desk, &offer, "gone", 20 * SECOND);
    within(5 * SECOND, "its sender knows", || alice.file_state(&offer) == "complete");
    assert_eq!(desk.arrived(), ["gone"]);
}

#[test]
fn a_full_disk_pauses_and_room_makes_it_go_on() {
    let office = Office::open();
    let [alice] = office.people(["alice"]);
    let (bob, desk) = (office.node("bob"), Desk::new());
    let blobs = SmallDisk::new(&bob.dir().join("blobs"), "24m");
    let inbox = SmallDisk::new(&desk.inbox(), "24m");
    let bob = bob.joins(&office);
    within(10 * SECOND, "they see each other", || alice.sees(&bob) && bob.sees(&alice));
    let paused = |offer: &Offer| {
        within(20 * SECOND, "it is paused", || bob.file_state(offer) == "paused");
        assert!(bob.file_error(offer).contains("room"), "{}", bob.file_error(offer));
    };

    // The disk for what is on its way is filled by somebody else in the middle.
    alice.set("rate_limit_up", "4MiB");
    let offer = alice.offer(&bob, &desk.file("middle", 12 * MIB));
    bob.accept(&offer, &desk.inbox());
    bob.has_part(&offer, 2 * MIB, 20 * SECOND);
    blobs.fill();
    paused(&offer);
    alice.send("bob", "chat goes on");
    within(5 * SECOND, "the message is there", || bob.texts("alice") == ["chat goes on"]);
    blobs.clear();
    whole(&bob, &desk, &offer, "middle", 40 * SECOND);

    // The directory where it is to be saved has no room from the beginning.
    alice.set("rate_limit_up", "0");
    inbox.fill();
    let offer = alice.offer(&bob, &desk.file("target", 3 * MIB));
    bob.accept(&offer, &desk.inbox());
    paused(&offer);
    inbox.clear();
    bob.act("resume", &offer).ok();
    whole(&bob, &desk, &offer, "target", 20 * SECOND);

    // That directory has no room by the time that all is here, and the sender is away when it has.
    alice.set("rate_limit_up", "4MiB");
    let len = 6 * MIB;
    let offer = alice.offer(&bob, &desk.file("end", len));
    bob.accept(&offer, &desk.inbox());
    bob.has_part(&offer, MIB, 20 * SECOND);
    inbox.fill();
    paused(&offer);
    assert_eq!(done(&bob.transfer(&offer)), len, "all of it is here");
    alice.stop();
    bob.kill();
    bob.start();
    paused(&offer);
    inbox.clear();
    whole(&bob, &desk, &offer, "end", 40 * SECOND);
    assert_eq!(desk.arrived(), ["end", "middle", "target"]);
    alice.start();
    within(20 * SECOND, "its sender knows", || alice.file_state(&offer) == "complete");
}

#[test]
fn a_sender_is_told_that_its_file_could_not_be_saved_and_when_it_is_after_all() {
    let office = Office::open();
    let [alice, bob] = office.people(["alice", "bob"]);
    let desk = Desk::new();
    within(10 * SECOND, "they see each other", || alice.sees(&bob) && bob.sees(&alice));
    alice.set("rate_limit_up", "4MiB");
    let offer = alice.offer(&bob, &desk.file("report", 6 * MIB));
    let folder = desk.inbox().join("folder");
    bob.accept(&offer, &folder);
    bob.has_part(&offer, MIB, 20 * SECOND);
    std::fs::remove_dir(&folder).unwrap();
    std::fs::write(&folder, b"somebody's file").unwrap();
    within(20 * SECOND, "both know", || {
        [&alice, &bob].iter().all(|node| node.file_state(&offer) == "failed")
    });
    assert!(alice.file_error(&offer).contains("receiver"), "{}", alice.file_error(&offer));
    assert!(bob.file_error(&offer).contains("directory"), "{}", bob.file_error(&offer));
    alice.stop();
    bob.cli(&["accept", &offer.id, "--to", &desk.inbox().display().to_string()]).ok();
    whole(&bob, &desk, &offer, "report", 10 * SECOND);
    assert_eq!(std::fs::read(&folder).unwrap(), b"somebody's file");
    alice.start();
    within(20 * SECOND, "its sender knows", || alice.file_state(&offer) == "complete");
}
