//! Stories of the session with the coordinator: sign-in, refusals, directory, presence, requests.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is a failed story; each story breaks in its own way"
)]

mod stage;

use lanchat_node_core::boot::Channel;
use lanchat_node_core::output::{CommandError, Event, Notice};
use lanchat_node_core::view::CoordinatorState;
use lanchat_node_core::{Command, Input};
use lanchat_proto::certificate::{Act, Certificate};
use lanchat_proto::codec::{BoundedVec, Text};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::names::{DisplayName, Note};
use lanchat_proto::wire::coordinator::{
    Announcement, Delta, DirectoryDevice, Done, Presence, Profile, Refusal, Refused, SetProfile,
};
use lanchat_proto::wire::link::Renewed;
use stage::org::{Org, key, user};
use stage::{DAWN, Stage};

fn state(stage: &Stage, at: usize) -> CoordinatorState {
    stage.pcs[at].core.as_ref().unwrap().status().coordinator
}

fn one() -> (Stage, usize) {
    let mut stage = Stage::new();
    let alice = stage.dark_pc(1, "alice");
    (stage, alice)
}

fn profile(stage: &Stage, name: &str, number: u8) -> Profile {
    let display = DisplayName::parse(&format!("{name} the great")).unwrap();
    let device = DirectoryDevice {
        device: key(number).public(),
        certificate: stage.org.certificate(name, number),
        chain: stage.org.first_chain(name, number),
    };
    Profile {
        user: user(name),
        name: name.parse().unwrap(),
        display_name: display,
        department: DisplayName::default(),
        title: DisplayName::default(),
        note: Note::default(),
        avatar: [0; 32],
        gone: false,
        last_seen: DAWN,
        devices: BoundedVec::first([device]),
    }
}

#[test]
fn a_device_signs_in_and_again_after_every_loss() {
    let (mut stage, alice) = one();
    stage.start_in_office(alice);
    stage.settle();
    assert_eq!(state(&stage, alice), CoordinatorState::Connected);
    stage.coordinator_down();
    stage.seconds(60);
    assert_eq!(state(&stage, alice), CoordinatorState::Reconnecting);
    let tries =
        stage.pcs[alice].dialled.iter().filter(|(.., channel)| *channel == Channel::Coordinator).count();
    assert!((10..60).contains(&tries), "{tries} tries in a minute");
    stage.coordinator_up();
    stage.seconds(6);
    assert_eq!(state(&stage, alice), CoordinatorState::Connected);
    assert_eq!(stage.coordinator.sign_ins.len(), 2);
}

#[test]
fn only_the_pinned_organisation_is_believed() {
    let (mut stage, alice) = one();
    let other = Org::with(100);
    let good = stage.coordinator.welcome.clone();
    stage.coordinator.welcome.root = other.root.public();
    stage.coordinator.welcome.issuing = other.issuing();
    stage.start_in_office(alice);
    stage.settle();
    assert_eq!(state(&stage, alice), CoordinatorState::Refused(Refusal::BadCertificate));
    assert!(stage.coordinator.sign_ins.is_empty(), "nothing is told to it");
    stage.coordinator.welcome = good;
    stage.seconds(61);
    assert_eq!(state(&stage, alice), CoordinatorState::Connected);
}

#[test]
fn whoever_has_to_log_in_again_does_not_knock_any_more() {
    for refusal in [Refusal::Revoked, Refusal::BadCertificate] {
        let (mut stage, alice) = one();
        stage.coordinator.refuse = Some(refusal);
        stage.start_in_office(alice);
        stage.seconds(300);
        assert_eq!(state(&stage, alice), CoordinatorState::Refused(refusal));
        assert_eq!(stage.pcs[alice].notices(), [Notice::SignedOut(refusal)]);
        assert_eq!(stage.coordinator.sign_ins.len(), 1);
    }
}

#[test]
fn a_ban_is_asked_about_once_a_minute_and_told_once() {
    let (mut stage, alice) = one();
    stage.coordinator.refuse = Some(Refusal::Banned);
    stage.start_in_office(alice);
    stage.seconds(200);
    assert_eq!(stage.pcs[alice].notices(), [Notice::SignedOut(Refusal::Banned)]);
    assert_eq!(stage.coordinator.sign_ins.len(), 4);
    stage.coordinator.refuse = None;
    stage.seconds(61);
    assert_eq!(state(&stage, alice), CoordinatorState::Connected);
}

