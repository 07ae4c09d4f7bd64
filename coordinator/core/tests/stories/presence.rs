//! Who is on, what is told of it, and the directory.

use crate::office::{Node, Office, START};
use lanchat_coordinator_core::{Input, Registration};
use lanchat_proto::codec::{Blob, BoundedVec};
use lanchat_proto::frame::Kind;
use lanchat_proto::limits::LEASE;
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::coordinator::*;
use lanchat_proto::wire::link::{Goodbye, GoodbyeReason};
use std::time::Duration;

fn online(deltas: &[Delta], node: &Node) -> bool {
    deltas
        .iter()
        .flat_map(|delta| delta.changes.iter())
        .any(|change| matches!(change, Change::Online(row) if row.device == node.device()))
}

fn offline(deltas: &[Delta], node: &Node) -> bool {
    deltas
        .iter()
        .flat_map(|delta| delta.changes.iter())
        .any(|change| matches!(change, Change::Offline { device, .. } if *device == node.device()))
}

fn goodbye(office: &mut Office, node: &Node) {
    office.say(node, Kind::Goodbye, &Goodbye { reason: GoodbyeReason::Leaving });
}

#[test]
fn a_newcomer_gets_directory_then_snapshot_and_the_others_a_delta() {
    let mut office = Office::new(Registration::Invite);
    let alice = office.member("alice");
    office.heard::<Delta>(&alice, Kind::Delta);
    let bob = office.member("bob");
    let order: Vec<u16> = office.inbox[&bob.link].iter().map(|frame| frame.kind).collect();
    assert_eq!(order.last(), Some(&Kind::Snapshot.number()));
    let pages: Vec<Directory> = office.heard(&bob, Kind::Directory);
    assert!(pages[0].fresh && pages.last().unwrap().last);
    assert_eq!(pages.iter().map(|page| page.profiles.len()).sum::<usize>(), 2);
    let snapshot: Snapshot = office.heard(&bob, Kind::Snapshot).pop().unwrap();
    assert!(snapshot.first && snapshot.last && snapshot.devices.len() == 2);
    let deltas: Vec<Delta> = office.heard(&alice, Kind::Delta);
    assert!(online(&deltas, &bob));
    assert_eq!(deltas.last().unwrap().number, snapshot.number);
    let profiles: Vec<Directory> = office.heard(&alice, Kind::Directory);
    assert!(profiles.iter().flat_map(|page| page.profiles.iter()).any(|p| p.name.as_str() == "bob"));
}

#[test]
fn deltas_are_numbered_without_gaps_and_go_on_from_the_snapshot() {
    let mut office = Office::new(Registration::Invite);
    let alice = office.member("alice");
    let snapshot: Snapshot = office.heard(&alice, Kind::Snapshot).pop().unwrap();
    office.member("bob");
    let carol = office.member("carol");
    goodbye(&mut office, &carol);
    office.tick();
    let numbers: Vec<u64> = office.heard::<Delta>(&alice, Kind::Delta).iter().map(|d| d.number).collect();
    let expected: Vec<u64> = (1..=numbers.len() as u64).map(|n| snapshot.number + n).collect();
    assert_eq!(numbers, expected);
    assert_eq!(numbers.len(), 3);
}

#[test]
fn changes_within_a_tick_make_one_delta_shared_by_all() {
    let mut office = Office::new(Registration::Invite);
    let (alice, bob) = (office.member("alice"), office.member("bob"));
    let (mut carol, mut dave) = (office.node("carol"), office.node("dave"));
    office.register(&mut carol);
    office.register(&mut dave);
    office.tick();
    office.inbox.clear();
    office.ask_sign_in(&carol);
    office.ask_sign_in(&dave);
    office.tick();
    let frames = |node: &Node| -> Vec<_> {
        office.inbox[&node.link].iter().filter(|f| f.kind == Kind::Delta.number()).cloned().collect()
    };
    let (to_alice, to_bob) = (frames(&alice), frames(&bob));
    assert_eq!(to_alice.len(), 1);
    assert!(std::sync::Arc::ptr_eq(&to_alice[0], &to_bob[0]));
}

#[test]
fn a_goodbye_is_told_at_once() {
    let mut office = Office::new(Registration::Invite);
    let (alice, bob) = (office.member("alice"), office.member("bob"));
    goodbye(&mut office, &bob);
    office.tick();
    let deltas: Vec<Delta> = office.heard(&alice, Kind::Delta);
    assert!(offline(&deltas, &bob));
    assert!(office.closed.contains(&bob.link));
}

