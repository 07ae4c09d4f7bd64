//! Crashes, full disks, bad jobs, bad files.

use super::support::{Disk, EPOCH, Log, Running, membership, message, person};
use crate::store::rows::Page;
use crate::store::writer::Job;
use crate::store::{Store, StoreAnswer, StoreError, peek, set_aside};
use lanchat_proto::entry::LogEnd;
use lanchat_proto::ids::Epoch;
use std::path::Path;

fn open(path: &Path) -> Result<(), StoreError> {
    Store::open(path, tokio::sync::mpsc::channel(1).0).map(drop)
}

#[tokio::test]
async fn what_was_answered_stored_is_there_after_a_crash() {
    let (alice, bob) = (person(1), person(2));
    let disk = Disk::of(&alice);
    let (mut log, begun) = Log::begin(&alice, &bob, EPOCH);
    let mut node = disk.open();
    node.stored(vec![begun]).await;
    node.crash().await;
    for round in 1..20 {
        let mut node = disk.open();
        let (stored, number) = (&node.opened.stored, u64::try_from(round).unwrap());
        assert_eq!((stored.arrival, stored.logs[0].end), (number, log.end));
        node.stored(vec![log.says(round, "x")]).await;
        node.crash().await;
    }
    assert_eq!(disk.open().opened.stored.last_stamp, log.end.time);
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_writes_and_a_loop_that_waits_for_room_is_not_stuck() {
    let (alice, bob) = (person(1), person(2));
    let mut node = Disk::of(&alice).open();
    let (mut log, begun) = Log::begin(&alice, &bob, EPOCH);
    let mut ids = vec![node.write(vec![begun]).await];
    // More than the queue holds, and nobody takes answers meanwhile.
    for number in 1..3000 {
        ids.push(node.write(vec![log.says(number, "x")]).await);
    }
    for id in ids {
        assert!(matches!(node.answer().await, StoreAnswer::Stored(stored) if stored == id));
    }
    let loaded = node.load(log.id, 2990, 5, 1 << 20).await;
    assert_eq!(
        loaded.iter().map(|(arrival, _)| *arrival).collect::<Vec<_>>(),
        [2990, 2991, 2992, 2993, 2994]
    );
    assert_eq!(node.load(log.id, 1, 100, 0).await.len(), 1);
    assert_eq!(node.load(log.id, 3001, 100, 1000).await.len(), 0);
    node.close().await;
}

#[tokio::test]
async fn a_bad_write_fails_alone_and_whole() {
    let (alice, bob) = (person(1), person(2));
    let mut node = Disk::of(&alice).open();
    let (mut log, begun) = Log::begin(&alice, &bob, EPOCH);
    let first = log.says(1, "first");
    let end = log.end;
    log.says(2, "never stored");
    let gap = log.says(3, "after a gap");
    let (mut other, other_begun) = Log::begin(&bob, &alice, EPOCH);
    let fine = other.says(4, "fine");
    let jobs = [
        node.write(vec![begun, first.clone()]).await,
        node.write(vec![other_begun.clone(), gap]).await,
        node.write(vec![first]).await,
    ];
    assert!(matches!(node.answer().await, StoreAnswer::Stored(id) if id == jobs[0]));
    for job in [jobs[1], jobs[2]] {
        let StoreAnswer::Failed(id, ends, reason) = node.answer().await else { panic!() };
        assert_eq!(id, job);
        assert!(ends.contains(&(log.id, end)) && reason.contains("does not follow"), "{reason}");
        assert!(ends.iter().all(|(id, end)| *id == log.id || *end == LogEnd::EMPTY));
    }
    // Nothing of the refused write is there, not even its first entry.
    assert_eq!(node.reader.stats().unwrap().events, 2);
    node.stored(vec![other_begun, fine]).await;
    assert_eq!(node.reader.stats().unwrap().events, 4);
    node.close().await;
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_answered_and_tells_the_true_ends() {
    let (alice, bob) = (person(1), person(2));
    let disk = Disk::of(&alice);
    let mut node = disk.open();
    let (mut log, begun) = Log::begin(&alice, &bob, EPOCH);
    node.stored(vec![begun, log.says(1, "kept")]).await;
    let end = log.end;
    node.job(Job::Full(true)).await;
    let long = "much ".repeat(10_000);
    let mut jobs = Vec::new();
    for number in 10..20 {
        jobs.push(node.write(vec![log.says(number, &long)]).await);
    }
    for job in jobs {
        let StoreAnswer::Failed(id, ends, reason) = node.answer().await else { panic!() };
        assert_eq!((id, ends), (job, vec![(log.id, end)]));
        assert!(reason.contains("full") || reason.contains("does not follow"), "{reason}");
    }
    assert!(node.reader.message(&message(1)).unwrap().is_some());
    node.job(Job::Full(false)).await;
    log.end = end;
    node.stored(vec![log.says(30, &long)]).await;
    node.crash().await;
    let node = disk.open();
    let rows = node.reader.history(&log.id.conversation, &Page { limit: 9, before: None }).unwrap();
    assert_eq!(rows.iter().map(|row| row.message).collect::<Vec<_>>(), [message(1), message(30)]);
    assert_eq!((node.opened.stored.arrival, node.opened.stored.logs[0].end), (3, log.end));
    node.close().await;
}

#[tokio::test]
async fn files_that_are_not_ours_or_damaged_are_told_apart_and_kept() {
    let disk = Disk::of(&person(1));
    let path = |name: &str| disk.directory.path().join(name);
    std::fs::write(path("garbage"), vec![0x5a; 20_000]).unwrap();
    std::fs::write(path("empty"), []).unwrap();
    let foreign = rusqlite::Connection::open(path("foreign")).unwrap();
    foreign.execute_batch("CREATE TABLE t (x); PRAGMA user_version = 1").unwrap();
    drop(foreign);
    std::fs::create_dir(path("directory")).unwrap();
    for name in ["garbage", "empty", "foreign", "directory"] {
        assert!(matches!(open(&path(name)), Err(StoreError::Damaged { .. })), "{name}");
        assert!(matches!(peek(&path(name)), Err(StoreError::Damaged { .. })), "{name}");
    }
    assert_eq!(std::fs::read(path("garbage")).unwrap(), vec![0x5a; 20_000]);
    assert!(matches!(open(&path("nothing")), Err(StoreError::Missing(_))));
    assert!(!path("nothing").exists());
    let aside = set_aside(&path("garbage")).unwrap();
    assert!(aside.file_name().unwrap().to_str().unwrap().starts_with("garbage.damaged-20"));
    assert_eq!(std::fs::read(aside).unwrap().len(), 20_000);
    assert!(!path("garbage").exists());
    assert!(matches!(Store::create(&disk.path, &membership(&person(1)), EPOCH), Err(StoreError::Exists(_))));
    assert!(Store::create(&path("no/where.db"), &membership(&person(1)), EPOCH).is_err());
}

#[tokio::test]
async fn a_damaged_page_is_found_after_a_crash_and_the_file_can_be_set_aside() {
    let (alice, bob) = (person(1), person(2));
    let disk = Disk::of(&alice);
    let mut node = disk.open();
    let (mut log, begun) = Log::begin(&alice, &bob, EPOCH);
    let texts = (1..200).map(|number| log.says(number, &"text ".repeat(100)));
    let changes: Vec<_> = std::iter::once(begun).chain(texts).collect();
    node.stored(changes).await;
    node.close().await;
    let mut bytes = std::fs::read(&disk.path).unwrap();
    let middle = (bytes.len() / 2 / 4096) * 4096;
    bytes[middle..middle + 64].fill(0xff);
    std::fs::write(&disk.path, &bytes).unwrap();
    rusqlite::Connection::open(&disk.path).unwrap().execute_batch("UPDATE progress SET clean = 0").unwrap();
    assert!(matches!(open(&disk.path), Err(StoreError::Damaged { set_aside: None, .. })));
    let first = set_aside(&disk.path).unwrap();
    Store::create(&disk.path, &membership(&alice), Epoch(7)).unwrap();
    std::fs::write(disk.path.with_extension("db-wal"), b"left over").unwrap();
    let second = set_aside(&disk.path).unwrap();
    assert!(first != second && first.exists() && second.exists());
    assert!(!disk.path.exists() && !disk.path.with_extension("db-wal").exists());
}

#[tokio::test]
async fn a_database_of_a_newer_lanchat_is_left_as_it_is() {
    let disk = Disk::of(&person(1));
    let (now, next) = (crate::store::sqlite::VERSION, crate::store::sqlite::VERSION + 1);
    let migrated =
        format!("INSERT INTO refinery_schema_history VALUES ({next}, 'next', '2030-01-01T00:00:00Z', '1')");
    let raise = [format!("PRAGMA user_version = {next}"), format!("PRAGMA user_version = {now}; {migrated}")];
    for raise in raise {
        let sql = rusqlite::Connection::open(&disk.path).unwrap();
        sql.execute_batch(&raise).unwrap();
        sql.close().unwrap();
        let before = std::fs::read(&disk.path).unwrap();
        let Err(error) = open(&disk.path) else { panic!() };
        assert!(matches!(error, StoreError::Newer(_)));
        assert!(error.to_string().ends_with("update lanchat"));
        assert!(matches!(peek(&disk.path), Err(StoreError::Newer(_))));
        assert_eq!(std::fs::read(&disk.path).unwrap(), before);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_read_only_directory_is_a_clear_error() {
    use std::os::unix::fs::PermissionsExt;
    let disk = Disk::of(&person(1));
    let mode =
        |mode| std::fs::set_permissions(disk.directory.path(), PermissionsExt::from_mode(mode)).unwrap();
    mode(0o500);
    // The superuser may write everywhere.
    let superuser = std::fs::write(disk.directory.path().join("x"), "x").is_ok();
    let result = open(&disk.path);
    let created = Store::create(&disk.directory.path().join("new.db"), &membership(&person(1)), EPOCH);
    mode(0o700);
    if !superuser {
        assert!(matches!(result, Err(StoreError::ReadOnly(_))), "{result:?}");
        assert!(matches!(created, Err(StoreError::ReadOnly(_))), "{created:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_the_database() {
    use std::os::unix::fs::PermissionsExt;
    let (alice, bob) = (person(1), person(2));
    let disk = Disk::of(&alice);
    let mut node = disk.open();
    node.stored(vec![Log::begin(&alice, &bob, EPOCH).1]).await;
    node.reader.copy_to(&disk.directory.path().join("copy")).unwrap();
    for file in std::fs::read_dir(disk.directory.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{file:?}");
    }
    node.close().await;
}

#[tokio::test]
async fn a_closed_store_leaves_one_file_and_its_readers_say_so() {
    let disk = Disk::of(&person(1));
    let node = disk.open();
    let (store, reader) = (node.store.clone(), node.reader.clone());
    node.close().await;
    assert!(matches!(reader.stats(), Err(StoreError::Closed)));
    assert!(matches!(store.set_membership(membership(&person(1))).await, Err(StoreError::Closed)));
    assert_eq!(std::fs::read_dir(disk.directory.path()).unwrap().count(), 1);
    Running::open(&disk.path).close().await;
}
