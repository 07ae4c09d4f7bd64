//! Why the store could not do something, told so that a person knows what to do next.

use lanchat_proto::ids::MessageId;
use rusqlite::ErrorCode;
use std::io;
use std::path::{Path, PathBuf};

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database was written by a newer lanchat. Nothing in it was touched.
    #[error("the database {0} was written by a newer lanchat; update lanchat")]
    Newer(String),
    /// The file is no database of lanchat, or a damaged one.
    #[error("the database {} is damaged{}", .path.display(), aside(.set_aside.as_deref()))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where it was moved, when it was ([`crate::store::set_aside`]).
        set_aside: Option<PathBuf>,
    },
    /// The file or its directory cannot be written.
    #[error("the database {} cannot be written: the file or its directory is read-only", .0.display())]
    ReadOnly(PathBuf),
    /// The disk is full.
    #[error("the disk is full: free some space for {}", .0.display())]
    Full(PathBuf),
    /// There is no database at this path.
    #[error("there is no database at {}", .0.display())]
    Missing(PathBuf),
    /// There is something at the path where a new file was to be made.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// A database of another user or realm than was given.
    #[error("the database belongs to another user or organisation")]
    OtherMembership,
    /// The store holds no such message.
    #[error("no message {0}")]
    NoSuchMessage(MessageId),
    /// Every connection for reading is taken, and stayed so.
    #[error("too many searches at once; try again")]
    Busy,
    /// The store was closed.
    #[error("the database is closed")]
    Closed,
    /// A file could not be read or written.
    #[error("{}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Anything else of the database.
    #[error("database: {0}")]
    Database(String),
}

fn aside(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| {
        format!(
            "; it was set aside as {}: start again, and log in to fetch from your peers what they hold",
            path.display()
        )
    })
}

impl StoreError {
    /// What SQLite says about the database at this path.
    pub(super) fn of(path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::Damaged { path, set_aside: None }
            }
            Some(ErrorCode::ReadOnly) => Self::ReadOnly(path),
            Some(ErrorCode::DiskFull) => Self::Full(path),
            Some(ErrorCode::CannotOpen) if !path.exists() => Self::Missing(path),
            _ if is_damage(error) => Self::Damaged { path, set_aside: None },
            _ => Self::Database(reason(error)),
        }
    }

    /// What the system says about a file.
    pub(super) fn file(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::AlreadyExists => Self::Exists(path),
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => Self::ReadOnly(path),
            io::ErrorKind::StorageFull => Self::Full(path),
            _ => Self::File { path, error },
        }
    }
}

/// Whether a value in a row is not what was once written.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as E;
    matches!(
        error,
        E::FromSqlConversionFailure(..)
            | E::InvalidColumnType(..)
            | E::IntegralValueOutOfRange(..)
            | E::Utf8Error(..)
    )
}

/// The reason of a failed write for people: one line, what to do where something can be done.
pub(super) fn reason(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full; free some space".to_owned(),
        Some(ErrorCode::ReadOnly) => "the database is read-only".to_owned(),
        Some(ErrorCode::SystemIoFailure) => format!("the disk reports an error ({error})"),
        Some(ErrorCode::CannotOpen) => format!("the database cannot be opened ({error})"),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => "the database is damaged".to_owned(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program holds the database".to_owned()
        }
        _ => error.to_string(),
    }
}