#[test]
fn a_device_taken_for_a_copy_of_its_own_crashed_run_gets_in_soon() {
    let (mut stage, alice) = one();
    stage.coordinator.refuse = Some(Refusal::Cloned);
    stage.start_in_office(alice);
    stage.settle();
    assert_eq!(state(&stage, alice), CoordinatorState::Refused(Refusal::Cloned));
    stage.coordinator.refuse = None;
    stage.seconds(11);
    assert_eq!(state(&stage, alice), CoordinatorState::Connected);
}

#[test]
fn while_a_copy_is_on_a_device_asks_once_a_minute_and_tells_it_once() {
    let (mut stage, alice) = one();
    stage.coordinator.refuse = Some(Refusal::Cloned);
    stage.start_in_office(alice);
    stage.seconds(200);
    assert_eq!(stage.pcs[alice].notices(), [Notice::SignedOut(Refusal::Cloned)]);
    assert_eq!(stage.coordinator.sign_ins.len(), 5);
}

#[test]
fn a_renewed_certificate_is_kept_and_shown_to_peers() {
    let (mut stage, alice) = one();
    let bob = stage.pc(2, "bob");
    stage.connect(bob, alice);
    let mut membership = stage.org.membership("alice", key(1).public());
    membership.serial = 200;
    stage.coordinator.renewed = Some(stage.org.sign(&membership));
    stage.start_in_office(alice);
    stage.connect(bob, alice);
    stage.settle();
    let kept = stage.pcs[alice].disk.own().unwrap().0.membership.peek().unwrap();
    assert_eq!(kept.serial, 200);
    let stored = stage.pcs[bob].disk.stored();
    let known = stored.devices.iter().find(|known| known.user == user("alice")).unwrap();
    assert_eq!(known.certificate.membership.peek().unwrap().serial, 200);
    // A long session asks again.
    stage.seconds(25 * 3600);
    assert_eq!(stage.coordinator.sign_ins.len(), 2);
    assert_eq!(state(&stage, alice), CoordinatorState::Connected);
}

#[test]
fn a_certificate_renewed_during_a_session_is_kept_and_shown_to_peers() {
    let (mut stage, alice) = one();
    let bob = stage.pc(2, "bob");
    stage.start_in_office(alice);
    stage.connect(bob, alice);
    stage.settle();
    let link = *stage.coordinator.links.keys().next().unwrap();
    let chain = stage.org.first_chain("alice", 1);
    for serial in [200, 150] {
        let mut membership = stage.org.membership("alice", key(1).public());
        membership.serial = serial;
        let renewed = Renewed { certificate: stage.org.sign(&membership), chain: chain.clone() };
        stage.coordinator_sends(vec![(link, Frame::new(Kind::Renewed, &renewed).unwrap())]);
        stage.settle();
    }
    let serial = |certificate: &Certificate| certificate.membership.peek().unwrap().serial;
    assert_eq!(serial(&stage.pcs[alice].disk.own().unwrap().0), 200, "an older one is not taken back");
    let stored = stage.pcs[bob].disk.stored();
    let known = stored.devices.iter().find(|known| known.user == user("alice")).unwrap();
    assert_eq!(serial(&known.certificate), 200);
    assert_eq!(stage.coordinator.sign_ins.len(), 1);
    // One for somebody else ends the session, and nothing of it is kept.
    let renewed = Renewed { certificate: stage.org.certificate("bob", 2), chain };
    stage.coordinator_sends(vec![(link, Frame::new(Kind::Renewed, &renewed).unwrap())]);
    stage.seconds(10);
    assert_eq!(serial(&stage.pcs[alice].disk.own().unwrap().0), 200);
    assert_eq!(stage.coordinator.sign_ins.len(), 2);
}

