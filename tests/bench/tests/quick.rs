//! Each command works: it ends well and tells its figures. What the figures are is nobody's business here.
//!
//! The programs are those of the stories: from LANCHAT_BIN_DIR, else cargo builds them.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]

use serde_json::Value;
use std::process::Command;

/// Runs a command and returns its figures by name.
fn figures(arguments: &[&str]) -> Vec<(String, f64)> {
    let output = Command::new(env!("CARGO_BIN_EXE_lanchat-bench"))
        .args(arguments)
        .args(["--quick", "--json"])
        .env("LANCHAT_BIN_DIR", lanchat_tests::bins::lanchat().parent().unwrap())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["quick"], true);
    report["figures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|figure| (figure["name"].as_str().unwrap().to_owned(), figure["value"].as_f64().unwrap()))
        .collect()
}

fn assert_told(figures: &[(String, f64)], names: &[&str]) {
    for name in names {
        let told = figures.iter().find(|(other, _)| other == name);
        assert!(told.is_some_and(|(_, value)| value.is_finite() && *value > 0.0), "{name}: {figures:?}");
    }
}

#[test]
fn a_message_makes_its_round_trip() {
    assert_told(
        &figures(&["round-trip"]),
        &["raw TCP, 200 bytes there and back, p50", "message, until stored on both disks and told so, p99"],
    );
}

#[test]
fn an_idle_node_is_looked_at_with_peers() {
    assert_told(&figures(&["peers"]), &["peers enrolled, started and linked in"]);
}

#[test]
fn devices_sign_in_leave_and_come() {
    assert_told(
        &figures(&["coordinator"]),
        &[
            "first sign-in, rate",
            "one left, until all others know, p50",
            "sign-in with the directory at hand, rate",
        ],
    );
}

#[test]
fn messages_are_searched() {
    assert_told(
        &figures(&["search"]),
        &[
            "inserts until all are indexed",
            "search, two Chinese characters: found on average",
            "search, a word that is in ten messages: found on average",
            "database",
        ],
    );
}

#[test]
fn programs_start() {
    assert_told(&figures(&["start"]), &["lanchat, size", "lanchat, first start to ready, p50"]);
}

#[test]
fn a_file_is_copied_by_all() {
    assert_told(
        &figures(&["file", "--without-scp"]),
        &[
            "plain TCP, synced, rate",
            "TLS 1.3 over TCP, synced, rate",
            "lanchat, rate",
            "lanchat, processor time of both ends for a GB",
            "lanchat, most memory of the receiver",
        ],
    );
}

#[cfg(target_os = "linux")]
#[test]
fn people_talk_beside_a_file() {
    assert_told(
        &figures(&["beside"]),
        &[
            "the file, bytes of content a second",
            "message with the file, idle cable, p99",
            "message with the file, beside it, p99",
            "message against the file, p99 beside it, of that of the idle cable",
        ],
    );
}
