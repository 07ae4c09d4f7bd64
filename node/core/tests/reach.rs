//! Every way to a device, told as stories: what is tried when a way is closed, and how it comes back to the best one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test panics"
)]

mod stage;

use lanchat_node_core::Input;
use lanchat_node_core::boot::Channel;
use lanchat_node_core::output::{Answer, Event};
use lanchat_node_core::view::{CoordinatorState, RelayState, Route, Source, StatusView};
use lanchat_proto::wire::reach::Dialled;
use stage::{At, Stage};

/// Alice and bob, signed in at a coordinator that carries circuits.
fn office() -> (Stage, At, At) {
    let mut stage = Stage::new();
    stage.coordinator.relays = true;
    let alice = stage.dark_pc(1, "alice");
    let bob = stage.dark_pc(2, "bob");
    (stage, alice, bob)
}

fn open(stage: &mut Stage, people: [At; 2]) {
    people.into_iter().for_each(|at| stage.start_in_office(at));
}

fn status(stage: &Stage, at: At) -> StatusView {
    stage.pcs[at].core.as_ref().unwrap().status()
}

fn both(stage: &Stage, a: At, b: At, expected: Route) -> bool {
    stage.route(a, b) == expected && stage.route(b, a) == expected
}

#[test]
fn who_cannot_be_dialled_dials_back_within_ten_seconds() {
    for (from, to) in [(0, 1), (1, 0)] {
        let (mut stage, alice, bob) = office();
        stage.wall([alice, bob][from], [alice, bob][to]);
        open(&mut stage, [alice, bob]);
        stage.seconds(10);
        assert!(both(&stage, alice, bob, Route::Direct));
    }
}

#[test]
fn without_a_direct_way_the_coordinator_carries_and_nothing_is_lost() {
    let (mut stage, alice, bob) = office();
    stage.cut(alice, bob);
    open(&mut stage, [alice, bob]);
    stage.seconds(10);
    assert!(both(&stage, alice, bob, Route::Relay));
    assert_eq!(status(&stage, alice).relay_state, RelayState::Reserved);
    assert_eq!((status(&stage, alice).direct, status(&stage, alice).relay), (0, 1));
    stage.says(alice, bob, "by way of the coordinator");
    stage.seconds(1);
    assert_eq!(stage.texts(bob, alice, bob), ["by way of the coordinator"]);
}

#[test]
fn a_direct_way_that_falls_silent_is_replaced_within_fifteen_seconds_and_comes_back_within_sixty() {
    let (mut stage, alice, bob) = office();
    open(&mut stage, [alice, bob]);
    stage.seconds(5);
    assert!(both(&stage, alice, bob, Route::Direct));
    for at in [alice, bob] {
        stage.pcs[at].events.clear();
    }
    stage.cut(alice, bob);
    stage.says(alice, bob, "into the void?");
    stage.seconds(15);
    assert!(both(&stage, alice, bob, Route::Relay));
    stage.seconds(1);
    assert_eq!(stage.texts(bob, alice, bob), ["into the void?"]);
    let absences = |stage: &Stage, at: At| {
        stage.pcs[at].events.iter().filter(|event| matches!(event, Event::Presence { .. })).count()
    };
    assert_eq!((absences(&stage, alice), absences(&stage, bob)), (0, 0), "nobody was shown as gone");
    stage.seconds(120);
    assert!(both(&stage, alice, bob, Route::Relay));
    stage.heal();
    for n in 0..60 {
        stage.says(alice, bob, &format!("while moving {n}"));
        stage.seconds(1);
    }
    assert!(both(&stage, alice, bob, Route::Direct));
    assert_eq!(stage.texts(bob, alice, bob).len(), 61);
    assert_eq!(stage.open_links(alice, bob), 1, "the relayed link was closed");
}

