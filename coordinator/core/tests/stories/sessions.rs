//! Links: strangers, signing in, renewal, clones, logout, silence.

use crate::office::Office;
use lanchat_coordinator_core::limits::ENROL_DEADLINE;
use lanchat_coordinator_core::{Input, Registration};
use lanchat_proto::certificate::RevocationHead;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{Epoch, RealmId};
use lanchat_proto::limits::{HELLO_DEADLINE, LEASE, LINK_SUSPECT};
use lanchat_proto::signed::SecretKey;
use lanchat_proto::wire::coordinator::*;
use lanchat_proto::wire::link::{Heartbeat, Renewed};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn a_stranger_who_wants_more_than_to_enrol_is_shown_out() {
    let mut office = Office::new(Registration::Invite);
    let nosy = office.node("nosy");
    office.say(&nosy, Kind::FindUsers, &FindUsers { request: 5, query: Default::default() });
    assert_eq!(office.refusal(&nosy), Some(Refusal::NotSignedIn));
    assert!(office.closed.contains(&nosy.link));
}

#[test]
fn what_cannot_be_read_closes_the_link_and_an_unknown_kind_does_not() {
    let mut office = Office::new(Registration::Invite);
    let node = office.node("node");
    office.input(Input::Frame { link: node.link, frame: Frame { kind: 0x7777, payload: vec![1] } });
    assert!(!office.closed.contains(&node.link));
    office.input(Input::Frame { link: node.link, frame: Frame { kind: 0x0205, payload: vec![1] } });
    assert!(office.closed.contains(&node.link));
}

#[test]
fn a_silent_stranger_is_gone_soon_and_one_who_types_a_password_has_a_minute() {
    let mut office = Office::new(Registration::Invite);
    let (silent, typing) = (office.node("silent"), office.node("typing"));
    office.say(&typing, Kind::AskSalt, &AskSalt { request: 1, user: "alice".parse().unwrap() });
    office.wait(HELLO_DEADLINE);
    assert!(office.closed.contains(&silent.link) && !office.closed.contains(&typing.link));
    let second = Duration::from_secs(1);
    office.wait(ENROL_DEADLINE - HELLO_DEADLINE - second);
    assert!(!office.closed.contains(&typing.link));
    office.wait(second);
    assert!(office.closed.contains(&typing.link));
}

#[test]
fn signing_in_admits_the_link_and_says_the_address_seen() {
    let mut office = Office::new(Registration::Invite);
    let mut alice = office.node("alice");
    office.register(&mut alice);
    assert!(!office.admitted.contains(&alice.link));
    let signed_in = office.sign_in(&alice);
    assert!(office.admitted.contains(&alice.link));
    assert_eq!(signed_in.observed.to_string(), alice.address);
    assert!(signed_in.renewed.is_none() && signed_in.version == 1);
}

#[test]
fn a_certificate_of_elsewhere_is_not_accepted() {
    let mut office = Office::new(Registration::Invite);
    let mut alice = office.node("alice");
    office.register(&mut alice);
    let good = office.sign_in_with(&alice);
    let other_realm = SignIn { realm: RealmId([1; 32]), ..good.clone() };
    let no_version = SignIn { versions: lanchat_proto::codec::BoundedVec::first([99]), ..good.clone() };
    office.say(&alice, Kind::SignIn, &other_realm);
    assert_eq!(office.refusal(&alice), Some(Refusal::BadCertificate));
    office.say(&alice, Kind::SignIn, &no_version);
    assert_eq!(office.refusal(&alice), Some(Refusal::Version));
    let thief = office.node("thief");
    office.say(&thief, Kind::SignIn, &good);
    assert_eq!(office.refusal(&thief), Some(Refusal::BadCertificate));
    office.wait(Duration::from_secs(10));
    let mut late = alice.clone();
    office.now.wall = office.now.wall.plus(32 * DAY);
    office.connect(&mut late);
    office.ask_sign_in(&late);
    assert_eq!(office.refusal(&late), Some(Refusal::BadCertificate));
}

#[test]
fn a_certificate_is_renewed_at_sign_in_after_a_day() {
    let mut office = Office::new(Registration::Invite);
    let mut alice = office.member("alice");
    let old = alice.certificate.clone().unwrap().membership.peek().unwrap();
    office.now.wall = office.now.wall.plus(DAY);
    office.connect(&mut alice);
    let renewed = office.sign_in(&alice).renewed.expect("renewed").membership.peek().unwrap();
    assert!(renewed.serial > old.serial && renewed.not_after > old.not_after);
}

#[test]
fn a_certificate_is_renewed_every_day_on_an_open_session() {
    let mut office = Office::new(Registration::Invite);
    let alice = office.member("alice");
    office.now.wall = office.now.wall.plus(DAY);
    office.wait_with(Duration::from_secs(64), &[&alice]);
    let renewed: Vec<Renewed> = office.heard(&alice, Kind::Renewed);
    assert_eq!(renewed.len(), 1);
    assert_eq!(renewed[0].certificate.membership.peek().unwrap().device, alice.device());
    office.wait_with(Duration::from_secs(124), &[&alice]);
    assert!(office.heard::<Renewed>(&alice, Kind::Renewed).is_empty());
}

