//! Which membership is active, and the change from one to another.
//!
//! Keeps true: the active membership's key and database are `device.key` and `lanchat.db`; every other one lies whole
//! under `parked/`. A change is written down before it begins and can be finished after a crash at any step.

use crate::identity::{Identity, IdentityError};
use crate::paths::DataDir;
use crate::platform;
use crate::store::{self, Membership, Store, StoreError};
use lanchat_proto::certificate::{Certificate, DeviceChain, Endorsement};
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::ids::{Epoch, RealmId, UserId};
use lanchat_proto::names::UserName;
use lanchat_proto::signed::{Signed, SignedError};
use lanchat_proto::time::Wall;
use std::io;
use std::path::Path;

/// A membership could not be opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum MembershipError {
    /// The keys.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Files could not be moved.
    #[error("{what}: {reason}")]
    Files {
        /// What was tried.
        what: String,
        /// Why it failed.
        reason: io::Error,
    },
    /// A certificate could not be made.
    #[error(transparent)]
    Signed(#[from] SignedError),
    /// The key file and the database belong to different devices.
    #[error(
        "device.key and lanchat.db belong to different devices; restore both from one backup, or move both away"
    )]
    Mismatch,
}

fn files(what: impl Into<String>) -> impl FnOnce(io::Error) -> MembershipError {
    let what = what.into();
    move |reason| MembershipError::Files { what, reason }
}

/// A random epoch.
///
/// # Errors
/// [`IdentityError::Random`].
pub fn random_epoch() -> Result<Epoch, IdentityError> {
    Ok(Epoch(u64::from_le_bytes(crate::identity::random()?)))
}

/// A device's word that it is its user's first one.
///
/// # Errors
/// [`SignedError::TooLarge`], which the types exclude.
pub fn first_device_chain(
    identity: &Identity,
    realm: RealmId,
    user: UserId,
    at: Wall,
) -> Result<DeviceChain, SignedError> {
    let device = identity.device();
    let endorsement = Endorsement { realm, user, device, by: device, at };
    Ok(BoundedVec::first([Signed::sign(&endorsement, &identity.key)?]))
}

/// The membership of this device in the open LAN.
///
/// # Errors
/// [`SignedError::TooLarge`], which the types exclude.
pub fn open_lan(identity: &Identity, name: UserName, now: Wall) -> Result<Membership, SignedError> {
    let device = identity.device();
    let user = UserId::of_open_device(&device);
    let certificate = Certificate::self_signed(&identity.key, name.clone(), identity.sealing_public(), now)?;
    Ok(Membership {
        realm: RealmId::OPEN,
        user,
        name: name.to_string(),
        device,
        certificate,
        chain: first_device_chain(identity, RealmId::OPEN, user, now)?,
        coordinator: None,
        org: String::new(),
    })
}

/// Reads the active membership's keys, making what a fresh data directory lacks.
///
/// # Errors
/// [`MembershipError`].
pub fn open_or_create(dir: &DataDir, name: &UserName, now: Wall) -> Result<Identity, MembershipError> {
    finish_switch(dir)?;
    let key_there = exists(&dir.device_key())?;
    let database_there = exists(&dir.database())?;
    if !key_there {
        if database_there {
            return Err(MembershipError::Mismatch);
        }
        Identity::generate()?.save(&dir.device_key())?;
    }
    let identity = Identity::load(&dir.device_key())?;
    if !database_there {
        Store::create(&dir.database(), &open_lan(&identity, name.clone(), now)?, random_epoch()?)?;
    }
    Ok(identity)
}

fn exists(path: &Path) -> Result<bool, MembershipError> {
    path.try_exists().map_err(files(format!("looking for {}", path.display())))
}

/// Lays a membership down under `parked/`, ready to be switched to: new, or an earlier one of the same user that goes
/// on with a new certificate (and perhaps a new key).
///
/// # Errors
/// [`MembershipError`].
pub fn prepare(dir: &DataDir, identity: &Identity, membership: &Membership) -> Result<(), MembershipError> {
    let parked = dir.parked_membership(&membership.realm, &membership.user);
    parked.create().map_err(|error| MembershipError::Files {
        what: format!("making {}", parked.root().display()),
        reason: io::Error::other(error),
    })?;
    if exists(&parked.database())? {
        store::set_membership(&parked.database(), membership)?;
    } else {
        Store::create(&parked.database(), membership, random_epoch()?)?;
    }
    identity.save(&parked.device_key())?;
    Ok(())
}

