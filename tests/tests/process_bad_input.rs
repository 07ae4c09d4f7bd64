//! Bad input of each kind: one clear line, the exit code of the contract, everything as it was.

use lanchat_tests::office::PASSWORD;
use lanchat_tests::{Office, within};
use std::time::Duration;

#[test]
fn accounts_refuse_what_is_wrong() {
    let office = Office::open();
    let [alice] = office.people(["alice"]);
    let mallory = office.node("mallory");
    mallory.start();
    let join = office.join();
    let enter = |how: &str, name: &str, password: &str| {
        let args = [how, "--coordinator", &join, "--user", name, "--password-stdin"];
        mallory.cli_with(&args, &format!("{password}\n"))
    };
    enter("login", "alice", "wrong").fails_with(4);
    enter("login", "nobody", "wrong").fails_with(4);
    enter("register", "alice", PASSWORD).fails_with(4);
    for name in ["Ännchen", "a", "two words", "a\u{202e}b", "system"] {
        let refused = enter("register", name, PASSWORD);
        assert_ne!(refused.code, 0, "{name}");
        assert!(!refused.stderr.contains("panicked"), "{}", refused.stderr);
    }
    let status = mallory.cli(&["status", "--json"]).json();
    assert_eq!(status["coordinator"]["state"], "none", "{status}");
    assert_eq!(alice.cli(&["status", "--json"]).json()["coordinator"]["state"], "connected");
}

#[test]
fn messages_refuse_what_is_wrong_and_leave_no_trace() {
    let office = Office::open();
    let [alice, bob] = office.people(["alice", "bob"]);
    within(Duration::from_secs(10), "they see each other", || alice.sees(&bob));
    alice.cli(&["send", "bob", ""]).fails_with(1);
    alice.cli_with(&["send", "bob", "-"], &"x".repeat(1024 * 1024)).fails_with(1);
    alice.cli(&["send", "nobody", "hello"]).fails_with(1);
    assert_eq!(alice.cli(&["send"]).code, 2);
    assert_eq!(alice.cli(&["no-such-command"]).code, 2);
    alice.cli(&["config", "set", "auto_accept", "sometimes"]).fails_with(1);
    assert!(alice.history("bob").is_empty() && bob.history("alice").is_empty());
}

#[test]
fn a_node_that_does_not_run_is_exit_3() {
    let office = Office::open();
    let nobody = office.node("nobody");
    nobody.cli(&["status", "--json"]).fails_with(3);
}

#[test]
fn a_node_does_not_start_over_broken_files_and_leaves_them_as_they_are() {
    let office = Office::open();
    let [alice] = office.people(["alice"]);
    assert_eq!(alice.stop(), Some(0));
    let config = alice.dir().join("config.toml");
    let before = std::fs::read(&config).ok();
    std::fs::write(&config, "this is = not [ toml").unwrap();
    alice.run(&[]).fails_with(1);
    assert_eq!(std::fs::read_to_string(&config).unwrap(), "this is = not [ toml");
    match before {
        Some(before) => std::fs::write(&config, before).unwrap(),
        None => std::fs::remove_file(&config).unwrap(),
    }
    alice.start();
}

#[test]
fn a_port_that_is_taken_is_exit_1() {
    let office = Office::open();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let alice = office.node("alice");
    alice.run(&["--listen", &format!("/ip4/127.0.0.1/tcp/{port}")]).fails_with(1);
}

#[test]
fn a_coordinator_without_a_join_link_has_to_be_confirmed_and_a_changed_one_is_refused() {
    let office = Office::open();
    let alice = office.node("alice");
    alice.start();
    let address = office.join();
    let address = address.trim_start_matches("lanchat://join/").split('/').next().unwrap().to_owned();
    alice.register(&address, PASSWORD).fails_with(4);
    alice.register(&office.join(), PASSWORD).ok();
    let other = Office::open();
    let bob = other.node("bob");
    bob.start();
    let forged = other.join().replace(&port_of(&other.join()), &port_of(&office.join()));
    assert_ne!(bob.register(&forged, PASSWORD).code, 0, "another coordinator answers than the link pins");
}

fn port_of(join: &str) -> String {
    let address = join.trim_start_matches("lanchat://join/").split([',', '/']).next().unwrap_or_default();
    address.rsplit(':').next().unwrap_or_default().to_owned()
}
