//! The data directory, its lock, and `config.toml`.
//!
//! Keeps true: one coordinator for one data directory; a setting that is not understood stops the start and changes
//! nothing.

use crate::error::ServerError;
use crate::limits::MAX_FILE;
use crate::platform::{create_private_dir, write_private};
use fs4::FileExt;
use lanchat_coordinator_core::{Config as CoreConfig, Registration};
use lanchat_proto::codec::Text;
use lanchat_proto::names::DisplayName;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The organisation's name unless the admin says otherwise.
const DEFAULT_ORG: &str = "lanchat";

/// A data directory.
#[derive(Clone, Debug)]
pub(crate) struct DataDir(pub(crate) PathBuf);

impl DataDir {
    /// The platform's directory for a coordinator's data.
    pub(crate) fn standard() -> Option<PathBuf> {
        let dirs = directories::ProjectDirs::from("", "", "lanchat-coordinator")?;
        Some(dirs.data_local_dir().to_owned())
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.0.join("org.key")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.0.join("coordinator.db")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    pub(crate) fn admin(&self) -> PathBuf {
        self.0.join("admin.json")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.0.join("log")
    }

    /// Creates the directory if need be and takes its lock, which is held until the file is dropped.
    pub(crate) fn lock(&self) -> Result<File, ServerError> {
        create_private_dir(&self.0).map_err(ServerError::file(&self.0))?;
        let path = self.0.join("coordinator.lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(ServerError::file(&path))?;
        match FileExt::try_lock(&file) {
            Ok(()) => Ok(file),
            Err(fs4::TryLockError::WouldBlock) => Err(ServerError::Running(self.0.clone())),
            Err(fs4::TryLockError::Error(error)) => Err(ServerError::File { path, error }),
        }
    }
}

/// Reads a small text file; `None` when there is none.
pub(crate) fn read_small(path: &Path) -> Result<Option<String>, ServerError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ServerError::File { path: path.to_owned(), error }),
    };
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text).map_err(ServerError::file(path))?;
    Ok(Some(text))
}

/// What stands in `config.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The organisation's name.
    #[serde(default = "default_org")]
    org: String,
    /// Who may register: `open`, `invite` or `closed`.
    #[serde(default = "default_registration")]
    registration: String,
}

fn default_org() -> String {
    DEFAULT_ORG.to_owned()
}

fn default_registration() -> String {
    "invite".to_owned()
}

/// The word for a registration mode.
pub(crate) fn registration_word(registration: Registration) -> &'static str {
    match registration {
        Registration::Open => "open",
        Registration::Invite => "invite",
        Registration::Closed => "closed",
    }
}

/// The registration mode with this word.
pub(crate) fn registration_of(word: &str) -> Option<Registration> {
    [Registration::Open, Registration::Invite, Registration::Closed]
        .into_iter()
        .find(|registration| registration_word(*registration) == word)
}

/// Settings from `config.toml`, changed by what the command line says, and written back when they differ.
pub(crate) fn load(
    dir: &DataDir,
    org: Option<&str>,
    registration: Option<Registration>,
) -> Result<CoreConfig, ServerError> {
    let path = dir.config();
    let bad = |what: String| ServerError::Config { path: path.clone(), what };
    let text = read_small(&path)?;
    let before: Option<Settings> =
        match &text {
            Some(text) => Some(toml::from_str(text).map_err(|error| {
                bad(error.message().lines().next().unwrap_or("not understood").to_owned())
            })?),
            None => None,
        };
    let mut settings = before
        .clone()
        .unwrap_or_else(|| Settings { org: default_org(), registration: default_registration() });
    if let Some(org) = org {
        org.clone_into(&mut settings.org);
    }
    if let Some(registration) = registration {
        registration_word(registration).clone_into(&mut settings.registration);
    }
    let name = DisplayName::parse_filled(&settings.org).map_err(|error| bad(format!("org: {error}")))?;
    let config = CoreConfig {
        org: Text::new(name.as_str()).map_err(|error| bad(format!("org: {error} bytes")))?,
        registration: registration_of(&settings.registration)
            .ok_or_else(|| bad("registration is one of open, invite, closed".to_owned()))?,
        relay: None,
    };
    if before.as_ref() != Some(&settings) {
        let text = toml::to_string(&settings).map_err(|error| bad(error.to_string()))?;
        write_private(&path, text.as_bytes()).map_err(ServerError::file(&path))?;
    }
    Ok(config)
}

/// Whether a directory holds no coordinator yet.
pub(crate) fn is_empty(dir: &DataDir) -> bool {
    [dir.keys(), dir.database()].iter().all(|path| fs::symlink_metadata(path).is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_kept_and_bad_ones_change_nothing() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = DataDir(temporary.path().to_owned());
        let config = load(&dir, Some("Büro"), Some(Registration::Open)).unwrap();
        assert_eq!((&*config.org, config.registration), ("Büro", Registration::Open));
        assert_eq!(load(&dir, None, None).unwrap(), config);
        for bad in ["registration = 'sometimes'", "colour = 1", "org = ''", "org = 3", "org ="] {
            fs::write(dir.config(), bad).unwrap();
            let error = load(&dir, None, None).unwrap_err().to_string();
            assert!(error.contains("config.toml") && error.lines().count() == 1, "{error}");
            assert_eq!(fs::read_to_string(dir.config()).unwrap(), bad);
        }
    }

    #[test]
    fn a_data_directory_serves_one_coordinator() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = DataDir(temporary.path().join("new"));
        let lock = dir.lock().unwrap();
        assert!(matches!(dir.lock(), Err(ServerError::Running(_))));
        drop(lock);
        assert!(dir.lock().is_ok());
    }
}
