//! The store's content in memory.
//!
//! Keeps true: it is what the store holds plus at most one batch that is under way, and it can be taken back to before
//! that batch. The directory's versions are unique, so a copy is told exactly what it lacks.

use crate::record::{Account, Change, Device, Invite, Loaded};
use lanchat_proto::certificate::{Act, CertificateError, Revocation, Revocations};
use lanchat_proto::ids::{DeviceId, RealmId, UserId};
use lanchat_proto::names::UserName;
use lanchat_proto::signed::Signed;
use lanchat_proto::time::Wall;
use lanchat_proto::wire::coordinator::{Announcement, DirectoryMark};
use std::collections::{BTreeMap, BTreeSet};

/// How to take one change back.
pub(crate) enum Undo {
    Account(UserId, Option<Box<Account>>),
    LastSeen(UserId, Wall),
    Device(DeviceId, Option<Box<Device>>),
    Serial(u64),
    Act(Box<Revocations>),
    Invite(String, Option<Invite>),
    Announcement(u64, Option<Announcement>),
    Nothing,
}

/// The records.
pub(crate) struct Records {
    realm: RealmId,
    issuer: DeviceId,
    generation: u64,
    accounts: BTreeMap<UserId, Account>,
    names: BTreeMap<UserName, UserId>,
    versions: BTreeMap<u64, UserId>,
    devices: BTreeMap<DeviceId, Device>,
    of_user: BTreeSet<(UserId, DeviceId)>,
    serial: u64,
    revocations: Revocations,
    acts: Vec<Signed<Revocation>>,
    last_act: Wall,
    invites: BTreeMap<String, Invite>,
    announcements: BTreeMap<u64, Announcement>,
}

impl Records {
    /// From what the store holds. Acts of former issuing keys count, but stand in no list that is handed out.
    ///
    /// # Errors
    /// [`CertificateError`] when a revocation list of the store is broken.
    pub(crate) fn load(loaded: Loaded, realm: RealmId, issuer: DeviceId) -> Result<Self, CertificateError> {
        let mut records = Self {
            realm,
            issuer,
            generation: loaded.generation,
            accounts: BTreeMap::new(),
            names: BTreeMap::new(),
            versions: BTreeMap::new(),
            devices: BTreeMap::new(),
            of_user: BTreeSet::new(),
            serial: loaded.serial,
            revocations: Revocations::default(),
            acts: Vec::new(),
            last_act: Wall(0),
            invites: loaded.invites.into_iter().map(|invite| (invite.code.clone(), invite)).collect(),
            announcements: loaded.announcements.into_iter().map(|a| (a.number, a)).collect(),
        };
        loaded.accounts.into_iter().for_each(|account| records.put_account(account));
        loaded.devices.into_iter().for_each(|device| records.put_device(device));
        for act in loaded.acts {
            let said = act.peek()?;
            records.revocations.apply(&act, &realm, &said.issuer)?;
            records.last_act = said.at.max(records.last_act);
            if said.issuer == issuer {
                records.acts.push(act);
            }
        }
        Ok(records)
    }

    /// Applies a change and says how to take it back.
    pub(crate) fn apply(&mut self, change: &Change) -> Undo {
        match change {
            Change::Account(account) => {
                let before = self.accounts.get(&account.user).cloned().map(Box::new);
                self.put_account((**account).clone());
                Undo::Account(account.user, before)
            }
            Change::LastSeen { user, at } => match self.accounts.get_mut(user) {
                Some(account) => Undo::LastSeen(*user, std::mem::replace(&mut account.last_seen, *at)),
                None => Undo::Nothing,
            },
            Change::Device(device) => {
                let before = self.devices.get(&device.device).cloned().map(Box::new);
                self.put_device((**device).clone());
                Undo::Device(device.device, before)
            }
            Change::Serial(serial) => Undo::Serial(std::mem::replace(&mut self.serial, *serial)),
            Change::Act(act) => {
                let before = Box::new(self.revocations.clone());
                if self.revocations.apply(act, &self.realm, &self.issuer) == Ok(true) {
                    self.last_act = act.peek().map_or(self.last_act, |said| said.at);
                    self.acts.push(act.clone());
                }
                Undo::Act(before)
            }
            Change::Invite(invite) => {
                Undo::Invite(invite.code.clone(), self.invites.insert(invite.code.clone(), invite.clone()))
            }
            Change::InviteGone(code) => Undo::Invite(code.clone(), self.invites.remove(code)),
            Change::Announcement(new) => {
                Undo::Announcement(new.number, self.announcements.insert(new.number, new.clone()))
            }
            Change::AnnouncementGone(number) => {
                Undo::Announcement(*number, self.announcements.remove(number))
            }
            Change::Avatar { .. } => Undo::Nothing,
        }
    }

