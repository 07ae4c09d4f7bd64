//! Stories of links: signs of life, duplicates, who dials whom, who is on.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is a failed story; each story breaks in its own way"
)]

mod stage;

use lanchat_node_core::Input;
use lanchat_node_core::output::Event;
use lanchat_node_core::view::Route;
use lanchat_proto::frame::Kind;
use stage::Stage;
use std::time::Duration;

fn two() -> (Stage, usize, usize) {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.pc(1, "alice"), stage.pc(2, "bob"));
    (stage, alice, bob)
}

/// An office of three, signed in at the coordinator.
fn office() -> (Stage, [usize; 3]) {
    let mut stage = Stage::new();
    let pcs = [stage.dark_pc(1, "alice"), stage.dark_pc(2, "bob"), stage.dark_pc(3, "carol")];
    pcs.iter().for_each(|pc| stage.start_in_office(*pc));
    stage.settle();
    (stage, pcs)
}

#[test]
fn an_idle_link_stays_up() {
    let (mut stage, alice, bob) = two();
    stage.connect(alice, bob);
    stage.seconds(120);
    assert_eq!(stage.open_links(alice, bob), 1);
    assert!(stage.pcs[alice].closed.is_empty());
}

#[test]
fn a_silent_link_is_suspected_then_dead_within_fifteen_seconds() {
    let (mut stage, alice, bob) = two();
    let (link, _) = stage.connect(alice, bob);
    stage.settle();
    stage.cut(alice, bob);
    stage.seconds(10);
    assert!(!stage.pcs[alice].closed.contains(&link));
    stage.seconds(6);
    assert!(stage.pcs[alice].closed.contains(&link));
    assert!(!stage.is_shown_online(alice, bob) && !stage.is_shown_online(bob, alice));
    assert_eq!(stage.route(alice, bob), Route::None);
}

#[test]
fn two_that_dial_at_once_keep_the_link_of_the_smaller_device() {
    let (mut stage, alice, bob) = two();
    let first = stage.pcs[alice].device() < stage.pcs[bob].device();
    let (small, large) = if first { (alice, bob) } else { (bob, alice) };
    let (theirs, _) = stage.connect(large, small);
    let (wins, _) = stage.connect(small, large);
    let sent: Vec<_> = (0..10).map(|n| stage.says(alice, bob, &n.to_string())).collect();
    stage.seconds(10);
    assert_eq!(stage.open_links(alice, bob), 1);
    assert!(stage.pcs[large].closed.contains(&theirs) || !stage.pcs[small].closed.is_empty());
    assert!(!stage.pcs[small].closed.contains(&wins));
    // Nobody is known before the first link is up, so nothing could be said; from now on it can.
    assert!(sent.iter().all(|request| stage.answer(alice, *request).is_some()));
    let request = stage.says(alice, bob, "on the winner");
    stage.settle();
    assert!(stage.delivered(alice, request));
    assert_eq!(stage.texts(bob, alice, bob), stage.texts(alice, alice, bob));
}

#[test]
fn moving_to_another_link_loses_and_doubles_nothing() {
    let (mut stage, alice, bob) = two();
    let first = stage.pcs[alice].device() < stage.pcs[bob].device();
    let (small, large) = if first { (alice, bob) } else { (bob, alice) };
    stage.connect(large, small);
    stage.settle();
    for round in 0..20 {
        for n in 0..5 {
            stage.says(small, large, &format!("{round}.{n}"));
        }
        if round == 10 {
            stage.connect(small, large);
        }
        stage.run(Duration::from_millis(2));
    }
    stage.seconds(10);
    assert_eq!(stage.open_links(alice, bob), 1);
    assert_eq!(stage.texts(large, alice, bob).len(), 100);
    assert_eq!(stage.texts(large, alice, bob), stage.texts(small, alice, bob));
    assert_eq!(stage.pcs[large].messages().len(), 100);
}

#[test]
fn a_new_link_replaces_one_that_died_unseen() {
    let (mut stage, alice, bob) = two();
    stage.connect(alice, bob);
    stage.settle();
    // Both believe in a link that carries nothing; then a new one comes.
    stage.cut(alice, bob);
    stage.run(Duration::from_millis(10));
    let request = stage.says(alice, bob, "into the void");
    stage.run(Duration::from_millis(10));
    stage.pcs[alice].sent.clear();
    stage.heal();
    stage.connect(bob, alice);
    stage.seconds(8);
    assert!(stage.delivered(alice, request));
    assert_eq!(stage.open_links(alice, bob), 1);
}

#[test]
fn everybody_in_an_office_is_linked_soon_and_only_once() {
    let (mut stage, pcs) = office();
    for a in pcs {
        for b in pcs.into_iter().filter(|b| *b != a) {
            assert_eq!(stage.route(a, b), Route::Direct, "{a} {b}");
            assert!(stage.is_shown_online(a, b));
        }
    }
    stage.seconds(60);
    assert_eq!(stage.open_links(pcs[0], pcs[1]), 1);
    let dials = stage.pcs.iter().map(|pc| pc.dialled.len()).sum::<usize>();
    assert!(dials <= 3 + 3, "{dials} dials");
}

