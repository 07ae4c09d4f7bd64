//! Registering, logging in, passwords, invites.

use crate::office::{Office, proof};
use lanchat_coordinator_core::{AdminCommand, AdminResult, Registration};
use lanchat_proto::frame::Kind;
use lanchat_proto::wire::coordinator::*;
use std::time::Duration;

fn salt(office: &mut Office, asker: &crate::office::Node, user: &str) -> [u8; 16] {
    office.say(asker, Kind::AskSalt, &AskSalt { request: 1, user: user.parse().unwrap() });
    office.heard::<Salt>(asker, Kind::Salt).pop().unwrap().salt
}

#[test]
fn a_stranger_hears_who_the_coordinator_is() {
    let mut office = Office::new(Registration::Invite);
    let alice = office.node("alice");
    let welcome: Welcome = office.heard(&alice, Kind::Welcome).pop().unwrap();
    assert_eq!(&*welcome.org, "Office");
    assert_eq!(lanchat_proto::ids::RealmId::of_root(&welcome.root), office.realm());
    assert!(welcome.issuing.open(&welcome.root).is_ok());
}

#[test]
fn registering_gives_a_certificate_that_holds() {
    let mut office = Office::new(Registration::Invite);
    let mut alice = office.node("alice");
    let enrolled = office.register(&mut alice);
    assert!(enrolled.first_device && !enrolled.must_change_password);
    let (realm, device) = (office.realm(), alice.device());
    let member = enrolled.certificate.check(&realm, &device, office.now.wall, &Default::default()).unwrap();
    assert_eq!(member.membership.user, enrolled.user);
    assert_eq!(member.membership.name.as_str(), "alice");
    assert_eq!(member.issuer, office.issuer());
}

#[test]
fn without_an_invite_nobody_learns_whether_a_name_is_taken() {
    let mut office = Office::new(Registration::Invite);
    office.member("alice");
    for name in ["alice", "bob", "system"] {
        let stranger = office.node(name);
        office.ask_register(&stranger, "wrong");
        assert_eq!(office.refusal(&stranger), Some(Refusal::InviteNeeded));
    }
}

#[test]
fn a_taken_a_reserved_name_and_a_closed_door_are_said() {
    let mut office = Office::new(Registration::Open);
    office.member("alice");
    let other = office.node("alice");
    office.ask_register(&other, "");
    assert_eq!(office.refusal(&other), Some(Refusal::NameTaken));
    let system = office.node("system");
    office.ask_register(&system, "");
    assert_eq!(office.refusal(&system), Some(Refusal::NameReserved));
    let mut closed = Office::new(Registration::Closed);
    let bob = closed.node("bob");
    closed.ask_register(&bob, "");
    assert_eq!(closed.refusal(&bob), Some(Refusal::RegistrationClosed));
    assert!(closed.state.standing_invite().is_none());
}

#[test]
fn an_invite_serves_as_often_and_as_long_as_the_admin_said() {
    let mut office = Office::new(Registration::Invite);
    let command = AdminCommand::Invite { uses: 1, lifetime: Some(Duration::from_secs(100)) };
    let Ok(AdminResult::Invite(one)) = office.admin(command.clone()) else { panic!() };
    let (mut alice, bob) = (office.node("alice"), office.node("bob"));
    office.ask_register(&alice, &one.code);
    office.enrolled(&mut alice);
    office.ask_register(&bob, &one.code);
    assert_eq!(office.refusal(&bob), Some(Refusal::InviteNeeded));
    let Ok(AdminResult::Invite(late)) = office.admin(command) else { panic!() };
    office.wait(Duration::from_secs(101));
    let bob = office.node("bob");
    office.ask_register(&bob, &late.code);
    assert_eq!(office.refusal(&bob), Some(Refusal::InviteNeeded));
}

#[test]
fn a_rotated_standing_invite_ends_the_old_one() {
    let mut office = Office::new(Registration::Invite);
    let old = office.invite();
    let Ok(AdminResult::Invite(new)) = office.admin(AdminCommand::RotateInvite) else { panic!() };
    assert_eq!(office.invite(), new.code);
    let mut alice = office.node("alice");
    office.ask_register(&alice, &old);
    assert_eq!(office.refusal(&alice), Some(Refusal::InviteNeeded));
    office.register(&mut alice);
}

#[test]
fn every_name_has_a_salt_that_never_changes() {
    let mut office = Office::new(Registration::Invite);
    let stranger = office.node("x1");
    let before = salt(&mut office, &stranger, "alice");
    assert_ne!(before, salt(&mut office, &stranger, "bob"));
    office.member("alice");
    let mut office = office.crash();
    let stranger = office.node("x1");
    assert_eq!(before, salt(&mut office, &stranger, "alice"));
}

