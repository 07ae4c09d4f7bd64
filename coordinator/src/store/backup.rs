//! A backup: one SQLite file that holds the database as of one moment, and the other files in a table of its own.
//!
//! Keeps true: the file is new, private, complete and on disk when it is reported; a failed backup leaves none. To
//! restore: `lanchat-coordinator restore FILE --data-dir EMPTY`, then `run --new-issuing-key`. The new key is needed
//! because nodes may hold revocations that the backup does not: a list must never hold two acts of one number. With it
//! the directory gets a new generation, so that nodes fetch it anew. What was revoked or banned after the backup
//! holds among the nodes, but the coordinator has to be told again.

use super::{StoreError, open};
use crate::platform::{create_private, write_private};
use rusqlite::{Connection, OptionalExtension, params};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Names and texts of the files that a backup holds beside the database.
pub(crate) type Files = Vec<(&'static str, Zeroizing<String>)>;

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> StoreError + '_ {
    move |error| StoreError::File { path: path.to_owned(), error }
}

/// Copies everything into a new file; returns its size.
pub(super) fn backup(connection: &Connection, path: &Path, files: &Files) -> Result<u64, StoreError> {
    // SQLite fills an empty file, so that ours keeps the mode that it is made with.
    drop(create_private(path).map_err(file_error(path))?);
    let written = fill(connection, path, files);
    if written.is_err()
        && let Err(error) = fs::remove_file(path)
    {
        tracing::warn!(%error, "A half-written backup cannot be removed");
    }
    written
}

fn fill(connection: &Connection, path: &Path, files: &Files) -> Result<u64, StoreError> {
    let target = path.to_str().ok_or(StoreError::Value("file name"))?;
    connection.execute("VACUUM INTO ?1", [target])?;
    let copy = Connection::open(path)?;
    copy.execute_batch(
        "CREATE TABLE backup_file (name TEXT PRIMARY KEY NOT NULL, text TEXT NOT NULL) STRICT;",
    )?;
    for (name, text) in files {
        copy.execute("INSERT INTO backup_file (name, text) VALUES (?1, ?2)", params![name, text.as_str()])?;
    }
    copy.close().map_err(|(_, error)| error)?;
    let file = File::open(path).map_err(file_error(path))?;
    file.sync_all().map_err(file_error(path))?;
    Ok(file.metadata().map_err(file_error(path))?.len())
}

/// Restores a backup: the database, and these files of it that it holds.
pub(crate) fn restore(from: &Path, database: &Path, files: &[(&str, PathBuf)]) -> Result<(), StoreError> {
    fs::metadata(from).map_err(file_error(from))?;
    let mut temporary: PathBuf = database.to_owned();
    temporary.set_extension("restoring");
    let restored = fs::copy(from, &temporary).map_err(file_error(&temporary)).and_then(|_| {
        let copy = open::open(&temporary)?;
        for (name, path) in files {
            let query = "SELECT text FROM backup_file WHERE name = ?1";
            let text: Option<String> = copy.query_row(query, [name], |row| row.get(0)).optional()?;
            if let Some(text) = text.map(Zeroizing::new) {
                write_private(path, text.as_bytes()).map_err(file_error(path))?;
            }
        }
        copy.execute_batch("DROP TABLE backup_file; VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")?;
        copy.close().map_err(|(_, error)| error)?;
        fs::rename(&temporary, database).map_err(file_error(database))
    });
    if restored.is_err() && fs::remove_file(&temporary).is_err() {
        tracing::debug!("Nothing to clean up after a failed restore");
    }
    restored
}