#[test]
fn a_lost_link_is_back_at_once() {
    let (mut stage, pcs) = office();
    let [alice, bob, _] = pcs;
    stage.cut(alice, bob);
    stage.seconds(20);
    assert_eq!(stage.route(alice, bob), Route::None);
    assert!(stage.is_shown_online(alice, bob), "the coordinator still hears it");
    stage.heal();
    for pc in [alice, bob] {
        stage.input(pc, Input::NetworkChanged);
    }
    stage.settle();
    assert_eq!(stage.route(alice, bob), Route::Direct);
}

#[test]
fn dials_that_fail_come_more_and_more_rarely() {
    let (mut stage, pcs) = office();
    let [alice, bob, _] = pcs;
    stage.cut(alice, bob);
    stage.seconds(20);
    let device = stage.pcs[bob].device();
    let dials = |stage: &Stage| stage.pcs[alice].dialled.iter().filter(|(to, ..)| *to == device).count();
    let before = dials(&stage);
    stage.seconds(300);
    let more = dials(&stage) - before;
    assert!((10..60).contains(&more), "{more} dials in 300 s");
}

#[test]
fn a_goodbye_is_believed_at_once() {
    let (mut stage, pcs) = office();
    let [alice, bob, _] = pcs;
    stage.stop(bob);
    stage.run(Duration::from_millis(20));
    assert!(!stage.is_shown_online(alice, bob));
    let before = stage.pcs[alice].dialled.len();
    stage.seconds(60);
    assert_eq!(stage.pcs[alice].dialled.len(), before, "nobody dials who is off");
}

#[test]
fn an_offline_notice_about_somebody_who_answers_changes_nothing() {
    let (mut stage, pcs) = office();
    let [alice, bob, carol] = pcs;
    stage.cut(alice, carol);
    for gone in [bob, carol] {
        let device = stage.pcs[gone].device();
        let frames = stage.coordinator.says_offline(device, stage::DAWN);
        stage.coordinator_sends(frames);
    }
    stage.seconds(4);
    assert!(stage.is_shown_online(alice, bob), "it answered the probe");
    assert!(!stage.is_shown_online(alice, carol), "it did not");
    assert_eq!(stage.route(alice, carol), Route::None);
}

#[test]
fn the_coordinator_restarts_and_links_stay_untouched() {
    let (mut stage, pcs) = office();
    let [alice, bob, carol] = pcs;
    stage.coordinator_down();
    stage.seconds(40);
    assert!(stage.is_shown_online(alice, bob), "linked");
    let request = stage.says(alice, bob, "meanwhile");
    stage.settle();
    assert!(stage.delivered(alice, request));
    stage.crash(carol);
    stage.settle();
    assert!(!stage.is_shown_online(alice, carol));
    stage.coordinator_up();
    stage.seconds(10);
    assert_eq!(stage.coordinator.links.len(), 2);
    let closes = |at: usize| {
        let up_then_gone = |event: &&Event| matches!(event, Event::Link { route: Route::None, .. });
        stage.pcs[at].events.iter().filter(up_then_gone).count()
    };
    assert_eq!(closes(alice), 1, "only carol's");
    stage.start_in_office(carol);
    stage.settle();
    assert!(stage.is_shown_online(alice, carol));
}

#[test]
fn without_the_coordinator_known_devices_find_each_other_again() {
    let (mut stage, pcs) = office();
    let [alice, bob, _] = pcs;
    stage.coordinator_down();
    stage.crash(bob);
    stage.seconds(5);
    stage.crash(alice);
    stage.start_in_office(alice);
    stage.start_in_office(bob);
    stage.seconds(30);
    assert_eq!(stage.route(alice, bob), Route::Direct);
}

#[test]
fn a_stopped_node_says_nothing_more() {
    let (mut stage, alice, bob) = two();
    stage.connect(alice, bob);
    stage.settle();
    stage.input(alice, Input::Stop);
    let sent = stage.pcs[alice].sent.len();
    stage.seconds(60);
    assert_eq!(stage.pcs[alice].sent.len(), sent);
    assert_eq!(stage.pcs[alice].sent.last().unwrap().1.known(), Some(Kind::Goodbye));
}

#[test]
fn the_same_entries_by_two_links_at_once_leave_nobody_stuck() {
    let mut stage = Stage::new();
    let (alice, desk) = (stage.pc(1, "alice"), stage.pc(2, "bob"));
    let certificate = stage.org.certificate("bob", 3);
    let chain = stage.org.second_chain("bob", 2, 3);
    let laptop = stage.pc_with(3, certificate, chain);
    stage.start(laptop);
    stage.connect(alice, desk);
    stage.settle();
    stage.says(alice, desk, "one");
    stage.settle();
    stage.crash(alice);
    stage.start(alice);
    // The laptop gets it from the desk and from its author while its disk is slow.
    stage.set_mood(laptop, stage::DiskMood::Held);
    stage.connect(alice, laptop);
    stage.connect(desk, laptop);
    stage.settle();
    stage.set_mood(laptop, stage::DiskMood::Fine);
    stage.settle();
    stage.crash(desk);
    let request = stage.says(alice, desk, "two");
    stage.settle();
    assert_eq!(stage.texts(laptop, alice, desk), ["one", "two"]);
    assert!(stage.delivered(alice, request));
}
