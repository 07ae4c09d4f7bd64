//! The data directory, its lock, and `config.toml`.
//!
//! Keeps true: one coordinator for one data directory; a setting that is not understood stops the start and changes
//! nothing.

use crate::error::ServerError;
use crate::limits::{MAX_FILE, MAX_RATE};
use crate::platform::{create_private_dir, write_private};
use crate::server::Config;
use fs4::FileExt;
use lanchat_coordinator_core::{Config as CoreConfig, Registration};
use lanchat_net::RelayLimits;
use lanchat_net::limits::MIN_RATE;
use lanchat_proto::codec::Text;
use lanchat_proto::names::DisplayName;
use lanchat_proto::wire::reach::RelayTerms;
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
    /// Whether circuits are carried between devices that have no other way to each other.
    #[serde(default = "yes")]
    relay: bool,
    /// Bytes a second that are carried for one user.
    #[serde(default = "default_per_user")]
    relay_per_user: u64,
    /// Bytes a second that are carried in total.
    #[serde(default = "default_total")]
    relay_total: u64,
    /// Whether the coordinator is announced in the local network.
    #[serde(default = "yes")]
    mdns: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            org: default_org(),
            registration: default_registration(),
            relay: yes(),
            relay_per_user: default_per_user(),
            relay_total: default_total(),
            mdns: yes(),
        }
    }
}

fn yes() -> bool {
    true
}

fn default_per_user() -> u64 {
    RelayLimits::default().per_user
}

fn default_total() -> u64 {
    RelayLimits::default().total
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

/// What the settings say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// For the rules.
    pub(crate) core: CoreConfig,
    /// Whether to be announced in the local network.
    pub(crate) mdns: bool,
}

/// Settings from `config.toml`, changed by what the command line says, and written back when they differ.
pub(crate) fn load(dir: &DataDir, wishes: &Config) -> Result<Loaded, ServerError> {
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
    let mut settings = before.clone().unwrap_or_default();
    if let Some(org) = &wishes.org {
        org.clone_into(&mut settings.org);
    }
    if let Some(registration) = wishes.registration {
        registration_word(registration).clone_into(&mut settings.registration);
    }
    settings.relay = wishes.relay.unwrap_or(settings.relay);
    settings.relay_per_user = wishes.relay_per_user.unwrap_or(settings.relay_per_user);
    settings.relay_total = wishes.relay_total.unwrap_or(settings.relay_total);
    let core = settings.core().map_err(bad)?;
    if before.as_ref() != Some(&settings) {
        let text = toml::to_string(&settings).map_err(|error| bad(error.to_string()))?;
        write_private(&path, text.as_bytes()).map_err(ServerError::file(&path))?;
    }
    // For this run only: whoever tries something out on a command line does not mean to hide the coordinator for ever.
    Ok(Loaded { core, mdns: settings.mdns && wishes.mdns })
}

impl Settings {
    /// What the rules have to know.
    ///
    /// # Errors
    /// One line that says which value is wrong, and what it may be.
    fn core(&self) -> Result<CoreConfig, String> {
        let name = DisplayName::parse_filled(&self.org).map_err(|error| format!("org: {error}"))?;
        for (key, rate) in [("relay_per_user", self.relay_per_user), ("relay_total", self.relay_total)] {
            if !(MIN_RATE..=MAX_RATE).contains(&rate) {
                return Err(format!("{key} is {MIN_RATE} to {MAX_RATE} bytes a second"));
            }
        }
        if self.relay_total < self.relay_per_user {
            return Err("relay_total may not be less than relay_per_user".to_owned());
        }
        let terms = RelayTerms { per_user: self.relay_per_user, total: self.relay_total };
        Ok(CoreConfig {
            org: Text::new(name.as_str()).map_err(|error| format!("org: {error} bytes"))?,
            registration: registration_of(&self.registration)
                .ok_or_else(|| "registration is one of open, invite, closed".to_owned())?,
            relay: self.relay.then_some(terms),
        })
    }
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
        let nothing = Config::new(dir.0.clone());
        let mut wishes = nothing.clone();
        (wishes.org, wishes.registration) = (Some("Büro".to_owned()), Some(Registration::Open));
        (wishes.relay_per_user, wishes.relay_total) = (Some(5000), Some(6000));
        let loaded = load(&dir, &wishes).unwrap();
        assert_eq!((&*loaded.core.org, loaded.core.registration), ("Büro", Registration::Open));
        assert_eq!(loaded.core.relay, Some(RelayTerms { per_user: 5000, total: 6000 }));
        assert_eq!(load(&dir, &nothing).unwrap(), loaded);
        wishes.relay = Some(false);
        assert_eq!(load(&dir, &wishes).unwrap().core.relay, None);
        for bad in [
            "registration = 'sometimes'",
            "colour = 1",
            "org = ''",
            "org = 3",
            "org =",
            "relay = 'on'",
            "mdns = 1",
            "relay_per_user = -1",
            "relay_per_user = 1023",
            "relay_total = 1999999",
            "relay_total = 9000000000000",
        ] {
            fs::write(dir.config(), bad).unwrap();
            let error = load(&dir, &nothing).unwrap_err().to_string();
            assert!(error.contains("config.toml") && error.lines().count() == 1, "{error}");
            assert_eq!(fs::read_to_string(dir.config()).unwrap(), bad);
        }
    }

    #[test]
    fn what_an_older_version_wrote_is_understood_and_left_as_it_is() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = DataDir(temporary.path().to_owned());
        let text = "# ours\norg = 'Office'\nregistration = 'closed'\n";
        fs::write(dir.config(), text).unwrap();
        let mut wishes = Config::new(dir.0.clone());
        let loaded = load(&dir, &wishes).unwrap();
        let usual = RelayLimits::default();
        let terms = RelayTerms { per_user: usual.per_user, total: usual.total };
        assert_eq!((loaded.core.relay, loaded.mdns), (Some(terms), true));
        wishes.mdns = false;
        assert!(!load(&dir, &wishes).unwrap().mdns);
        assert_eq!(fs::read_to_string(dir.config()).unwrap(), text);
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
