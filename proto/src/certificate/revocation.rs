//! Revocation lists: signed acts, numbered and chained by hash, one list for each issuer and one for the root.
//!
//! Keeps true: what is revoked does not depend on the order in which lists arrive. Within a list the number decides;
//! between lists a kick of any of them counts, and of two words about a ban the later one. The root's list alone can
//! revoke an issuer, and then nothing of that issuer counts. Goes in: signed acts whose issuer the caller checked.
//! Goes out: whether a membership is revoked. `docs/protocol.md#revocation`.

use super::{CertificateError, IssuingCertificate, Member};
use crate::codec::{self, Blob};
use crate::ids::{DeviceId, RealmId, UserId};
use crate::limits::MAX_ACT;
use crate::signed::{Labelled, Signed};
use crate::time::Wall;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What an act of a revocation list does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(into = "RawAct", try_from = "RawAct")]
pub enum Act {
    /// No certificate of this user is accepted until the ban is lifted. An issuer signs a [`Act::Kick`] before it, so
    /// that certificates from before the ban stay revoked when it is lifted.
    Ban(UserId),
    /// Lifts a ban.
    Unban(UserId),
    /// Certificates of this user with this serial or a smaller one are not accepted any more.
    Kick {
        /// The user.
        user: UserId,
        /// The newest serial that is revoked.
        up_to_serial: u64,
    },
    /// This device's certificates with this serial or a smaller one are not accepted any more.
    RevokeDevice {
        /// The device.
        device: DeviceId,
        /// The newest serial that is revoked.
        up_to_serial: u64,
    },
    /// No certificate and no act of this issuer counts. Has an effect in the root's own list only.
    RevokeIssuer(DeviceId),
    /// An act that this version does not know: it has its place in the chain and no effect.
    Unknown {
        /// Its number.
        kind: u16,
        /// What it says.
        body: Blob<MAX_ACT>,
    },
}

/// An act as it is signed: its number, and a body that readers who do not know the number can skip.
#[derive(Serialize, Deserialize)]
struct RawAct {
    kind: u16,
    body: Blob<MAX_ACT>,
}

impl From<Act> for RawAct {
    fn from(act: Act) -> Self {
        // Every body below is far smaller than the bound, so that neither step can fail.
        fn raw<T: Serialize>(kind: u16, body: &T) -> RawAct {
            let body = codec::encode(body).ok().and_then(|body| Blob::new(body).ok()).unwrap_or_default();
            RawAct { kind, body }
        }
        match act {
            Act::Ban(user) => raw(1, &user),
            Act::Unban(user) => raw(2, &user),
            Act::Kick { user, up_to_serial } => raw(3, &(user, up_to_serial)),
            Act::RevokeDevice { device, up_to_serial } => raw(4, &(device, up_to_serial)),
            Act::RevokeIssuer(issuer) => raw(5, &issuer),
            Act::Unknown { kind, body } => Self { kind, body },
        }
    }
}

impl TryFrom<RawAct> for Act {
    type Error = codec::DecodeError;

    fn try_from(raw: RawAct) -> Result<Self, Self::Error> {
        fn read<T: DeserializeOwned>(raw: &RawAct) -> Result<T, codec::DecodeError> {
            codec::decode(&raw.body, MAX_ACT)
        }
        Ok(match raw.kind {
            1 => Self::Ban(read(&raw)?),
            2 => Self::Unban(read(&raw)?),
            3 => {
                let (user, up_to_serial) = read(&raw)?;
                Self::Kick { user, up_to_serial }
            }
            4 => {
                let (device, up_to_serial) = read(&raw)?;
                Self::RevokeDevice { device, up_to_serial }
            }
            5 => Self::RevokeIssuer(read(&raw)?),
            kind => Self::Unknown { kind, body: raw.body },
        })
    }
}

/// One signed act of an issuer's revocation list: numbered, chained by hash.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revocation {
    /// The realm.
    pub realm: RealmId,
    /// Whose list: an issuing key, or the root.
    pub issuer: DeviceId,
    /// 1, 2, 3 …
    pub number: u64,
    /// Hash of the act before; zeros for the first.
    pub previous: [u8; 32],
    /// When. Between lists, the later word about a ban holds.
    pub at: Wall,
    /// What.
    pub act: Act,
}

impl Labelled for Revocation {
    const LABEL: &'static str = "lanchat/revocation/1";
}

/// Why a list is believed: whose it is, and the root's word for that key. Travels and is kept beside the acts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListAnchor {
    /// The root's public key.
    pub root: DeviceId,
    /// The root's word for the issuer; absent for the root's own list.
    pub issuing: Option<Signed<IssuingCertificate>>,
}

impl ListAnchor {
    /// Whose list it is, for [`Revocations::apply`]: that key is of this realm, whether or not it has expired since.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn issuer(&self, realm: &RealmId) -> Result<DeviceId, CertificateError> {
        match &self.issuing {
            Some(issuing) => Ok(IssuingCertificate::check_ever(issuing, &self.root, realm)?.issuer),
            None if RealmId::of_root(&self.root) == *realm => Ok(self.root),
            None => Err(CertificateError::Realm),
        }
    }
}

