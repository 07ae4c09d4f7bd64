//! Devices that ask for a way to each other.

use crate::office::{Node, Office, START, TERMS};
use lanchat_coordinator_core::limits::{CIRCUIT_WINDOW, CIRCUITS_IN_WINDOW, INTRODUCTIONS};
use lanchat_coordinator_core::{AdminCommand, Input, Registration};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::wire::coordinator::{Refusal, Refused};
use lanchat_proto::wire::reach::{Introduce, Introduced, Introduction, Knock, RelayTerms, Way};
use std::time::Duration;

fn asks(office: &mut Office, node: &Node, device: DeviceId, way: Way) -> Introduction {
    office.say(node, Kind::Introduce, &Introduce { request: 5, device, way });
    let mut answers = office.heard::<Introduction>(node, Kind::Introduction);
    assert_eq!((answers.len(), answers[0].request), (1, 5));
    answers.remove(0)
}

fn outcome(office: &mut Office, node: &Node, device: DeviceId, way: Way) -> Introduced {
    asks(office, node, device, way).outcome
}

#[test]
fn who_cannot_get_through_has_the_other_told_to_dial() {
    let mut office = Office::new(Registration::Invite);
    let (alice, bob) = (office.member("alice"), office.member("bob"));
    let answer = asks(&mut office, &alice, bob.device(), Way::DialBack);
    assert_eq!((answer.outcome, answer.wait_ms), (Introduced::Yes, 0));
    let knock = office.heard::<Knock>(&bob, Kind::Knock).pop().unwrap();
    assert_eq!((knock.device.device, knock.device.user), (alice.device(), alice.user.unwrap()));
    assert_eq!(knock.device.endpoints[0].to_string(), alice.address.replace("50000", "7420"));
    assert!(office.heard::<Knock>(&alice, Kind::Knock).is_empty());
}

#[test]
fn circuits_are_promised_only_where_they_are_carried() {
    let mut office = Office::new(Registration::Invite);
    let (alice, bob) = (office.member("alice"), office.member("bob"));
    assert_eq!(outcome(&mut office, &alice, bob.device(), Way::Circuit), Introduced::NoRelay);
    assert!(office.heard::<RelayTerms>(&alice, Kind::RelayTerms).is_empty());
    let mut office = Office::with_relay();
    let (alice, bob) = (office.member("alice"), office.member("bob"));
    assert_eq!(office.heard::<RelayTerms>(&alice, Kind::RelayTerms), [TERMS]);
    assert_eq!(outcome(&mut office, &alice, bob.device(), Way::Circuit), Introduced::Yes);
    assert!(office.heard::<Knock>(&bob, Kind::Knock).is_empty());
}

#[test]
fn the_terms_come_with_the_sign_in_and_again_when_the_relay_was_started_anew() {
    let mut office = Office::with_relay();
    let (mut alice, stranger) = (office.node("alice"), office.node("bob"));
    office.register(&mut alice);
    office.ask_sign_in(&alice);
    let told: Vec<u16> = office.inbox[&alice.link].iter().map(|frame| frame.kind).collect();
    let at = |kind: Kind| told.iter().position(|told| *told == kind.number()).unwrap();
    assert_eq!(at(Kind::RelayTerms), at(Kind::SignedIn) + 1);
    office.heard::<RelayTerms>(&alice, Kind::RelayTerms);
    office.input(Input::RelayRestarted);
    assert_eq!(office.heard::<RelayTerms>(&alice, Kind::RelayTerms), [TERMS]);
    assert!(office.heard::<RelayTerms>(&stranger, Kind::RelayTerms).is_empty());
}

#[test]
fn only_who_is_on_is_introduced_and_nobody_to_itself() {
    let mut office = Office::with_relay();
    let (alice, bob) = (office.member("alice"), office.member("bob"));
    for way in [Way::DialBack, Way::Circuit] {
        assert_eq!(outcome(&mut office, &alice, alice.device(), way), Introduced::No);
        assert_eq!(outcome(&mut office, &alice, DeviceId([8; 32]), way), Introduced::NotOn);
    }
    assert_eq!(outcome(&mut office, &alice, bob.device(), Way::Unknown), Introduced::No);
    // A broken link leaves the device on for a while, but nobody to be told.
    office.input(Input::Closed { link: bob.link });
    assert_eq!(outcome(&mut office, &alice, bob.device(), Way::DialBack), Introduced::NotOn);
    assert_eq!(outcome(&mut office, &alice, bob.device(), Way::Circuit), Introduced::NotOn);
}