#[test]
fn an_unknown_user_and_a_wrong_password_look_the_same() {
    let mut office = Office::new(Registration::Invite);
    office.member("alice");
    for name in ["alice", "nobody"] {
        let node = office.node(name);
        office.ask_login(&node, "wrong");
        let refused = office.heard::<Refused>(&node, Kind::Refused);
        assert_eq!(
            refused,
            [Refused { request: 2, code: Refusal::WrongPassword.number(), retry_after_ms: 0 }]
        );
    }
}

#[test]
fn a_second_device_logs_in_and_is_not_the_first() {
    let mut office = Office::new(Registration::Invite);
    let alice = office.member("alice");
    let mut second = office.node("alice");
    let enrolled = office.login(&mut second);
    assert_eq!(Some(enrolled.user), alice.user);
    assert!(!enrolled.first_device);
    office.sign_in(&second);
}

#[test]
fn guessing_is_slowed_down_and_the_user_gets_in_from_elsewhere() {
    let mut office = Office::new(Registration::Invite);
    office.member("alice");
    let thief = office.node("alice");
    for _ in 0..5 {
        office.ask_login(&thief, "guess");
        assert_eq!(office.refusal(&thief), Some(Refusal::WrongPassword));
    }
    office.ask_login(&thief, "alice");
    let refused = office.heard::<Refused>(&thief, Kind::Refused).pop().unwrap();
    assert_eq!(refused.code, Refusal::TooManyTries.number());
    assert_eq!(refused.retry_after_ms, 1000);
    let mut elsewhere = office.node("alice");
    office.login(&mut elsewhere);
    let mut patient = thief;
    office.wait(Duration::from_secs(1));
    office.login(&mut patient);
}

#[test]
fn a_password_is_changed_with_the_old_one_only() {
    let mut office = Office::new(Registration::Invite);
    let alice = office.member("alice");
    let change = |old: &str, new: &str| ChangePassword { request: 9, old: proof(old), new: proof(new) };
    office.say(&alice, Kind::ChangePassword, &change("wrong", "next"));
    assert_eq!(office.refusal(&alice), Some(Refusal::WrongPassword));
    office.say(&alice, Kind::ChangePassword, &change("alice", "alice"));
    assert_eq!(office.refusal(&alice), Some(Refusal::BadPassword));
    office.say(&alice, Kind::ChangePassword, &change("alice", "next"));
    assert_eq!(office.heard::<Done>(&alice, Kind::Done), [Done { request: 9 }]);
    let mut second = office.node("alice");
    office.ask_login(&second, "alice");
    assert_eq!(office.refusal(&second), Some(Refusal::WrongPassword));
    office.ask_login(&second, "next");
    office.enrolled(&mut second);
}

#[test]
fn a_reset_secret_lets_one_device_in_and_must_be_changed() {
    let mut office = Office::new(Registration::Invite);
    office.member("alice");
    let reset = AdminCommand::ResetPassword { user: "alice".parse().unwrap(), proof: proof("secret") };
    assert!(office.admin(reset).is_ok());
    let mut second = office.node("alice");
    office.ask_login(&second, "alice");
    assert_eq!(office.refusal(&second), Some(Refusal::WrongPassword));
    office.ask_login(&second, "secret");
    assert!(office.enrolled(&mut second).must_change_password);
    let third = office.node("alice");
    office.ask_login(&third, "secret");
    assert_eq!(office.refusal(&third), Some(Refusal::WrongPassword));
    office.sign_in(&second);
    let change = ChangePassword { request: 9, old: proof("secret"), new: proof("mine") };
    office.say(&second, Kind::ChangePassword, &change);
    let mut fourth = office.node("alice");
    office.ask_login(&fourth, "mine");
    assert!(!office.enrolled(&mut fourth).must_change_password);
}

#[test]
fn a_device_belongs_to_one_user_for_ever() {
    let mut office = Office::new(Registration::Invite);
    let mut alice = office.member("alice");
    office.member("bob");
    office.say(&alice, Kind::Logout, &Logout { request: 4 });
    office.connect(&mut alice);
    alice.name = "bob".into();
    office.ask_login(&alice, "bob");
    assert_eq!(office.refusal(&alice), Some(Refusal::DeviceTaken));
    alice.name = "carol".into();
    let invite = office.invite();
    office.ask_register(&alice, &invite);
    assert_eq!(office.refusal(&alice), Some(Refusal::DeviceTaken));
}

#[test]
fn an_account_has_so_many_devices_and_a_logout_makes_room() {
    let mut office = Office::new(Registration::Invite);
    let alice = office.member("alice");
    for _ in 1..lanchat_proto::limits::MAX_DEVICES {
        let mut next = office.node("alice");
        office.login(&mut next);
    }
    let mut late = office.node("alice");
    office.ask_login(&late, "alice");
    assert_eq!(office.refusal(&late), Some(Refusal::TooManyDevices));
    office.say(&alice, Kind::Logout, &Logout { request: 4 });
    office.login(&mut late);
}
