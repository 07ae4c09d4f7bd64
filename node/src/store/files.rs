//! What the store and the backup do to files beyond reading and writing: private creation, durable renames, setting aside.
//!
//! Keeps true: nothing is ever deleted or overwritten here but what this module itself had begun to write.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use time::OffsetDateTime;
use time::macros::format_description;

/// Makes a file that only its owner can read, and fails when there is one of that name. On Windows the user's profile
/// directory, in which the data directory lies, already keeps others out.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// Makes the names in the directory of a file durable. Windows keeps them in its own journal and cannot sync a directory.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(directory_of(path))?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// The directory that a file is in; `.` for a bare name.
pub(crate) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// The path with something behind its file name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Renames a database and what belongs to it to `NAME.damaged-YYYYMMDD-HHMMSS` (UTC); answers the new path.
pub(super) fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let format = format_description!("[year][month][day]-[hour][minute][second]");
    let stamp = OffsetDateTime::now_utc().format(&format).map_err(io::Error::other)?;
    let mut target = with_suffix(path, &format!(".damaged-{stamp}"));
    for again in 2_u32.. {
        if !target.try_exists()? {
            break;
        }
        target = with_suffix(path, &format!(".damaged-{stamp}-{again}"));
    }
    // The log and the shared memory first: a database without its log is older, one with another's log is broken.
    for suffix in ["-wal", "-shm"] {
        let part = with_suffix(path, suffix);
        if part.try_exists()? {
            std::fs::rename(&part, with_suffix(&target, suffix))?;
        }
    }
    std::fs::rename(path, &target)?;
    sync_directory_of(path)?;
    Ok(target)
}
