//! Connections to the database: settings, version, check, migrations.
//!
//! Keeps true: a file that is not ours, is damaged or comes from a newer lanchat is recognised before anything in it is
//! changed; every connection has the same settings. Why these settings: `docs/storage.md#settings`.

use super::error::StoreError;
use super::limits::{LOCK_WAIT, WAL_BYTES};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

mod embedded {
    refinery::embed_migrations!("src/store/migrations");
}

/// "lanC" in the header of every database of ours.
pub(super) const APPLICATION_ID: i32 = 0x6c61_6e43;
/// The newest schema, which this program reads and writes.
pub(super) const VERSION: i32 = 3;
/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 64;

/// A connection that may write. The file has to be there.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let of = |error: &rusqlite::Error| StoreError::of(path, error);
    if connection.is_readonly(rusqlite::MAIN_DB).map_err(|e| of(&e))? {
        return Err(StoreError::ReadOnly(path.to_owned()));
    }
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn open(path: &Path, mode: OpenFlags) -> Result<Connection, StoreError> {
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Err(StoreError::Damaged { path: path.to_owned(), set_aside: None }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(StoreError::Missing(path.to_owned()));
        }
        Err(error) => return Err(StoreError::file(path, error)),
    }
    let connect = || -> Result<Connection, rusqlite::Error> {
        let connection = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(LOCK_WAIT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.execute_batch(
            "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; \
             PRAGMA foreign_keys = ON;",
        )?;
        Ok(connection)
    };
    connect().map_err(|error| StoreError::of(path, &error))
}

/// Refuses what this program must not touch: another program's file, damage, a newer version. Only reads.
pub(super) fn check_version(connection: &Connection, path: &Path) -> Result<i32, StoreError> {
    let read = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let of = |error: rusqlite::Error| StoreError::of(path, &error);
    let ours = read("application_id").map_err(of)?;
    let version = read("user_version").map_err(of)?;
    if ours != APPLICATION_ID || version < 1 {
        return Err(StoreError::Damaged { path: path.to_owned(), set_aside: None });
    }
    let migrated: i32 = connection
        .query_row("SELECT max(version) FROM refinery_schema_history", [], |row| row.get(0))
        .map_err(of)?;
    if version > VERSION || migrated > VERSION {
        return Err(StoreError::Newer(path.display().to_string()));
    }
    Ok(version)
}

/// Settings of a connection that writes; they change the file's header at most.
pub(super) fn prepare_writer(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch("PRAGMA journal_mode = WAL;")?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON; \
         PRAGMA wal_autocheckpoint = 1000;",
    )
}

/// Looks at every page. Takes time in proportion to the size of the file.
pub(super) fn quick_check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| StoreError::of(path, &error))?;
    if found == "ok" {
        return Ok(());
    }
    tracing::error!(path = %path.display(), found, "the database is damaged");
    Err(StoreError::Damaged { path: path.to_owned(), set_aside: None })
}

/// Brings the schema to [`VERSION`], one step in one transaction each.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let migrated = embedded::migrations::runner().run(connection);
    migrated.map(drop).map_err(|error| StoreError::Database(format!("cannot bring it up to date: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(connection: &Connection) -> Vec<(String, String, Option<String>)> {
        let sql = "SELECT type, name, sql FROM sqlite_schema WHERE tbl_name NOT LIKE 'refinery%' ORDER BY type, name";
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn all_migrations_lead_to_the_schema_file() {
        let mut migrated = Connection::open_in_memory().unwrap();
        migrate(&mut migrated).unwrap();
        let built = Connection::open_in_memory().unwrap();
        built.execute_batch(include_str!("schema.sql")).unwrap();
        assert_eq!(dump(&migrated), dump(&built));
        assert!(dump(&built).len() > 10);
        for connection in [migrated, built] {
            let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
            assert_eq!(version, VERSION);
        }
    }
}
