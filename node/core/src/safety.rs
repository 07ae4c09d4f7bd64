//! Safety codes: what two people compare, and what follows from it.
//!
//! Keeps true: a user is shown as verified only while the root of its chains is the one that was confirmed and every
//! device of it is vouched for; once confirmed, an unendorsed device of that user learns nothing of conversations. Goes
//! in: commands, roots of chains. Goes out: codes, changes to be stored, notices. `docs/protocol.md#safety`.

use crate::boot::{DeviceTrust, RequestId, StoredRoot};
use crate::output::{Answer, Change, CommandError, Event, Notice};
use crate::state::NodeState;
use crate::writes::Write;
use lanchat_proto::certificate::{SafetyCode, check_chain};
use lanchat_proto::ids::{DeviceId, RealmId, UserId};

impl NodeState {
    /// The code to be compared with a user.
    pub(crate) fn safety_code(&self, user: &UserId) -> Result<SafetyCode, CommandError> {
        if *user == self.me.user {
            return Err(CommandError::Yourself);
        }
        let row = self.peers.users.get(user).ok_or(CommandError::NoSuchUser)?;
        // Whoever vouches for nobody knows its own root only by the coordinator's word.
        if self.me.chain.is_empty() && self.me.realm != RealmId::OPEN {
            return Err(CommandError::NotEndorsed);
        }
        let own = self.peers.users.get(&self.me.user).and_then(|own| own.root);
        let (own, root) =
            (own.ok_or(CommandError::NotEndorsed)?, row.root.ok_or(CommandError::NoSafetyCode)?);
        Ok(SafetyCode::of(&self.me.realm, (self.me.user, own), (*user, root)))
    }

    pub(crate) fn tell_code(&self, user: &UserId) -> Result<Answer, CommandError> {
        let code = self.safety_code(user)?;
        Ok(Answer::SafetyCode { code, verified: self.is_verified(user) })
    }

    /// The two people have compared this code. Answered when that is on disk.
    pub(crate) fn confirm(
        &mut self,
        request: RequestId,
        user: UserId,
        code: SafetyCode,
    ) -> Result<(), CommandError> {
        if self.safety_code(&user)? != code {
            return Err(CommandError::CodeChanged);
        }
        let was = self.is_verified(&user);
        if let Some(row) = self.peers.users.get_mut(&user) {
            row.confirmed = row.root;
        }
        self.root_to_disk(request, user, was);
        Ok(())
    }

    /// The person takes it back. Answered when that is on disk.
    pub(crate) fn unconfirm(&mut self, request: RequestId, user: UserId) -> Result<(), CommandError> {
        let was = self.is_verified(&user);
        let barred = self.barred_devices(&user);
        let row = self.peers.users.get_mut(&user).ok_or(CommandError::NoSuchUser)?;
        row.confirmed = None;
        if was {
            self.event(Event::Profile { user });
        }
        self.root_to_disk(request, user, false);
        barred.iter().for_each(|device| self.compare_again(device));
        Ok(())
    }

    fn root_to_disk(&mut self, request: RequestId, user: UserId, was: bool) {
        let changes: Vec<Change> = self.root_change(&user).into_iter().collect();
        let answer = Some((request, Answer::Done));
        self.write(Write { answer, retry: changes.clone(), ..Write::default() }, changes);
        self.verified_changed(&user, was);
    }

    /// What is stored of a user's root now.
    pub(crate) fn root_change(&self, user: &UserId) -> Option<Change> {
        let row = self.peers.users.get(user)?;
        Some(Change::Root(StoredRoot { user: *user, root: row.root?, confirmed: row.confirmed }))
    }

    /// Whether the user's code was compared and still stands for all of its devices.
    pub(crate) fn is_verified(&self, user: &UserId) -> bool {
        let Some(row) = self.peers.users.get(user) else { return false };
        row.root.is_some() && row.confirmed == row.root && self.barred_devices(user).is_empty()
    }

    /// Tells when a user is not verified any more, or is again.
    pub(crate) fn verified_changed(&mut self, user: &UserId, was: bool) {
        let is = self.is_verified(user);
        if was != is {
            self.event(Event::Profile { user: *user });
        }
        if was && !is {
            self.notice(Notice::NotVerified { user: *user });
        }
    }

    /// Whether a device is one that nobody vouches for, of a user whose code was confirmed.
    pub(crate) fn is_barred(&self, device: &DeviceId) -> bool {
        let Some(known) = self.peers.known(device) else { return false };
        let confirmed = self.peers.users.get(&known.user).is_some_and(|user| user.confirmed.is_some());
        confirmed && known.trust == DeviceTrust::Unendorsed
    }

    /// The barred devices of a user that still belong to it.
    fn barred_devices(&self, user: &UserId) -> Vec<DeviceId> {
        let devices = self.peers.users.get(user).into_iter().flat_map(|row| &row.devices).copied();
        devices.filter(|device| self.is_barred(device) && !self.is_revoked(device)).collect()
    }

    /// A device that was accepted has a chain of its own: from now on that chain's beginning is its user's root.
    pub(crate) fn adopt_root(&mut self, device: &DeviceId) -> Option<Change> {
        let known = self.peers.known(device)?;
        let user = Some(known.user).filter(|user| *user != self.me.user)?;
        let root = *check_chain(&known.chain, &self.me.realm, &user, device).ok()?.first()?;
        let row = self.peers.users.get_mut(&user).filter(|row| row.root != Some(root))?;
        row.root = Some(root);
        self.root_change(&user)
    }
}
