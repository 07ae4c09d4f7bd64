//! Disks that are damaged, read-only or full, and databases of another time: one clear line, and nothing lost.

use lanchat_tests::files::SmallDisk;
use lanchat_tests::office::{Node, PASSWORD};
use lanchat_tests::{Office, within};
use std::path::PathBuf;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn database(node: &Node) -> PathBuf {
    node.dir().join("lanchat.db")
}

fn one_line(text: &str) -> bool {
    text.trim_end().lines().count() == 1
}

#[test]
fn a_database_of_a_newer_lanchat_is_left_as_it_is() {
    let office = Office::open();
    let [alice] = office.people(["alice"]);
    assert_eq!(alice.stop(), Some(0));
    rusqlite::Connection::open(database(&alice)).unwrap().pragma_update(None, "user_version", 9999).unwrap();
    let before = std::fs::read(database(&alice)).unwrap();
    let refused = alice.run(&[]).fails_with(1);
    assert!(refused.stderr.contains("newer") && one_line(&refused.stderr), "{}", refused.stderr);
    assert_eq!(std::fs::read(database(&alice)).unwrap(), before);
}

#[test]
fn a_damaged_database_is_set_aside_and_its_entries_come_back_from_a_peer() {
    let office = Office::open();
    let [alice, bob] = office.people(["alice", "bob"]);
    within(10 * SECOND, "they see each other", || alice.sees(&bob) && bob.sees(&alice));
    alice.cli(&["send", "bob", "mine", "--wait", "delivered"]).ok();
    bob.cli(&["send", "alice", "yours", "--wait", "delivered"]).ok();
    assert_eq!(alice.stop(), Some(0));
    std::fs::write(database(&alice), vec![0x5a; 40_000]).unwrap();
    let refused = alice.run(&[]).fails_with(1);
    assert!(refused.stderr.contains("damaged") && one_line(&refused.stderr), "{}", refused.stderr);
    let aside = std::fs::read_dir(alice.dir()).unwrap().filter_map(Result::ok);
    let aside = aside.filter(|entry| entry.file_name().to_string_lossy().contains(".damaged-"));
    assert_eq!(aside.map(|entry| std::fs::read(entry.path()).unwrap()).next(), Some(vec![0x5a; 40_000]));
    alice.start();
    alice.login(&office.join(), PASSWORD).ok();
    within(10 * SECOND, "everything is back", || alice.texts("bob") == ["mine", "yours"]);
    // What she writes now goes on in a new log, not over the old numbers.
    alice.cli(&["send", "bob", "again", "--wait", "delivered"]).ok();
    assert_eq!(bob.texts("alice"), ["mine", "yours", "again"]);
}

#[test]
fn a_read_only_disk_is_said_in_one_line() {
    let office = Office::open();
    let alice = office.node("alice");
    let disk = SmallDisk::new(alice.dir(), "16m");
    alice.start();
    alice.register(&office.join(), PASSWORD).ok();
    assert_eq!(alice.stop(), Some(0));
    disk.remount("ro");
    let refused = alice.run(&[]).fails_with(1);
    assert!(
        refused.stderr.to_lowercase().contains("read-only") && one_line(&refused.stderr),
        "{}",
        refused.stderr
    );
    disk.remount("rw");
    alice.start();
}

#[test]
fn a_full_disk_refuses_what_does_not_fit_and_loses_nothing_that_it_took() {
    let office = Office::open();
    let [bob] = office.people(["bob"]);
    let alice = office.node("alice");
    let disk = SmallDisk::new(alice.dir(), "3m");
    alice.start();
    alice.register(&office.join(), PASSWORD).ok();
    within(10 * SECOND, "they see each other", || alice.sees(&bob));
    let text = "x".repeat(60_000);
    let mut stored = Vec::new();
    let refused = loop {
        let number = stored.len();
        assert!(number < 100, "3 MiB hold less than that");
        let message = format!("{number} {text}");
        let sent = alice.cli_with(&["send", "bob", "-"], &message);
        if sent.code != 0 {
            break sent;
        }
        stored.push(message);
    };
    let refused = refused.fails_with(1);
    assert!(refused.stderr.contains("full") && one_line(&refused.stderr), "{}", refused.stderr);
    assert_eq!(alice.texts("bob"), stored);
    disk.remount("size=32m");
    within(10 * SECOND, "there is room again", || alice.cli(&["send", "bob", "room"]).code == 0);
    stored.push("room".to_owned());
    within(10 * SECOND, "bob has it all, once and in order", || {
        let mut texts = bob.texts("alice");
        // A try that was refused may have come through when there was room, if the disk had it after all.
        texts.dedup();
        texts == stored
    });
    assert_eq!(alice.stop(), Some(0));
    let whole: String = rusqlite::Connection::open(database(&alice))
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    if whole != "ok" {
        panic!("{whole}");
    }
}