#[test]
fn whoever_is_thrown_out_during_a_session_is_told_why() {
    for (refusal, tries) in [(Refusal::Revoked, 1), (Refusal::Banned, 2)] {
        let (mut stage, alice) = one();
        stage.start_in_office(alice);
        stage.settle();
        let link = *stage.coordinator.links.keys().next().unwrap();
        let refused = Refused { request: 0, code: refusal.number(), retry_after_ms: 0 };
        stage.coordinator_sends(vec![(link, Frame::new(Kind::Refused, &refused).unwrap())]);
        stage.coordinator.refuse = Some(refusal);
        stage.seconds(70);
        assert_eq!(state(&stage, alice), CoordinatorState::Refused(refusal));
        assert_eq!(stage.pcs[alice].notices(), [Notice::SignedOut(refusal)]);
        assert_eq!(stage.coordinator.sign_ins.len(), tries);
    }
}

#[test]
fn the_directory_names_people_who_were_never_met() {
    let (mut stage, alice) = one();
    stage.coordinator.profiles =
        ["bob", "carol", "dave"].iter().zip(2..).map(|(name, n)| profile(&stage, name, n)).collect();
    stage.start_in_office(alice);
    stage.settle();
    let names = |stage: &Stage| -> Vec<String> {
        let users = stage.pcs[alice].core.as_ref().unwrap().users();
        users.into_iter().map(|view| view.display_name).collect()
    };
    assert_eq!(names(&stage), ["bob the great", "carol the great", "dave the great"]);
    let request =
        stage.command(alice, Command::SendText { to: user("bob"), text: "for later".into(), reply_to: None });
    stage.settle();
    assert!(stage.is_sent(alice, request));
    // Kept over a restart, with the mark, so that only news are asked for.
    stage.coordinator_down();
    stage.crash(alice);
    stage.start_in_office(alice);
    assert_eq!(names(&stage).len(), 3);
    stage.coordinator_up();
    stage.seconds(6);
    assert_eq!(stage.coordinator.sign_ins.last().unwrap().directory.version, 3);
}

#[test]
fn a_gap_or_another_run_asks_for_a_snapshot() {
    let (mut stage, alice) = one();
    stage.start_in_office(alice);
    stage.settle();
    let asks = |stage: &Stage| {
        stage.coordinator.seen.iter().filter(|(_, frame)| frame.known() == Some(Kind::AskSnapshot)).count()
    };
    let link = *stage.coordinator.links.keys().next().unwrap();
    let say = |stage: &mut Stage, run: u64, number: u64| {
        let delta = Delta { run, number, changes: BoundedVec::empty() };
        stage.coordinator_sends(vec![(link, Frame::new(Kind::Delta, &delta).unwrap())]);
        stage.settle();
    };
    let (run, number) = (stage.coordinator.run, stage.coordinator.number);
    say(&mut stage, run, number + 1);
    assert_eq!(asks(&stage), 0);
    stage.coordinator.number = number + 1;
    say(&mut stage, run, number + 1);
    assert_eq!(asks(&stage), 0, "an old number is no gap");
    say(&mut stage, run, number + 3);
    assert_eq!(asks(&stage), 1);
    say(&mut stage, run + 9, 1);
    assert_eq!(asks(&stage), 2);
    assert_eq!(state(&stage, alice), CoordinatorState::Connected);
}

#[test]
fn presence_and_addresses_are_reported_when_they_change() {
    let (mut stage, alice) = one();
    let bob = stage.dark_pc(2, "bob");
    stage.start_in_office(alice);
    stage.start_in_office(bob);
    stage.settle();
    stage.command(alice, Command::SetPresence { presence: Presence::Busy });
    stage.settle();
    assert_eq!(stage.view(bob, alice).unwrap().presence, Some(Presence::Busy));
    let shown = Event::Presence { user: stage.pcs[alice].user, presence: Some(Presence::Busy) };
    let told = stage.pcs[bob].events.iter().filter(|event| format!("{event:?}") == format!("{shown:?}"));
    assert_eq!(told.count(), 1);
    stage.input(alice, Input::Listening { endpoints: Vec::new(), subnets: Vec::new() });
    stage.settle();
    assert!(stage.coordinator.online[&stage.pcs[alice].device()].endpoints.is_empty());
}