#[test]
fn a_broken_link_is_an_absence_only_after_the_lease() {
    let mut office = Office::new(Registration::Invite);
    let (alice, bob) = (office.member("alice"), office.member("bob"));
    office.heard::<Delta>(&alice, Kind::Delta);
    office.input(Input::Closed { link: bob.link });
    office.wait_with(Duration::from_secs(14), &[&alice]);
    assert!(office.heard::<Delta>(&alice, Kind::Delta).is_empty());
    office.wait_with(Duration::from_secs(2), &[&alice]);
    assert!(offline(&office.heard::<Delta>(&alice, Kind::Delta), &bob));
}

#[test]
fn who_comes_back_within_the_lease_was_never_away() {
    let mut office = Office::new(Registration::Invite);
    let (alice, mut bob) = (office.member("alice"), office.member("bob"));
    office.heard::<Delta>(&alice, Kind::Delta);
    office.input(Input::Closed { link: bob.link });
    office.wait(Duration::from_secs(5));
    office.connect(&mut bob);
    office.sign_in(&bob);
    office.wait_with(LEASE * 2, &[&alice, &bob]);
    assert!(office.heard::<Delta>(&alice, Kind::Delta).is_empty());
}

#[test]
fn silence_ends_in_an_absence_with_the_time_last_heard() {
    let mut office = Office::new(Registration::Invite);
    let (alice, bob) = (office.member("alice"), office.member("bob"));
    let last = office.now.wall;
    office.wait_with(Duration::from_secs(20), &[&alice]);
    let deltas: Vec<Delta> = office.heard(&alice, Kind::Delta);
    let seen = deltas.iter().flat_map(|delta| delta.changes.iter()).find_map(|change| match change {
        Change::Offline { device, last_seen } if *device == bob.device() => Some(*last_seen),
        _ => None,
    });
    assert!(seen.is_some_and(|seen| seen <= last && seen > START));
}

#[test]
fn addresses_and_mood_are_told_when_they_change() {
    let mut office = Office::new(Registration::Invite);
    let (alice, bob) = (office.member("alice"), office.member("bob"));
    office.heard::<Delta>(&alice, Kind::Delta);
    let endpoints = BoundedVec::first([Endpoint::new("10.7.0.9:7420".parse().unwrap())]);
    let report = DeviceReport { endpoints, presence: Presence::Busy, ..DeviceReport::default() };
    office.say(&bob, Kind::Report, &Report { report: report.clone() });
    office.tick();
    let deltas: Vec<Delta> = office.heard(&alice, Kind::Delta);
    let Change::Online(row) = &deltas[0].changes[0] else { panic!() };
    assert_eq!(row.presence, Presence::Busy);
    let told: Vec<String> = row.endpoints.iter().map(ToString::to_string).collect();
    let observed = bob.address.replace("50000", "7420");
    assert_eq!(told, [observed, "10.7.0.9:7420".into()]);
    office.say(&bob, Kind::Report, &Report { report });
    office.tick();
    assert!(office.heard::<Delta>(&alice, Kind::Delta).is_empty());
}

#[test]
fn a_snapshot_is_given_again_when_asked_for() {
    let mut office = Office::new(Registration::Invite);
    let alice = office.member("alice");
    office.heard::<Snapshot>(&alice, Kind::Snapshot);
    office.say(&alice, Kind::AskSnapshot, &AskSnapshot { run: 1 });
    office.tick();
    assert_eq!(office.heard::<Snapshot>(&alice, Kind::Snapshot).len(), 1);
}

#[test]
fn a_copy_of_the_directory_gets_only_what_it_lacks() {
    let mut office = Office::new(Registration::Invite);
    let mut alice = office.member("alice");
    let mark = office.heard::<Directory>(&alice, Kind::Directory).pop().unwrap().mark;
    office.member("bob");
    alice.mark = mark;
    office.connect(&mut alice);
    office.sign_in(&alice);
    let pages: Vec<Directory> = office.heard(&alice, Kind::Directory);
    let names: Vec<&str> =
        pages.iter().flat_map(|page| page.profiles.iter()).map(|profile| profile.name.as_str()).collect();
    assert_eq!(names, ["bob"]);
    assert!(pages.iter().all(|page| !page.fresh));
    alice.mark = pages.last().unwrap().mark;
    office.connect(&mut alice);
    office.sign_in(&alice);
    let pages: Vec<Directory> = office.heard(&alice, Kind::Directory);
    assert!(pages.len() == 1 && pages[0].profiles.is_empty() && pages[0].last);
    alice.mark.generation += 1;
    office.connect(&mut alice);
    office.sign_in(&alice);
    assert!(office.heard::<Directory>(&alice, Kind::Directory)[0].fresh);
}