#[test]
fn what_is_said_while_the_messages_change_links_and_back_arrives() {
    for (moment, turned) in (0..12).flat_map(|moment| [(moment, false), (moment, true)]) {
        let (mut stage, alice, bob) = office();
        let (alice, bob) = if turned { (bob, alice) } else { (alice, bob) };
        open(&mut stage, [alice, bob]);
        stage.seconds(5);
        stage.cut(alice, bob);
        while stage.open_links(alice, bob) < 2 {
            stage.run(stage::TICK);
        }
        stage.heal();
        stage.run(stage::TICK * moment);
        stage.says(alice, bob, "which way?");
        stage.seconds(30);
        assert_eq!(stage.texts(bob, alice, bob), ["which way?"], "said after {moment} ms");
        let told = |event: &Event| matches!(event, Event::Receipt { .. });
        assert!(stage.pcs[alice].events.iter().any(told), "said after {moment} ms, and no receipt");
        assert!(both(&stage, alice, bob, Route::Direct));
        assert_eq!(stage.open_links(alice, bob), 1);
    }
}

#[test]
fn a_break_of_five_seconds_changes_nothing() {
    let (mut stage, alice, bob) = office();
    open(&mut stage, [alice, bob]);
    stage.seconds(5);
    stage.pcs[alice].events.clear();
    let dials = stage.pcs[alice].dialled.len() + stage.pcs[bob].dialled.len();
    stage.cut(alice, bob);
    stage.seconds(5);
    stage.heal();
    stage.seconds(20);
    assert!(both(&stage, alice, bob, Route::Direct));
    assert_eq!(stage.pcs[alice].dialled.len() + stage.pcs[bob].dialled.len(), dials);
    assert!(stage.pcs[alice].events.is_empty());
}

#[test]
fn the_coordinator_restarts_and_relayed_pairs_are_back_within_thirty_seconds() {
    let (mut stage, alice, bob) = office();
    stage.cut(alice, bob);
    open(&mut stage, [alice, bob]);
    stage.seconds(10);
    for _ in 0..5 {
        stage.coordinator_down();
        stage.seconds(1);
        stage.coordinator_up();
        stage.seconds(30);
        assert!(both(&stage, alice, bob, Route::Relay));
    }
}

#[test]
fn a_network_change_ends_the_wait_for_a_direct_way() {
    let (mut stage, alice, bob) = office();
    stage.cut(alice, bob);
    open(&mut stage, [alice, bob]);
    stage.seconds(300);
    stage.heal();
    stage.input(alice, Input::NetworkChanged);
    stage.seconds(2);
    assert!(both(&stage, alice, bob, Route::Direct));
}

#[test]
fn announced_devices_find_each_other_without_any_coordinator() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.pc(1, "alice"), stage.pc(2, "bob"));
    for (here, there) in [(alice, bob), (bob, alice)] {
        let (device, endpoints) = (stage.pcs[there].device(), vec![stage.pcs[there].address]);
        stage.input(here, Input::Announced { device, endpoints });
    }
    stage.seconds(5);
    assert!(both(&stage, alice, bob, Route::Direct));
    assert_eq!(stage.open_links(alice, bob), 1);
}

#[test]
fn an_announcement_of_somebody_else_leads_nowhere_and_is_not_forgotten_while_it_stands() {
    let mut stage = Stage::new();
    let alice = stage.pc(1, "alice");
    let bob = stage.dark_pc(2, "bob");
    let (device, endpoints) = (stage.pcs[bob].device(), vec![stage.pcs[bob].address]);
    stage.input(alice, Input::Announced { device, endpoints });
    stage.seconds(60);
    let tries = stage.pcs[alice].dialled.len();
    assert!((2..20).contains(&tries), "{tries} tries in a minute");
    stage.input(alice, Input::NotAnnounced { device });
    stage.seconds(60);
    assert_eq!(stage.pcs[alice].dialled.len(), tries);
}

#[test]
fn who_asks_why_somebody_is_not_reached_sees_what_was_tried() {
    let (mut stage, alice, bob) = office();
    stage.coordinator.relays = false;
    stage.cut(alice, bob);
    open(&mut stage, [alice, bob]);
    stage.seconds(20);
    let ways = stage.pcs[alice].core.as_ref().unwrap().ways();
    let [way] = &ways[..] else { panic!("{ways:?}") };
    assert_eq!((way.route, way.wanted), (Route::None, true));
    let [address] = &way.addresses[..] else { panic!("{way:?}") };
    assert_eq!((address.endpoint, address.source), (stage.pcs[bob].address, Source::Coordinator));
    assert_eq!(address.failure.as_deref(), Some("unreachable"));
    assert!(address.tried_ago.is_some() && way.next_try.is_some());
}