#[test]
fn requests_are_carried_and_answered_or_time_out() {
    let (mut stage, alice) = one();
    let change = || Command::SetProfile {
        display_name: None,
        department: None,
        title: None,
        note: Some(Note::parse("back at 3").unwrap()),
        avatar: None,
    };
    stage.start_in_office(alice);
    let early = stage.command(alice, change());
    assert!(matches!(stage.answer(alice, early), Some(Err(CommandError::NoCoordinator))));
    stage.settle();
    let late = stage.command(alice, change());
    stage.seconds(9);
    assert!(stage.answer(alice, late).is_none());
    stage.seconds(2);
    assert!(matches!(stage.answer(alice, late), Some(Err(CommandError::TimedOut))));
    let fine = stage.command(alice, change());
    stage.run(stage::TICK * 3);
    let (link, frame) = stage.coordinator.seen.last().cloned().unwrap();
    let asked: SetProfile = frame.decode().unwrap();
    assert_eq!(asked.note.unwrap().as_str(), "back at 3");
    let done = Frame::new(Kind::Done, &Done { request: asked.request }).unwrap();
    stage.coordinator_sends(vec![(link, done)]);
    stage.settle();
    assert!(matches!(stage.answer(alice, fine), Some(Ok(_))));
    let lost = stage.command(alice, Command::Logout);
    stage.coordinator_down();
    stage.settle();
    assert!(matches!(stage.answer(alice, lost), Some(Err(CommandError::NoCoordinator))));
}

#[test]
fn an_announcement_is_shown_once() {
    let (mut stage, alice) = one();
    stage.start_in_office(alice);
    stage.settle();
    let link = *stage.coordinator.links.keys().next().unwrap();
    let announcement = Announcement { number: 4, at: DAWN, text: Text::new("lunch").unwrap() };
    let frame = Frame::new(Kind::Announcement, &announcement).unwrap();
    stage.coordinator_sends(vec![(link, frame.clone()), (link, frame)]);
    stage.settle();
    assert_eq!(stage.pcs[alice].notices(), [Notice::Announcement { at: DAWN, text: "lunch".into() }]);
    assert_eq!(stage.pcs[alice].disk.announcements().len(), 1);
}

#[test]
fn a_ban_reaches_peers_that_the_coordinator_does_not() {
    let (mut stage, alice) = one();
    let (bob, carol) = (stage.pc(2, "bob"), stage.pc(3, "carol"));
    stage.connect(bob, carol);
    let ban = stage.org.act(Act::Ban(stage.pcs[carol].user));
    stage.coordinator.acts.push(ban);
    stage.start_in_office(alice);
    stage.settle();
    assert_eq!(stage.open_links(bob, carol), 1);
    stage.connect(alice, bob);
    stage.run(stage::TICK * 20);
    assert_eq!(stage.open_links(bob, carol), 0);
}

#[test]
fn two_lists_for_one_number_are_told_to_the_user() {
    let (mut stage, alice) = one();
    stage.start_in_office(alice);
    stage.settle();
    let link = *stage.coordinator.links.keys().next().unwrap();
    let issuer = stage.org.issuer.public();
    for name in ["x1", "x2"] {
        let act = stage.org.act_at(1, [0; 32], Act::Ban(user(name)));
        let acts = BoundedVec::first([act]);
        let frame = lanchat_proto::wire::link::Revocations { anchor: stage.org.anchor(), acts };
        stage.coordinator_sends(vec![(link, Frame::new(Kind::Revocations, &frame).unwrap())]);
    }
    stage.settle();
    assert_eq!(stage.pcs[alice].notices(), [Notice::RevocationConflict { issuer }]);
}

#[test]
fn the_coordinators_clock_corrects_ours_and_is_remembered() {
    let (mut stage, alice) = one();
    stage.pcs[alice].skew = 7_200_000;
    stage.start_in_office(alice);
    stage.settle();
    let offset = |stage: &Stage| stage.pcs[alice].core.as_ref().unwrap().status().clock_offset;
    assert!((offset(&stage) + 7_200_000).abs() < 1000);
    assert!(matches!(stage.pcs[alice].notices().as_slice(), [Notice::ClockWrong(_)]));
    stage.coordinator_down();
    stage.crash(alice);
    stage.start_in_office(alice);
    assert!((offset(&stage) + 7_200_000).abs() < 1000);
}
