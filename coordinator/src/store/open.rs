//! Opening a database: settings, marks, check, migrations.
//!
//! Keeps true: a file of something else, of a newer program, or a damaged one is refused and left as it is.

use super::StoreError;
use crate::platform::create_private;
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;
use std::time::Duration;

mod migrations {
    refinery::embed_migrations!("src/store/migrations");
}

/// `lcoo`: marks a file as ours, for `file` and for us.
const APPLICATION_ID: i64 = 0x6c63_6f6f;

/// Opens a database and brings it up to date.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    // SQLite would make the file readable by all; its journals take over the mode of the file.
    match create_private(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(StoreError::File { path: path.to_owned(), error });
        }
        Ok(_) | Err(_) => {}
    }
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    check_mark(&connection)?;
    // Each pragma's reason: docs/operations.md and reliability figures; FULL and fullfsync are what "on disk" means.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;
         PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA journal_size_limit = 67108864;",
    )?;
    let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        return Err(StoreError::Damaged(check.lines().next().unwrap_or_default().to_owned()));
    }
    migrations::migrations::runner()
        .run(&mut connection)
        .map_err(|error| StoreError::Migration(error.to_string()))?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(connection)
}

/// Refuses a file that is not ours or that a newer program wrote, before anything is written to it.
fn check_mark(connection: &Connection) -> Result<(), StoreError> {
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => StoreError::NotOurs,
            Some(rusqlite::ErrorCode::DatabaseCorrupt) => StoreError::Damaged(error.to_string()),
            _ => error.into(),
        })?;
    if tables == 0 {
        return Ok(());
    }
    let mark: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let history = "SELECT 1 FROM sqlite_schema WHERE name = 'refinery_schema_history'";
    let migrated = connection.query_row(history, [], |_| Ok(())).optional()?.is_some();
    if mark != APPLICATION_ID && !migrated {
        return Err(StoreError::NotOurs);
    }
    let known = migrations::migrations::runner()
        .get_migrations()
        .iter()
        .map(|migration| i64::from(migration.version()))
        .max()
        .unwrap_or(0);
    let newest = "SELECT coalesce(max(version), 0) FROM refinery_schema_history";
    let found: i64 = connection.query_row(newest, [], |row| row.get(0))?;
    if found > known { Err(StoreError::Newer { found, known }) } else { Ok(()) }
}
