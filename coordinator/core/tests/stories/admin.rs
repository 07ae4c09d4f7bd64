//! What the admin does, and what nodes notice of it.

use crate::office::Office;
use lanchat_coordinator_core::{AdminCommand, AdminError, AdminResult, OnlineInfo, Registration, UserInfo};
use lanchat_proto::certificate::{Act, CertificateError};
use lanchat_proto::frame::Kind;
use lanchat_proto::wire::coordinator::*;
use lanchat_proto::wire::link::Revocations;
use std::time::Duration;

fn kick(user: &str) -> AdminCommand {
    AdminCommand::Kick { user: user.parse().unwrap(), force: false }
}

fn ban(user: &str) -> AdminCommand {
    AdminCommand::Ban { user: user.parse().unwrap(), force: false }
}

fn unban(user: &str) -> AdminCommand {
    AdminCommand::Unban { user: user.parse().unwrap(), force: false }
}

fn users(office: &mut Office) -> Vec<UserInfo> {
    let Ok(AdminResult::Users(users)) = office.admin(AdminCommand::Users) else { panic!() };
    users
}

fn online(office: &mut Office) -> Vec<OnlineInfo> {
    let Ok(AdminResult::Online(online)) = office.admin(AdminCommand::Online) else { panic!() };
    online
}

#[test]
fn a_kick_is_told_to_all_without_a_tick_and_closes_the_sessions() {
    let mut office = Office::new(Registration::Invite);
    let (alice, bob) = (office.member("alice"), office.member("bob"));
    assert_eq!(office.admin(kick("bob")), Ok(AdminResult::Done { closed: 1 }));
    let told: Revocations = office.heard(&alice, Kind::Revocations).pop().unwrap();
    let realm = office.realm();
    assert_eq!(told.anchor.issuer(&realm), Ok(office.issuer()));
    let mut fold = lanchat_proto::certificate::Revocations::default();
    fold.apply(&told.acts[0], &realm, &office.issuer()).unwrap();
    let certificate = bob.certificate.clone().unwrap();
    let check = certificate.check(&realm, &bob.device(), office.now.wall, &fold);
    assert_eq!(check, Err(CertificateError::Revoked));
    assert!(office.closed.contains(&bob.link) && !office.closed.contains(&alice.link));
    assert_eq!(office.refusal(&bob), Some(Refusal::Revoked));
    assert_eq!(online(&mut office).len(), 1);
}

#[test]
fn a_kicked_user_returns_with_the_password() {
    let mut office = Office::new(Registration::Invite);
    let mut bob = office.member("bob");
    office.admin(kick("bob")).unwrap();
    office.connect(&mut bob);
    office.ask_sign_in(&bob);
    assert_eq!(office.refusal(&bob), Some(Refusal::Revoked));
    office.login(&mut bob);
    office.sign_in(&bob);
}

#[test]
fn a_banned_user_is_out_until_the_ban_is_lifted_and_then_needs_the_password() {
    let mut office = Office::new(Registration::Invite);
    let (alice, mut bob) = (office.member("alice"), office.member("bob"));
    office.admin(ban("bob")).unwrap();
    let acts = office.heard::<Revocations>(&alice, Kind::Revocations).pop().unwrap().acts;
    assert!(matches!(acts[0].peek().unwrap().act, Act::Kick { .. }));
    assert!(matches!(acts[1].peek().unwrap().act, Act::Ban(_)));
    office.tick();
    let page: Directory = office.heard(&alice, Kind::Directory).pop().unwrap();
    assert!(page.profiles.iter().any(|profile| profile.name.as_str() == "bob" && profile.gone));
    office.connect(&mut bob);
    office.ask_sign_in(&bob);
    assert_eq!(office.refusal(&bob), Some(Refusal::Banned));
    office.ask_login(&bob, "bob");
    assert_eq!(office.refusal(&bob), Some(Refusal::Banned));
    office.ask_login(&bob, "wrong");
    assert_eq!(office.refusal(&bob), Some(Refusal::WrongPassword));
    assert_eq!(office.admin(ban("bob")), Err(AdminError::AlreadyBanned("bob".parse().unwrap())));

    office.admin(unban("bob")).unwrap();
    office.ask_sign_in(&bob);
    assert_eq!(office.refusal(&bob), Some(Refusal::Revoked));
    office.login(&mut bob);
    office.sign_in(&bob);
    assert_eq!(office.admin(unban("bob")), Err(AdminError::NotBanned("bob".parse().unwrap())));
}