    /// Takes a change back. To be called newest first.
    pub(crate) fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Account(_, Some(account)) => self.put_account(*account),
            Undo::Account(user, None) => {
                if let Some(account) = self.accounts.remove(&user) {
                    self.names.remove(&account.name);
                    self.versions.remove(&account.version);
                }
            }
            Undo::LastSeen(user, at) => {
                if let Some(account) = self.accounts.get_mut(&user) {
                    account.last_seen = at;
                }
            }
            Undo::Device(_, Some(device)) => self.put_device(*device),
            Undo::Device(device, None) => {
                if let Some(device) = self.devices.remove(&device) {
                    self.of_user.remove(&(device.user, device.device));
                }
            }
            Undo::Serial(serial) => self.serial = serial,
            Undo::Act(before) => {
                let number = usize::try_from(before.head(&self.issuer).number).unwrap_or(usize::MAX);
                self.acts.truncate(number);
                self.revocations = *before;
            }
            Undo::Invite(_, Some(invite)) => {
                self.invites.insert(invite.code.clone(), invite);
            }
            Undo::Invite(code, None) => {
                self.invites.remove(&code);
            }
            Undo::Announcement(number, Some(announcement)) => {
                self.announcements.insert(number, announcement);
            }
            Undo::Announcement(number, None) => {
                self.announcements.remove(&number);
            }
            Undo::Nothing => {}
        }
    }

    fn put_account(&mut self, account: Account) {
        if let Some(before) = self.accounts.get(&account.user) {
            self.versions.remove(&before.version);
        }
        self.names.insert(account.name.clone(), account.user);
        self.versions.insert(account.version, account.user);
        self.accounts.insert(account.user, account);
    }

    fn put_device(&mut self, device: Device) {
        self.of_user.insert((device.user, device.device));
        self.devices.insert(device.device, device);
    }

    pub(crate) fn account(&self, user: &UserId) -> Option<&Account> {
        self.accounts.get(user)
    }

    pub(crate) fn named(&self, name: &UserName) -> Option<&Account> {
        self.names.get(name).and_then(|user| self.accounts.get(user))
    }

    /// Accounts by login.
    pub(crate) fn by_name(&self) -> impl Iterator<Item = &Account> {
        self.names.values().filter_map(|user| self.accounts.get(user))
    }

    pub(crate) fn account_count(&self) -> usize {
        self.accounts.len()
    }

    pub(crate) fn device(&self, device: &DeviceId) -> Option<&Device> {
        self.devices.get(device)
    }

    /// All devices that a user ever had.
    pub(crate) fn devices_of(&self, user: &UserId) -> impl Iterator<Item = &Device> {
        let range = (*user, DeviceId([0; 32]))..=(*user, DeviceId([0xff; 32]));
        self.of_user.range(range).filter_map(|(_, device)| self.devices.get(device))
    }

    /// The next certificate's serial: the time, or one more than the serial before.
    pub(crate) fn next_serial(&self, now: Wall) -> u64 {
        now.0.max(self.serial.saturating_add(1))
    }

    /// A serial that no certificate until now exceeds, not even one that is missing here after a restore.
    pub(crate) fn newest_serial(&self, now: Wall) -> u64 {
        now.0.max(self.serial)
    }

    pub(crate) fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// The time for the next act: of two words about a ban the later one holds, whatever the clock did.
    pub(crate) fn act_time(&self, now: Wall) -> Wall {
        now.max(self.last_act)
    }

    /// The coordinator's own list after this number.
    pub(crate) fn acts_after(&self, number: u64) -> &[Signed<Revocation>] {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        self.acts.get(number..).unwrap_or_default()
    }

    /// What the lists of former issuing keys still mean, for a new list that begins with it.
    pub(crate) fn restated(&self, former: &[Signed<Revocation>]) -> Vec<Act> {
        let (mut kicks, mut devices) = (BTreeMap::<UserId, u64>::new(), BTreeMap::<DeviceId, u64>::new());
        let mut users = BTreeSet::new();
        for act in former.iter().filter_map(|act| act.peek().ok()) {
            match act.act {
                Act::Ban(user) | Act::Unban(user) => {
                    users.insert(user);
                }
                Act::Kick { user, up_to_serial } => {
                    let newest = kicks.entry(user).or_default();
                    *newest = up_to_serial.max(*newest);
                }
                Act::RevokeDevice { device, up_to_serial } => {
                    let newest = devices.entry(device).or_default();
                    *newest = up_to_serial.max(*newest);
                }
                Act::RevokeIssuer(_) | Act::Unknown { .. } => {}
            }
        }
        let bans = users.into_iter().filter(|user| self.revocations.is_banned(user)).map(Act::Ban);
        let kicks = kicks.into_iter().map(|(user, up_to_serial)| Act::Kick { user, up_to_serial });
        let devices =
            devices.into_iter().map(|(device, up_to_serial)| Act::RevokeDevice { device, up_to_serial });
        kicks.chain(devices).chain(bans).collect()
    }

    pub(crate) fn invite(&self, code: &str) -> Option<&Invite> {
        self.invites.get(code)
    }

    pub(crate) fn invites(&self) -> impl Iterator<Item = &Invite> {
        self.invites.values()
    }

    pub(crate) fn announcements(&self) -> impl DoubleEndedIterator<Item = &Announcement> {
        self.announcements.values()
    }

    /// How new the directory is.
    pub(crate) fn mark(&self) -> DirectoryMark {
        let version = self.versions.last_key_value().map_or(0, |(version, _)| *version);
        DirectoryMark { generation: self.generation, version }
    }

    /// Accounts that changed after this version, in the order of their changes.
    pub(crate) fn changed_after(&self, version: u64) -> impl Iterator<Item = &Account> {
        self.versions.range(version.saturating_add(1)..).filter_map(|(_, user)| self.accounts.get(user))
    }
}