#[test]
fn of_two_copies_of_a_device_the_first_stays() {
    let mut office = Office::new(Registration::Invite);
    let alice = office.member("alice");
    let mut copy = alice.clone();
    copy.epoch = Epoch(999);
    office.connect(&mut copy);
    office.ask_sign_in(&copy);
    assert_eq!(office.refusal(&copy), Some(Refusal::Cloned));
    assert!(!office.closed.contains(&alice.link));
}

#[test]
fn a_device_that_comes_again_replaces_its_old_link() {
    let mut office = Office::new(Registration::Invite);
    let bob = office.member("bob");
    let alice = office.member("alice");
    office.tick();
    office.heard::<Delta>(&bob, Kind::Delta);
    let mut again = alice.clone();
    office.connect(&mut again);
    office.sign_in(&again);
    assert!(office.closed.contains(&alice.link) && !office.closed.contains(&again.link));
    office.wait_with(LEASE * 2, &[&bob, &again]);
    assert!(office.heard::<Delta>(&bob, Kind::Delta).is_empty());
}

#[test]
fn a_logged_out_device_needs_the_password() {
    let mut office = Office::new(Registration::Invite);
    let bob = office.member("bob");
    let mut alice = office.member("alice");
    office.say(&alice, Kind::Logout, &Logout { request: 4 });
    assert_eq!(office.heard::<Done>(&alice, Kind::Done), [Done { request: 4 }]);
    assert!(office.closed.contains(&alice.link));
    assert_eq!(office.heard::<lanchat_proto::wire::link::Revocations>(&bob, Kind::Revocations).len(), 1);
    office.connect(&mut alice);
    office.ask_sign_in(&alice);
    assert_eq!(office.refusal(&alice), Some(Refusal::Revoked));
    let enrolled = office.login(&mut alice);
    assert!(enrolled.first_device);
    office.sign_in(&alice);
}

#[test]
fn a_silent_session_is_asked_and_then_closed() {
    let mut office = Office::new(Registration::Invite);
    let alice = office.member("alice");
    office.wait(LINK_SUSPECT);
    assert_eq!(office.heard::<Heartbeat>(&alice, Kind::Heartbeat), [Heartbeat { answer: true }]);
    assert!(!office.closed.contains(&alice.link));
    office.wait(LEASE - LINK_SUSPECT);
    assert!(office.closed.contains(&alice.link));
}

#[test]
fn a_sign_of_life_is_answered_and_keeps_the_session() {
    let mut office = Office::new(Registration::Invite);
    let alice = office.member("alice");
    office.wait_with(LEASE * 4, &[&alice]);
    office.heard::<Heartbeat>(&alice, Kind::Heartbeat);
    office.say(&alice, Kind::Heartbeat, &Heartbeat { answer: true });
    assert_eq!(office.heard::<Heartbeat>(&alice, Kind::Heartbeat), [Heartbeat { answer: false }]);
    assert!(!office.closed.contains(&alice.link));
}

#[test]
fn a_device_that_lacks_acts_gets_them_with_the_sign_in() {
    let mut office = Office::new(Registration::Invite);
    let mut alice = office.member("alice");
    office.member("bob");
    let ban = |force| lanchat_coordinator_core::AdminCommand::Ban { user: "bob".parse().unwrap(), force };
    office.admin(ban(false)).unwrap();
    office.connect(&mut alice);
    let acts = office.sign_in(&alice).revocations;
    assert_eq!(acts.len(), 2);
    alice.heads = vec![RevocationHead { issuer: office.issuer(), number: 2, hash: acts[1].hash() }];
    office.connect(&mut alice);
    assert!(office.sign_in(&alice).revocations.is_empty());
    let (issuer, realm) = (office.issuer(), office.realm());
    let mut fold = lanchat_proto::certificate::Revocations::default();
    acts.iter().for_each(|act| assert_eq!(fold.apply(act, &realm, &issuer), Ok(true)));
    assert_eq!(fold.heads().count(), 1);
}

#[test]
fn a_flood_of_strangers_is_bounded() {
    let mut office = Office::new(Registration::Invite);
    let first = office.node("first");
    let remote = lanchat_proto::wire::Endpoint::new("10.0.0.1:1".parse().unwrap());
    for n in 0..lanchat_coordinator_core::limits::MAX_STRANGERS as u64 {
        let link = lanchat_coordinator_core::LinkId(1_000_000 + n);
        let device = SecretKey::from_seed(&[7; 32]).public();
        office.input(Input::Opened { link, device, remote, dial: None });
    }
    assert_eq!(office.closed.len(), 1);
    office.input(Input::Closed { link: first.link });
    office.node("second");
    assert_eq!(office.closed.len(), 1);
}
