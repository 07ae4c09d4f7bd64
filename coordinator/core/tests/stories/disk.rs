//! Nothing is told before it is on disk, and a disk that fails leaves everything as it was.

use crate::office::{Office, proof};
use lanchat_coordinator_core::{AdminCommand, AdminError, AdminResult, Registration};
use lanchat_proto::certificate::RevocationHead;
use lanchat_proto::frame::Kind;
use lanchat_proto::wire::coordinator::*;
use lanchat_proto::wire::link::Revocations;
use std::time::Duration;

#[test]
fn an_account_is_on_disk_before_its_user_hears_of_it() {
    let mut office = Office::new(Registration::Invite);
    let (mut alice, watcher) = (office.node("alice"), office.member("watcher"));
    office.heard::<Directory>(&watcher, Kind::Directory);
    office.held = Some(Vec::new());
    let invite = office.invite();
    office.ask_register(&alice, &invite);
    office.tick();
    assert!(office.heard::<Enrolled>(&alice, Kind::Enrolled).is_empty());
    assert!(office.heard::<Directory>(&watcher, Kind::Directory).is_empty());
    office.release();
    office.enrolled(&mut alice);
    office.tick();
    assert!(!office.heard::<Directory>(&watcher, Kind::Directory).is_empty());
    assert_eq!(office.disk.accounts.len(), 2);
}

#[test]
fn a_registration_that_the_disk_refused_never_was() {
    let mut office = Office::new(Registration::Invite);
    let mut alice = office.node("alice");
    let Ok(AdminResult::Invite(one)) = office.admin(AdminCommand::Invite { uses: 1, lifetime: None }) else {
        panic!()
    };
    office.held = Some(Vec::new());
    office.ask_register(&alice, &one.code);
    office.fail();
    assert_eq!(office.refusal(&alice), Some(Refusal::Unavailable));
    office.ask_register(&alice, &one.code);
    assert!(office.enrolled(&mut alice).first_device);
    assert_eq!(office.state.poll_timeout().map(|(_, what)| what.is_empty()), Some(false));
}

#[test]
fn two_who_want_one_name_at_once_do_not_both_get_it() {
    let mut office = Office::new(Registration::Invite);
    let (mut one, two) = (office.node("alice"), office.node("alice"));
    let invite = office.invite();
    office.held = Some(Vec::new());
    office.ask_register(&one, &invite);
    office.ask_register(&two, &invite);
    office.release();
    office.enrolled(&mut one);
    assert_eq!(office.refusal(&two), Some(Refusal::NameTaken));
}

#[test]
fn requests_that_come_while_the_disk_works_share_the_next_transaction() {
    let mut office = Office::new(Registration::Invite);
    let nodes: Vec<_> = (0..10).map(|n| office.node(&format!("user{n}"))).collect();
    let invite = office.invite();
    office.held = Some(Vec::new());
    nodes.iter().for_each(|node| office.ask_register(node, &invite));
    assert_eq!(office.held.as_ref().map(Vec::len), Some(1));
    let first = office.held.replace(Vec::new()).unwrap();
    for (id, changes) in first {
        crate::office::write(&mut office.disk, &changes);
        office.input(lanchat_coordinator_core::Input::Stored { id });
    }
    assert_eq!(office.held.as_ref().map(Vec::len), Some(1));
    office.release();
    assert_eq!(office.disk.accounts.len(), 10);
}

#[test]
fn a_failed_password_change_leaves_the_old_one() {
    let mut office = Office::new(Registration::Invite);
    let alice = office.member("alice");
    office.held = Some(Vec::new());
    let change = ChangePassword { request: 9, old: proof("alice"), new: proof("next") };
    office.say(&alice, Kind::ChangePassword, &change);
    office.fail();
    assert_eq!(office.refusal(&alice), Some(Refusal::Unavailable));
    let mut second = office.node("alice");
    office.login(&mut second);
}

#[test]
fn an_act_is_on_disk_before_anybody_hears_of_it_and_a_failed_one_leaves_no_gap() {
    let mut office = Office::new(Registration::Invite);
    let (alice, bob) = (office.member("alice"), office.member("bob"));
    let kick = AdminCommand::Kick { user: "bob".parse().unwrap(), force: false };
    office.held = Some(Vec::new());
    let request = office.ask_admin(kick.clone());
    assert!(office.heard::<Revocations>(&alice, Kind::Revocations).is_empty());
    office.fail();
    assert_eq!(office.answer(request), Some(Err(AdminError::Store)));
    assert!(office.heard::<Revocations>(&alice, Kind::Revocations).is_empty());
    assert!(!office.closed.contains(&bob.link));
    office.admin(kick).unwrap();
    let acts = office.heard::<Revocations>(&alice, Kind::Revocations).pop().unwrap().acts;
    assert_eq!(acts[0].peek().unwrap().number, 1);
}