#[test]
fn a_large_directory_comes_in_pages_that_add_up() {
    let mut office = Office::new(Registration::Invite);
    for n in 0..120 {
        let mut node = office.node(&format!("user{n}"));
        office.register(&mut node);
        office.input(Input::Closed { link: node.link });
    }
    let alice = office.member("alice");
    office.wait(Duration::from_secs(1));
    let pages: Vec<Directory> = office.heard(&alice, Kind::Directory);
    assert_eq!(pages.iter().map(|page| page.profiles.len()).sum::<usize>(), 121);
    assert_eq!(pages.iter().filter(|page| page.last).count(), 1);
    assert_eq!(pages.iter().filter(|page| page.fresh).count(), 1);
    assert_eq!(office.heard::<Snapshot>(&alice, Kind::Snapshot).len(), 1);
}

#[test]
fn a_changed_profile_reaches_everybody_with_its_avatar_on_demand() {
    let mut office = Office::new(Registration::Invite);
    let (alice, bob) = (office.member("alice"), office.member("bob"));
    office.heard::<Directory>(&alice, Kind::Directory);
    let set = SetProfile {
        request: 6,
        display_name: Some(lanchat_proto::names::DisplayName::parse("李雷").unwrap()),
        avatar: Some(Blob::new(vec![1, 2, 3]).unwrap()),
        ..SetProfile::default()
    };
    office.say(&bob, Kind::SetProfile, &set);
    assert_eq!(office.heard::<Done>(&bob, Kind::Done), [Done { request: 6 }]);
    office.tick();
    let page = office.heard::<Directory>(&alice, Kind::Directory).pop().unwrap();
    assert_eq!(page.profiles[0].display_name.as_str(), "李雷");
    assert_eq!(page.profiles[0].name.as_str(), "bob");
    assert_ne!(page.profiles[0].avatar, [0; 32]);
    office.say(&alice, Kind::AskAvatar, &AskAvatar { request: 7, user: bob.user.unwrap() });
    let avatar = office.heard::<Avatar>(&alice, Kind::Avatar).pop().unwrap();
    assert_eq!(&*avatar.picture, [1, 2, 3]);
}

#[test]
fn people_are_found_by_login_name_and_department() {
    let mut office = Office::new(Registration::Invite);
    let (alice, bob) = (office.member("alice"), office.member("bob"));
    let department = |user: &str, name: &str| lanchat_coordinator_core::AdminCommand::Department {
        user: user.parse().unwrap(),
        name: lanchat_proto::names::DisplayName::parse(name).unwrap(),
    };
    office.admin(department("bob", "Buchhaltung")).unwrap();
    let mut find = |text: &str| {
        let query = lanchat_proto::names::DisplayName::parse(text).unwrap();
        office.say(&alice, Kind::FindUsers, &FindUsers { request: 8, query });
        office.heard::<FoundUsers>(&alice, Kind::FoundUsers).pop().unwrap().users.into_vec()
    };
    assert_eq!(find("BUCH"), [bob.user.unwrap()]);
    assert_eq!(find("bo"), [bob.user.unwrap()]);
    assert_eq!(find("").len(), 2);
    assert_eq!(find("zzz"), []);
}

#[test]
fn who_stops_in_order_announces_nobody_offline() {
    let mut office = Office::new(Registration::Invite);
    let (alice, bob) = (office.member("alice"), office.member("bob"));
    office.heard::<Delta>(&alice, Kind::Delta);
    office.input(Input::Stop);
    assert!(office.closed.contains(&alice.link) && office.closed.contains(&bob.link));
    office.wait(LEASE * 2);
    assert!(office.heard::<Delta>(&alice, Kind::Delta).is_empty());
    assert!(office.state.is_idle());
    assert!(office.disk.accounts.iter().all(|account| account.last_seen >= START));
}