#[test]
fn a_node_learns_whether_it_can_be_dialled() {
    for walled in [false, true] {
        let mut stage = Stage::new();
        let (alice, bob) = (stage.pc(1, "alice"), stage.pc(2, "bob"));
        stage.connect(alice, bob);
        stage.seconds(1);
        if walled {
            stage.wall(bob, alice);
        }
        let request = stage.command(alice, lanchat_node_core::Command::AskToBeDialled);
        stage.seconds(1);
        let Some(Ok(Answer::Dialled { by, ports })) = stage.pcs[alice].answers.get(&request) else {
            panic!("{:?}", stage.pcs[alice].answers)
        };
        assert_eq!(*by, Some(stage.pcs[bob].device()));
        let outcome = if walled { Dialled::Failed } else { Dialled::Reached };
        assert_eq!(ports.iter().map(|row| (row.port, row.outcome)).collect::<Vec<_>>(), [(7420, outcome)]);
        stage.seconds(10);
        assert_eq!(stage.open_links(alice, bob), 1, "one link is kept");
    }
}

#[test]
fn who_says_goodbye_and_is_back_before_the_coordinator_noticed_is_found_again() {
    let (mut stage, alice, bob) = office();
    stage.wall(bob, alice);
    open(&mut stage, [alice, bob]);
    stage.seconds(10);
    assert!(both(&stage, alice, bob, Route::Direct));
    stage.coordinator.blind = true;
    stage.stop(bob);
    stage.seconds(1);
    assert_eq!(stage.route(alice, bob), Route::None);
    stage.cut(alice, bob);
    stage.start_in_office(bob);
    stage.seconds(10);
    stage.heal();
    stage.wall(bob, alice);
    stage.seconds(60);
    assert!(both(&stage, alice, bob, Route::Direct));
}

#[test]
fn who_says_goodbye_and_is_still_announced_is_found_again() {
    let (mut stage, alice, bob) = office();
    stage.start_in_office(alice);
    stage.start(bob);
    stage.wall(bob, alice);
    let (device, endpoints) = (stage.pcs[bob].device(), vec![stage.pcs[bob].address]);
    stage.input(alice, Input::Announced { device, endpoints });
    stage.seconds(5);
    assert!(both(&stage, alice, bob, Route::Direct));
    stage.stop(bob);
    stage.seconds(5);
    assert_eq!(stage.route(alice, bob), Route::None);
    stage.start(bob);
    stage.seconds(30);
    assert!(both(&stage, alice, bob, Route::Direct));
}

#[test]
fn a_circuit_is_never_dialled_where_a_direct_way_works() {
    let (mut stage, alice, bob) = office();
    open(&mut stage, [alice, bob]);
    stage.seconds(60);
    assert!(both(&stage, alice, bob, Route::Direct));
    for at in [alice, bob] {
        let links = stage.pcs[at].dialled.iter().filter(|(.., channel)| *channel == Channel::Link).count();
        assert!(links <= 1, "{links}");
    }
}

#[test]
fn whoever_gets_a_new_address_is_linked_again_and_signed_in_within_ten_seconds() {
    let (mut stage, alice, bob) = office();
    open(&mut stage, [alice, bob]);
    stage.seconds(5);
    assert!(both(&stage, alice, bob, Route::Direct));
    for at in [alice, bob] {
        stage.pcs[at].events.clear();
    }
    stage.moves(bob, "192.168.1.77:7420".parse().unwrap());
    stage.seconds(7);
    assert!(both(&stage, alice, bob, Route::Direct));
    let shown = stage.view(alice, bob).unwrap().addr.unwrap();
    assert_eq!(shown.ip().to_string(), "192.168.1.77");
    assert_eq!(status(&stage, bob).coordinator, CoordinatorState::Connected);
    assert!(!stage.pcs[alice].events.iter().any(|event| matches!(event, Event::Presence { .. })));
}