/// The end of an issuer's list: its number (0 when empty) and the hash of its last act.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RevocationHead {
    /// Whose list.
    pub issuer: DeviceId,
    /// Acts in it.
    pub number: u64,
    /// Hash of the last act.
    pub hash: [u8; 32],
}

/// What one list says, folded.
#[derive(Clone, Debug)]
struct List {
    head: RevocationHead,
    /// The list's last word about a user: when, and whether it is a ban.
    bans: BTreeMap<UserId, (Wall, bool)>,
    user_serials: BTreeMap<UserId, u64>,
    device_serials: BTreeMap<DeviceId, u64>,
}

impl List {
    fn empty(issuer: &DeviceId) -> Self {
        Self {
            head: RevocationHead { issuer: *issuer, number: 0, hash: [0; 32] },
            bans: BTreeMap::new(),
            user_serials: BTreeMap::new(),
            device_serials: BTreeMap::new(),
        }
    }

    fn revokes_serial(&self, member: &Member) -> bool {
        let m = &member.membership;
        let up_to = |serial: Option<&u64>| serial.is_some_and(|serial| m.serial <= *serial);
        up_to(self.user_serials.get(&m.user)) || up_to(self.device_serials.get(&m.device))
    }
}

/// Everything revoked in a realm, folded from the lists of its issuers and its root.
#[derive(Clone, Debug, Default)]
pub struct Revocations {
    lists: BTreeMap<DeviceId, List>,
    /// Issuers that the root revoked.
    void: BTreeSet<DeviceId>,
}

impl Revocations {
    /// The ends of all lists known.
    pub fn heads(&self) -> impl Iterator<Item = RevocationHead> + '_ {
        self.lists.values().map(|list| list.head)
    }

    /// The end of one issuer's list.
    #[must_use]
    pub fn head(&self, issuer: &DeviceId) -> RevocationHead {
        self.lists.get(issuer).map_or(List::empty(issuer).head, |list| list.head)
    }

    /// The lists that count.
    fn valid(&self) -> impl Iterator<Item = &List> {
        self.lists.values().filter(|list| !self.void.contains(&list.head.issuer))
    }

    /// Whether a user is banned: the latest word about it says so; of two words of one moment the ban holds.
    #[must_use]
    pub fn is_banned(&self, user: &UserId) -> bool {
        self.valid().filter_map(|list| list.bans.get(user)).max().is_some_and(|(_, banned)| *banned)
    }

    /// Whether the root revoked an issuer.
    #[must_use]
    pub fn is_issuer_revoked(&self, issuer: &DeviceId) -> bool {
        self.void.contains(issuer)
    }

    /// Whether a membership is revoked.
    #[must_use]
    pub fn covers(&self, member: &Member) -> bool {
        self.void.contains(&member.issuer)
            || self.is_banned(&member.membership.user)
            || self.valid().any(|list| list.revokes_serial(member))
    }

    /// Takes the next act of a list whose issuer is trusted by the caller (its issuing certificate was checked, or it
    /// is the root). Returns `false` for one that is already here.
    ///
    /// # Errors
    /// [`CertificateError`]: a bad signature, a gap, or another act than the one already here.
    pub fn apply(
        &mut self,
        signed: &Signed<Revocation>,
        realm: &RealmId,
        issuer: &DeviceId,
    ) -> Result<bool, CertificateError> {
        let act = signed.open(issuer)?;
        if act.realm != *realm || act.issuer != *issuer {
            return Err(CertificateError::Realm);
        }
        let head = self.head(issuer);
        let expected = head.number.saturating_add(1);
        if act.number == 0 || act.number > expected {
            return Err(CertificateError::Number { expected, got: act.number });
        }
        if act.number <= head.number {
            let same = act.number < head.number || signed.hash() == head.hash;
            return if same { Ok(false) } else { Err(CertificateError::Equivocation(act.number)) };
        }
        if act.previous != head.hash {
            return Err(CertificateError::Equivocation(head.number));
        }
        if let Act::RevokeIssuer(revoked) = &act.act
            && RealmId::of_root(issuer) == *realm
        {
            self.void.insert(*revoked);
        }
        let list = self.lists.entry(*issuer).or_insert_with(|| List::empty(issuer));
        list.head = RevocationHead { issuer: *issuer, number: act.number, hash: signed.hash() };
        list.fold(act.act, act.at);
        Ok(true)
    }
}

impl List {
    fn fold(&mut self, act: Act, at: Wall) {
        match act {
            Act::Ban(user) => {
                self.bans.insert(user, (at, true));
            }
            Act::Unban(user) => {
                self.bans.insert(user, (at, false));
            }
            Act::Kick { user, up_to_serial } => {
                let serial = self.user_serials.entry(user).or_default();
                *serial = up_to_serial.max(*serial);
            }
            Act::RevokeDevice { device, up_to_serial } => {
                let serial = self.device_serials.entry(device).or_default();
                *serial = up_to_serial.max(*serial);
            }
            Act::RevokeIssuer(_) | Act::Unknown { .. } => {}
        }
    }
}
