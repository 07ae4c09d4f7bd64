//! The starred people: a small file of the API's own, for each own user a list of users.

use crate::api::ServeError;
use crate::api::error::{ApiError, EXIT_FAILED};
use crate::api::limits::CONTACTS;
use crate::platform::write_private;
use axum::http::StatusCode;
use lanchat_proto::ids::UserId;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file's name in the data directory.
const FILE: &str = "contacts.toml";

type Starred = BTreeMap<String, BTreeSet<String>>;

/// See the module; share it behind an `Arc`.
pub struct Contacts {
    path: PathBuf,
    starred: Mutex<Starred>,
}

impl Contacts {
    /// Reads the file; none means nobody is starred.
    ///
    /// # Errors
    /// [`ServeError::File`]: a broken one is refused and left as it is.
    pub fn open(data_dir: &Path) -> Result<Self, ServeError> {
        let path = data_dir.join(FILE);
        let failed = |reason: String| ServeError::File { file: path.display().to_string(), reason };
        let starred = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|error| failed(error.message().to_owned()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Starred::new(),
            Err(error) => return Err(failed(error.to_string())),
        };
        Ok(Self { path, starred: Mutex::new(starred) })
    }

    /// Whom a user has starred, as hex.
    pub(crate) fn of(&self, me: &UserId) -> BTreeSet<String> {
        let starred = self.starred.lock().unwrap_or_else(PoisonError::into_inner);
        starred.get(&me.to_string()).cloned().unwrap_or_default()
    }

    /// Whom a user has starred.
    #[must_use]
    pub fn users(&self, me: &UserId) -> BTreeSet<UserId> {
        // What is no id was written there by hand, and is nobody.
        self.of(me).iter().filter_map(|user| user.parse().ok()).collect()
    }

    /// Stars somebody or takes the star away; written before it is true.
    pub(crate) fn set(&self, me: &UserId, whom: &UserId, star: bool) -> Result<(), ApiError> {
        let mut starred = self.starred.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = starred.clone();
        let list = changed.entry(me.to_string()).or_default();
        if star && list.len() >= CONTACTS {
            let message = format!("at most {CONTACTS} people can be starred");
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            let error = ApiError::new(status, "too_many_contacts", EXIT_FAILED, message);
            return Err(error.with("max", CONTACTS));
        }
        if star {
            list.insert(whom.to_string())
        } else {
            list.remove(&whom.to_string())
        };
        let failed = |reason: String| {
            ApiError::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "storage",
                EXIT_FAILED,
                format!("{FILE}: {reason}"),
            )
            .with("reason", reason)
        };
        let text = toml::to_string(&changed).map_err(|error| failed(error.to_string()))?;
        write_private(&self.path, text.as_bytes()).map_err(|error| failed(error.to_string()))?;
        *starred = changed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_belong_to_one_user_and_survive() {
        let dir = tempfile::tempdir().unwrap();
        let (alice, bob) = (UserId([1; 16]), UserId([2; 16]));
        let contacts = Contacts::open(dir.path()).unwrap();
        contacts.set(&alice, &bob, true).unwrap();
        let again = Contacts::open(dir.path()).unwrap();
        assert!(again.of(&alice).contains(&bob.to_string()));
        assert!(again.of(&bob).is_empty());
        again.set(&alice, &bob, false).unwrap();
        assert!(Contacts::open(dir.path()).unwrap().of(&alice).is_empty());
    }

    #[test]
    fn a_broken_file_is_refused_and_left() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "= broken").unwrap();
        assert!(Contacts::open(dir.path()).is_err());
        assert_eq!(std::fs::read_to_string(dir.path().join(FILE)).unwrap(), "= broken");
    }
}
