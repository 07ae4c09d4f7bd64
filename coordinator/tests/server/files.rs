//! What is on disk: refused databases, taken ports and directories, backup and restore.

use crate::stage::{Client, command, config, json, start};
use lanchat_coordinator::{Server, ServerError, StoreError};
use std::fs;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    start(dir.path()).await.shutdown().await.unwrap();
    let path = dir.path().join("coordinator.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    let insert = "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
                  SELECT 999, 'later', applied_on, '1' FROM refinery_schema_history LIMIT 1";
    database.execute(insert, []).unwrap();
    drop(database);
    let before = fs::read(&path).unwrap();
    let error = Server::bind(config(dir.path())).await.unwrap_err();
    assert!(matches!(error, ServerError::Store(StoreError::Newer { found: 999, .. })), "{error}");
    assert!(error.to_string().contains("newer version") && error.to_string().lines().count() == 1);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_something_else_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("coordinator.db");
    fs::write(&path, "this is a shopping list, and no database at all".repeat(100)).unwrap();
    let before = fs::read(&path).unwrap();
    let error = Server::bind(config(dir.path())).await.unwrap_err();
    assert!(matches!(error, ServerError::Store(StoreError::NotOurs)), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
    fs::remove_file(&path).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE recipe (name TEXT)").unwrap();
    drop(other);
    let error = Server::bind(config(dir.path())).await.unwrap_err();
    assert!(matches!(error, ServerError::Store(StoreError::NotOurs)), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_explicit_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut wanted = config(dir.path());
    wanted.listen = vec![taken.local_addr().unwrap()];
    let error = Server::bind(wanted).await.unwrap_err();
    assert!(matches!(error, ServerError::PortTaken(_)), "{error}");
    let mut wanted = config(dir.path());
    wanted.admin = Some(taken.local_addr().unwrap());
    let error = Server::bind(wanted).await.unwrap_err();
    assert!(matches!(error, ServerError::AdminTaken(_)), "{error}");
    let mut wanted = config(dir.path());
    wanted.admin = Some("0.0.0.0:0".parse().unwrap());
    let error = Server::bind(wanted).await.unwrap_err();
    assert!(matches!(error, ServerError::AdminAddress(_)), "{error}");
    start(dir.path()).await.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_coordinator_for_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    assert!(matches!(Server::bind(config(dir.path())).await, Err(ServerError::Running(_))));
    server.shutdown().await.unwrap();
    start(dir.path()).await.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_restores_accounts_under_a_new_issuing_key() {
    let (dir, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = start(dir.path()).await;
    let mut alice = Client::member(&server, 1, "alice").await;
    let file = files.path().join("copy.backup");
    let file_name = file.to_str().unwrap();
    assert_eq!(json(dir.path(), &["backup", file_name]).await["bytes"], fs::metadata(&file).unwrap().len());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(command(dir.path(), &["backup", file_name]).await.status.code(), Some(1));
    let info = server.info().clone();
    server.shutdown().await.unwrap();

    let restored = files.path().join("restored");
    assert!(command(&restored, &["restore", file_name]).await.status.success());
    assert_eq!(command(&restored, &["restore", file_name]).await.status.code(), Some(1));
    let mut wanted = config(&restored);
    wanted.org = None;
    wanted.new_issuing_key = true;
    let server = Server::bind(wanted).await.unwrap();
    assert_eq!((&server.info().org, &server.info().peer_id), (&info.org, &info.peer_id));
    alice.until_closed().await;
    alice.reconnect(&server).await;
    assert!(alice.sign_in().await.renewed.is_some());
    server.shutdown().await.unwrap();
}