#[test]
fn unknown_users_are_named_in_the_answer() {
    let mut office = Office::new(Registration::Invite);
    let nobody = Err(AdminError::NoSuchUser("nobody".parse().unwrap()));
    assert_eq!(office.admin(kick("nobody")), nobody);
    assert_eq!(office.admin(AdminCommand::Salt { user: "nobody".parse().unwrap() }), nobody);
}

#[test]
fn users_and_online_tell_who_is_there() {
    let mut office = Office::new(Registration::Invite);
    let (alice, bob) = (office.member("alice"), office.member("bob"));
    office.admin(ban("bob")).unwrap();
    let users = users(&mut office);
    let shown: Vec<(&str, bool, bool)> =
        users.iter().map(|user| (user.name.as_str(), user.online, user.banned)).collect();
    assert_eq!(shown, [("alice", true, false), ("bob", false, true)]);
    assert_eq!(users[1].devices, [bob.device()]);
    let online = online(&mut office);
    assert_eq!(online.len(), 1);
    assert_eq!(online[0].device, alice.device());
    assert_eq!(online[0].endpoints[0].to_string(), alice.address.replace("50000", "7420"));
}

#[test]
fn an_announcement_reaches_who_is_there_and_who_comes_within_a_week() {
    let mut office = Office::new(Registration::Invite);
    let (alice, mut bob) = (office.member("alice"), office.member("bob"));
    office.input(lanchat_coordinator_core::Input::Closed { link: bob.link });
    let announce = |text: &str| AdminCommand::Announce { text: text.to_owned() };
    assert_eq!(office.admin(announce("Lunch")), Ok(AdminResult::Announced(1)));
    let heard: Vec<Announcement> = office.heard(&alice, Kind::Announcement);
    assert_eq!((heard[0].number, &*heard[0].text), (1, "Lunch"));
    office.connect(&mut bob);
    office.sign_in(&bob);
    assert_eq!(office.heard::<Announcement>(&bob, Kind::Announcement), heard);
    office.now.wall = office.now.wall.plus(Duration::from_secs(8 * 24 * 3600));
    office.connect(&mut bob);
    office.sign_in(&bob);
    assert!(office.heard::<Announcement>(&bob, Kind::Announcement).is_empty());
    assert_eq!(office.admin(announce("")), Err(AdminError::Announcement));
    assert_eq!(office.admin(announce(&"x".repeat(5000))), Err(AdminError::Announcement));
}

#[test]
fn only_the_newest_announcements_are_kept() {
    let mut office = Office::new(Registration::Invite);
    let most = lanchat_coordinator_core::limits::MAX_ANNOUNCEMENTS;
    for n in 0..most + 3 {
        office.admin(AdminCommand::Announce { text: format!("{n}") }).unwrap();
    }
    assert_eq!(office.disk.announcements.len(), most);
    assert_eq!(office.disk.announcements[0].number, 4);
}

#[test]
fn the_counters_count() {
    let mut office = Office::new(Registration::Invite);
    office.member("alice");
    let stranger = office.node("alice");
    office.ask_login(&stranger, "wrong");
    let Ok(AdminResult::Stats(stats)) = office.admin(AdminCommand::Stats) else { panic!() };
    assert_eq!((stats.accounts, stats.links, stats.online), (1, 2, 1));
    assert_eq!((stats.registrations, stats.enrolments, stats.sign_ins, stats.refusals), (1, 1, 1, 1));
    assert!(stats.frames_out > 4 && stats.bytes_out > stats.bytes_in && stats.bytes_in > 0);
}