#[test]
fn who_was_banned_or_kicked_is_introduced_to_nobody() {
    let mut office = Office::with_relay();
    let (alice, bob, carol) = (office.member("alice"), office.member("bob"), office.member("carol"));
    office.admin(AdminCommand::Ban { user: "bob".parse().unwrap(), force: false }).unwrap();
    office.admin(AdminCommand::Kick { user: "carol".parse().unwrap(), force: false }).unwrap();
    for gone in [&bob, &carol] {
        assert!(office.closed.contains(&gone.link));
        assert_eq!(outcome(&mut office, &alice, gone.device(), Way::Circuit), Introduced::NotOn);
        let ask = Introduce { request: 5, device: alice.device(), way: Way::Circuit };
        office.say(gone, Kind::Introduce, &ask);
        assert!(office.heard::<Introduction>(gone, Kind::Introduction).is_empty());
    }
}

#[test]
fn a_stranger_is_sent_away() {
    let mut office = Office::with_relay();
    let alice = office.member("alice");
    let stranger = office.node("bob");
    let ask = Introduce { request: 5, device: alice.device(), way: Way::DialBack };
    office.say(&stranger, Kind::Introduce, &ask);
    let refused = office.heard::<Refused>(&stranger, Kind::Refused).pop().unwrap();
    assert_eq!(refused.code, Refusal::NotSignedIn.number());
    assert!(office.closed.contains(&stranger.link));
    assert!(office.heard::<Knock>(&alice, Kind::Knock).is_empty());
}

#[test]
fn what_cannot_be_read_ends_the_link() {
    let mut office = Office::with_relay();
    let alice = office.member("alice");
    let frame = Frame { kind: Kind::Introduce.number(), payload: vec![1, 2, 3] };
    office.input(Input::Frame { link: alice.link, frame });
    assert!(office.closed.contains(&alice.link));
}

#[test]
fn circuits_to_one_device_are_spread() {
    let mut office = Office::with_relay();
    let bob = office.member("bob");
    let others: Vec<Node> = (0..20).map(|n| office.member(&format!("user{n}"))).collect();
    let waits: Vec<u128> = others
        .iter()
        .map(|other| asks(&mut office, other, bob.device(), Way::Circuit).wait_ms.into())
        .collect();
    let window = CIRCUIT_WINDOW.as_millis();
    assert!(waits.iter().enumerate().all(|(n, wait)| *wait == (n / CIRCUITS_IN_WINDOW) as u128 * window));
    // Another device has turns of its own.
    assert_eq!(asks(&mut office, &others[0], others[1].device(), Way::Circuit).wait_ms, 0);
    // Asked again, the turn is the same.
    assert_eq!(u128::from(asks(&mut office, &others[19], bob.device(), Way::Circuit).wait_ms), waits[19]);
}

#[test]
fn who_asks_without_end_gets_its_share_and_the_others_theirs() {
    let mut office = Office::with_relay();
    let (alice, bob, carol) = (office.member("alice"), office.member("bob"), office.member("carol"));
    for _ in 0..INTRODUCTIONS {
        assert_eq!(outcome(&mut office, &alice, bob.device(), Way::DialBack), Introduced::Yes);
    }
    assert_eq!(outcome(&mut office, &alice, bob.device(), Way::DialBack), Introduced::No);
    assert_eq!(outcome(&mut office, &alice, bob.device(), Way::Circuit), Introduced::No);
    assert_eq!(outcome(&mut office, &carol, bob.device(), Way::Circuit), Introduced::Yes);
    office.wait(Duration::from_secs(1));
    assert_eq!(outcome(&mut office, &alice, bob.device(), Way::Circuit), Introduced::Yes);
    assert!(office.now.wall > START && !office.closed.contains(&alice.link));
}

#[test]
fn introductions_do_not_wait_for_the_disk() {
    let mut office = Office::with_relay();
    let (alice, bob) = (office.member("alice"), office.member("bob"));
    let mut carol = office.node("carol");
    office.held = Some(Vec::new());
    let invite = office.state.standing_invite().unwrap().to_owned();
    office.ask_register(&carol, &invite);
    assert_eq!(outcome(&mut office, &alice, bob.device(), Way::Circuit), Introduced::Yes);
    office.release();
    office.enrolled(&mut carol);
}