#[test]
fn presence_goes_on_while_the_disk_is_slow() {
    let mut office = Office::new(Registration::Invite);
    let (alice, bob) = (office.member("alice"), office.member("bob"));
    office.heard::<Delta>(&alice, Kind::Delta);
    let carol = office.node("carol");
    let invite = office.invite();
    office.held = Some(Vec::new());
    office.ask_register(&carol, &invite);
    let report = DeviceReport { presence: Presence::Away, ..DeviceReport::default() };
    office.say(&bob, Kind::Report, &Report { report });
    office.tick();
    assert_eq!(office.heard::<Delta>(&alice, Kind::Delta).len(), 1);
}

#[test]
fn a_crash_forgets_nothing_that_was_told() {
    let mut office = Office::new(Registration::Invite);
    let mut alice = office.member("alice");
    office.member("bob");
    let invite = office.invite();
    office.admin(AdminCommand::Ban { user: "bob".parse().unwrap(), force: false }).unwrap();
    let mut office = office.crash();
    assert_eq!(office.invite(), invite);
    office.connect(&mut alice);
    let acts = office.sign_in(&alice).revocations;
    assert_eq!(acts.len(), 2);
    let mut second = office.node("alice");
    let serial = office.login(&mut second).certificate.membership.peek().unwrap().serial;
    assert!(serial > alice.certificate.unwrap().membership.peek().unwrap().serial);
}

#[test]
fn a_restored_coordinator_signs_no_acts_until_it_has_a_new_key() {
    let mut office = Office::new(Registration::Invite);
    let mut alice = office.member("alice");
    office.member("bob");
    let old_disk = office.disk.clone();
    let user = || "bob".parse().unwrap();
    office.admin(AdminCommand::Ban { user: user(), force: false }).unwrap();
    let acts = office.heard::<Revocations>(&alice, Kind::Revocations).pop().unwrap().acts;
    alice.heads = vec![RevocationHead { issuer: office.issuer(), number: 2, hash: acts[1].hash() }];

    let mut office = office.restored(old_disk.clone(), 2);
    office.connect(&mut alice);
    office.sign_in(&alice);
    let refused = office.admin(AdminCommand::Ban { user: user(), force: false });
    assert_eq!(refused, Err(AdminError::Behind(1)));
    let own = office.admin(AdminCommand::Kick { user: "alice".parse().unwrap(), force: false });
    assert!(own.is_ok(), "a user cannot protect itself by a claim");

    let mut office = office.restored(old_disk, 6);
    office.connect(&mut alice);
    let signed_in = office.sign_in(&alice);
    assert!(signed_in.renewed.is_some(), "certificates move to the new key");
    office.admin(AdminCommand::Ban { user: user(), force: false }).unwrap();
    let pushed = office.heard::<Revocations>(&alice, Kind::Revocations).pop().unwrap();
    assert_eq!(pushed.anchor.issuer(&office.realm()), Ok(office.issuer()));
    assert_eq!(pushed.acts[0].peek().unwrap().number, 1);
}

#[test]
fn a_new_key_begins_its_list_with_what_the_old_ones_mean() {
    let mut office = Office::new(Registration::Invite);
    let mut alice = office.member("alice");
    office.member("bob");
    let command = |user: &str| AdminCommand::Ban { user: user.parse().unwrap(), force: false };
    office.admin(command("bob")).unwrap();
    office.wait_with(Duration::from_secs(10), &[&alice]);
    let disk = office.disk.clone();
    let mut office = office.restored(disk, 6);
    office.connect(&mut alice);
    let acts = office.sign_in(&alice).revocations;
    assert_eq!(acts.len(), 2, "the kick and the ban again");
    let mut bob = office.node("bob");
    office.ask_login(&bob, "bob");
    assert_eq!(office.refusal(&bob), Some(Refusal::Banned));
    office.admin(AdminCommand::Unban { user: "bob".parse().unwrap(), force: false }).unwrap();
    office.login(&mut bob);
    office.sign_in(&bob);
}