/// Makes a prepared (or parked) membership the active one. No node may have the active database open.
///
/// # Errors
/// [`MembershipError`]; a next start goes on where this stopped.
pub fn switch_to(dir: &DataDir, realm: &RealmId, user: &UserId) -> Result<(), MembershipError> {
    let marker = format!("{realm} {user}\n");
    platform::write_private(&dir.switch_marker(), marker.as_bytes()).map_err(files("noting the change"))?;
    finish_switch(dir)
}

/// Goes on with a change that a crash interrupted. Every step looks at what is there first.
fn finish_switch(dir: &DataDir) -> Result<(), MembershipError> {
    let marker = match std::fs::read_to_string(dir.switch_marker()) {
        Ok(marker) => marker,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(files("reading the noted change")(error)),
    };
    let target = marker
        .trim()
        .split_once(' ')
        .and_then(|(realm, user)| Some((realm.parse::<RealmId>().ok()?, user.parse::<UserId>().ok()?)));
    if let Some((realm, user)) = target {
        let take = dir.parked_membership(&realm, &user);
        if exists(&dir.database())? {
            let active = store::peek(&dir.database())?;
            if (active.realm, active.user) != (realm, user) {
                park(dir, &dir.parked_membership(&active.realm, &active.user))?;
            }
        }
        if !exists(&dir.database())? && exists(&take.database())? {
            unpark(dir, &take)?;
        }
    }
    std::fs::remove_file(dir.switch_marker()).map_err(files("forgetting the noted change"))
}

/// Database files in the order in which they may be moved: the main one decides, so it goes last and comes last.
fn database_files(dir: &DataDir) -> [std::path::PathBuf; 3] {
    let side = |suffix: &str| {
        let mut name = dir.database().into_os_string();
        name.push(suffix);
        name.into()
    };
    [side("-wal"), side("-shm"), dir.database()]
}

fn move_database(from: &DataDir, to: &DataDir) -> Result<(), MembershipError> {
    for (old, new) in database_files(from).into_iter().zip(database_files(to)) {
        if exists(&old)? {
            std::fs::rename(&old, &new).map_err(files(format!("moving {}", old.display())))?;
        }
    }
    for dir in [from, to] {
        platform::sync_dir(dir.root()).map_err(files(format!("flushing {}", dir.root().display())))?;
    }
    Ok(())
}

fn park(dir: &DataDir, parked: &DataDir) -> Result<(), MembershipError> {
    platform::create_private_dir(parked.root())
        .map_err(files(format!("making {}", parked.root().display())))?;
    Identity::load(&dir.device_key())?.save(&parked.device_key())?;
    move_database(dir, parked)
}

fn unpark(dir: &DataDir, parked: &DataDir) -> Result<(), MembershipError> {
    Identity::load(&parked.device_key())?.save(&dir.device_key())?;
    move_database(parked, dir)
}

/// The membership of the open LAN that lies parked, if there is one.
///
/// # Errors
/// [`MembershipError`].
pub fn parked_open(dir: &DataDir) -> Result<Option<Membership>, MembershipError> {
    Ok(parked_all(dir)?.into_iter().find(|membership| membership.realm == RealmId::OPEN))
}

/// All parked memberships. One that cannot be read is left where it is and not listed.
///
/// # Errors
/// [`MembershipError::Files`] when the directory cannot be listed.
pub fn parked_all(dir: &DataDir) -> Result<Vec<Membership>, MembershipError> {
    if !exists(&dir.parked())? {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(dir.parked()).map_err(files("listing parked memberships"))?;
    Ok(entries.filter_map(|entry| store::peek(&DataDir::at(&entry.ok()?.path()).database()).ok()).collect())
}

/// The keys of a parked membership of this realm, for a login that might be its user's.
#[must_use]
pub fn parked_identities(dir: &DataDir, realm: &RealmId, name: &str) -> Vec<Identity> {
    parked_all(dir)
        .unwrap_or_default()
        .into_iter()
        .filter(|membership| membership.realm == *realm && membership.name == name)
        .filter_map(|membership| {
            Identity::load(&dir.parked_membership(realm, &membership.user).device_key()).ok()
        })
        .collect()
}
