//! Where everything lies in the data directory, and the lock that keeps a second node out of it.

use crate::platform;
use lanchat_proto::ids::{RealmId, UserId};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// The data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// It could not be made or written.
    #[error("the data directory {path} cannot be used: {reason}")]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// A node runs there.
    #[error("a lanchat already runs on {0}")]
    Running(PathBuf),
    /// The platform names none.
    #[error("no data directory is known here; give one with --data-dir")]
    Unknown,
}

/// The data directory of a node.
#[derive(Clone, Debug)]
pub struct DataDir {
    root: PathBuf,
}

/// The lock on a data directory, held while a node runs.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl DataDir {
    /// The directory at this path; nothing is made yet.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// Makes the directory, closed to other users.
    ///
    /// # Errors
    /// [`PathError::Unusable`].
    pub fn create(&self) -> Result<(), PathError> {
        platform::create_private_dir(&self.root)
            .map_err(|reason| PathError::Unusable { path: self.root.clone(), reason })
    }

    /// Takes the lock.
    ///
    /// # Errors
    /// [`PathError::Running`] when another process has it, else [`PathError::Unusable`].
    pub fn lock(&self) -> Result<Lock, PathError> {
        let path = self.root.join("lock");
        let unusable = |reason| PathError::Unusable { path: self.root.clone(), reason };
        let file = File::options().create(true).truncate(false).write(true).open(path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(PathError::Running(self.root.clone())),
            Err(TryLockError::Error(reason)) => Err(unusable(reason)),
        }
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The device's secret keys.
    #[must_use]
    pub fn device_key(&self) -> PathBuf {
        self.root.join("device.key")
    }

    /// The active membership's database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.root.join("lanchat.db")
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// Coordinators whose keys were confirmed.
    #[must_use]
    pub fn known_coordinators(&self) -> PathBuf {
        self.root.join("known_coordinators")
    }

    /// Where a membership keeps what it offers and what it has fetched so far.
    #[must_use]
    pub fn blobs(&self, realm: &RealmId, user: &UserId) -> PathBuf {
        self.root.join("blobs").join(format!("{}-{}", realm.short(), user))
    }

    /// Where files are saved that come in, when the system names no directory for downloads.
    #[must_use]
    pub fn downloads(&self) -> PathBuf {
        self.root.join("downloads")
    }

    /// Log files.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Where memberships lie that are not active.
    #[must_use]
    pub fn parked(&self) -> PathBuf {
        self.root.join("parked")
    }

    /// Where this membership lies while it is not active: a data directory of its own shape.
    #[must_use]
    pub fn parked_membership(&self, realm: &RealmId, user: &UserId) -> Self {
        Self { root: self.parked().join(format!("{}-{}", realm.short(), user)) }
    }

    /// Says that a change of membership is under way; see `app::membership`.
    #[must_use]
    pub fn switch_marker(&self) -> PathBuf {
        self.root.join("switching")
    }
}
