//! Devices that register, log in, sign in, and see each other.

use crate::stage::{Client, command, config, json, start};
use argon2::{Algorithm, Argon2, Params, Version};
use lanchat_coordinator::Registration;
use lanchat_proto::frame::Kind;
use lanchat_proto::wire::coordinator::*;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_members_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut alice = Client::member(&server, 1, "alice").await;
    let snapshot: Snapshot = alice.hear(Kind::Snapshot).await;
    assert_eq!(snapshot.devices.len(), 1);
    let bob = Client::member(&server, 2, "bob").await;
    let delta: Delta = alice.hear(Kind::Delta).await;
    let Change::Online(row) = &delta.changes[0] else { panic!("{delta:?}") };
    assert_eq!(row.device, bob.key.public());
    assert_eq!(row.endpoints[0].to_string(), "127.0.0.1:7420");
    server.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_and_taken_names_are_refused_and_the_link_stays() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    Client::member(&server, 1, "alice").await;
    let mut other = Client::connect(&server, 2).await;
    other.ask_register("alice");
    assert_eq!(other.refusal().await, Refusal::NameTaken);
    other.ask_login("alice", [1; 32]);
    assert_eq!(other.refusal().await, Refusal::WrongPassword);
    other.ask_login("nobody", [1; 32]);
    assert_eq!(other.refusal().await, Refusal::WrongPassword);
    other.ask_login("alice", [7; 32]);
    assert!(!other.enrolled().await.first_device);
    server.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_accounts_identity_and_invite() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut alice = Client::member(&server, 1, "alice").await;
    let (before, invite) = (server.info().clone(), alice.invite.clone());
    server.shutdown().await.unwrap();
    alice.until_closed().await;
    let server = start(dir.path()).await;
    assert_eq!((&server.info().peer_id, &server.info().fingerprint), (&before.peer_id, &before.fingerprint));
    alice.reconnect(&server).await;
    assert_eq!(alice.invite, invite);
    alice.sign_in().await;
    let users = json(dir.path(), &["users"]).await;
    assert_eq!(users[0]["name"], "alice");
    assert_eq!(users[0]["online"], true);
    server.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kicked_user_is_out_within_two_seconds_and_returns_with_the_password() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut alice = Client::member(&server, 1, "alice").await;
    let mut bob = Client::member(&server, 2, "bob").await;
    let begun = Instant::now();
    assert_eq!(json(dir.path(), &["kick", "bob"]).await["closed"], 1);
    bob.until_closed().await;
    assert!(begun.elapsed() < Duration::from_secs(2));
    let told: lanchat_proto::wire::link::Revocations = alice.hear(Kind::Revocations).await;
    assert!(told.anchor.issuer(&alice.realm).is_ok());
    bob.reconnect(&server).await;
    bob.ask_sign_in();
    assert_eq!(bob.refusal().await, Refusal::Revoked);
    bob.ask_login("bob", [7; 32]);
    bob.enrolled().await;
    bob.sign_in().await;
    server.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ban_outlives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut bob = Client::member(&server, 2, "bob").await;
    json(dir.path(), &["ban", "bob"]).await;
    bob.until_closed().await;
    server.shutdown().await.unwrap();
    let server = start(dir.path()).await;
    bob.reconnect(&server).await;
    bob.ask_sign_in();
    assert_eq!(bob.refusal().await, Refusal::Banned);
    bob.ask_login("bob", [7; 32]);
    assert_eq!(bob.refusal().await, Refusal::Banned);
    json(dir.path(), &["unban", "bob"]).await;
    bob.ask_login("bob", [7; 32]);
    bob.enrolled().await;
    bob.sign_in().await;
    server.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_prints_a_secret_that_logs_in_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    Client::member(&server, 1, "alice").await;
    let secret = json(dir.path(), &["reset-password", "alice"]).await["secret"].as_str().unwrap().to_owned();
    let mut second = Client::connect(&server, 2).await;
    second.say(Kind::AskSalt, &AskSalt { request: 1, user: "alice".parse().unwrap() });
    let salt: Salt = second.hear(Kind::Salt).await;
    let mut proof = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(65536, 3, 1, Some(32)).unwrap())
        .hash_password_into(secret.as_bytes(), &salt.salt, &mut proof)
        .unwrap();
    second.ask_login("alice", proof);
    assert!(second.enrolled().await.must_change_password);
    second.ask_login("alice", proof);
    assert_eq!(second.refusal().await, Refusal::WrongPassword);
    server.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_registration_needs_no_invite_and_the_link_carries_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut open = config(dir.path());
    open.registration = Some(Registration::Open);
    let server = lanchat_coordinator::Server::bind(open).await.unwrap();
    let mut alice = Client::connect(&server, 1).await;
    assert!(alice.invite.is_empty());
    alice.ask_register("alice");
    alice.enrolled().await;
    server.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announcement_and_an_avatar_arrive() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut alice = Client::member(&server, 1, "alice").await;
    assert!(command(dir.path(), &["announce", "Lunch"]).await.status.success());
    let heard: Announcement = alice.hear(Kind::Announcement).await;
    assert_eq!(&*heard.text, "Lunch");
    let picture = lanchat_proto::codec::Blob::new(vec![9; 5000]).unwrap();
    let set = SetProfile { request: 5, avatar: Some(picture.clone()), ..SetProfile::default() };
    alice.say(Kind::SetProfile, &set);
    let _: Done = alice.hear(Kind::Done).await;
    let user = alice.certificate.as_ref().unwrap().membership.peek().unwrap().user;
    alice.say(Kind::AskAvatar, &AskAvatar { request: 6, user });
    let avatar: Avatar = alice.hear(Kind::Avatar).await;
    assert_eq!(avatar.picture, picture);
    server.shutdown().await.unwrap();
}
