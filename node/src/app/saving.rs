//! Backup of a running node, and restore into a data directory where none runs.
//!
//! Keeps true: a restore puts a whole, verified membership in its place or changes nothing; the restored database gets
//! a new epoch, so that its numbers are never used twice. In the open LAN the device comes back with it; in an
//! organisation the copy waits, parked, for a login, which makes it a new device of its user.

use crate::app::membership::{self, MembershipError};
use crate::app::pins::{self, Pin};
use crate::backup::{self, BackupError, BackupParts, Restored};
use crate::identity::{Identity, IdentityError};
use crate::paths::{DataDir, PathError};
use crate::store::{self, Membership, Reader, StoreError};
use lanchat_proto::ids::RealmId;
use lanchat_proto::names::UserName;
use lanchat_proto::signed::SecretKey;
use lanchat_proto::time::Wall;
use std::path::Path;

/// A backup or restore did not work.
#[derive(Debug, thiserror::Error)]
pub enum SavingError {
    /// The data directory.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The file.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Moving into place.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// A temporary copy.
    #[error("temporary copy: {0}")]
    Temporary(#[from] std::io::Error),
    /// The same membership is there already.
    #[error("{0} is in this data directory already; restore into another one with --data-dir")]
    AlreadyThere(String),
    /// A backup of the open LAN without its key.
    #[error("the backup holds no device key")]
    NoKey,
}

/// What a restore brought.
#[derive(Debug)]
pub struct RestoredMembership {
    /// The user's name.
    pub name: String,
    /// The organisation; empty for the open LAN.
    pub org: String,
    /// Whether a login is needed before the history shows.
    pub needs_login: bool,
}

/// Writes a backup of the active membership.
///
/// # Errors
/// [`SavingError`]; nothing is left at the path then.
pub(crate) fn save(
    file: &Path,
    passphrase: &str,
    reader: &Reader,
    membership: &Membership,
    secret: Option<&SecretKey>,
    created: Wall,
) -> Result<(), SavingError> {
    let place = tempfile::Builder::new().prefix("lanchat-backup-").tempdir()?;
    let database = place.path().join("lanchat.db");
    reader.copy_to(&database)?;
    let parts = BackupParts {
        realm: membership.realm,
        user: membership.user,
        name: &membership.name,
        secret,
        created,
        database: &database,
    };
    Ok(backup::write(file, passphrase, &parts)?)
}

/// Restores a backup into a data directory. What was active there is parked, not lost.
///
/// # Errors
/// [`SavingError`]; the directory is then as it was.
pub fn restore(
    root: &Path,
    file: &Path,
    passphrase: &str,
    now: Wall,
) -> Result<RestoredMembership, SavingError> {
    let dir = DataDir::at(root);
    dir.create()?;
    let _lock = dir.lock()?;
    let restored = backup::read(file, passphrase, root)?;
    refuse_twice(&dir, &restored)?;
    if restored.realm == RealmId::OPEN {
        restore_open(&dir, restored, now)
    } else {
        restore_member(&dir, restored)
    }
}

fn refuse_twice(dir: &DataDir, restored: &Restored) -> Result<(), SavingError> {
    let active = match dir.database().try_exists()? {
        true => Some(store::peek(&dir.database())?),
        false => None,
    };
    let same = |m: &Membership| (m.realm, m.user) == (restored.realm, restored.user);
    if active.iter().any(same) || membership::parked_all(dir)?.iter().any(same) {
        return Err(SavingError::AlreadyThere(restored.name.clone()));
    }
    Ok(())
}

fn restore_open(dir: &DataDir, restored: Restored, now: Wall) -> Result<RestoredMembership, SavingError> {
    let key = restored.secret.clone().ok_or(SavingError::NoKey)?;
    let identity = Identity::with_key(key)?;
    let name: UserName = restored.name.parse().map_err(|_| SavingError::NoKey)?;
    let membership = membership::open_lan(&identity, name, now).map_err(MembershipError::from)?;
    let parked = dir.parked_membership(&membership.realm, &membership.user);
    parked.create()?;
    restored.install(&parked.database(), membership::random_epoch()?)?;
    // The sealing key is new, and with it the certificate.
    membership::prepare(dir, &identity, &membership)?;
    membership::switch_to(dir, &membership.realm, &membership.user)?;
    Ok(RestoredMembership { name: membership.name, org: String::new(), needs_login: false })
}

fn restore_member(dir: &DataDir, restored: Restored) -> Result<RestoredMembership, SavingError> {
    let parked = dir.parked_membership(&restored.realm, &restored.user);
    parked.create()?;
    restored.install(&parked.database(), membership::random_epoch()?)?;
    let membership = store::peek(&parked.database())?;
    if let Some((device, addresses)) = &membership.coordinator {
        for address in addresses {
            let org = membership.org.clone();
            let pin = Pin { address: address.clone(), realm: membership.realm, device: *device, org };
            pins::remember(&dir.known_coordinators(), pin)?;
        }
    }
    Ok(RestoredMembership { name: membership.name, org: membership.org, needs_login: true })
}
