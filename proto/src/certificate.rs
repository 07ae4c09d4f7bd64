//! Who belongs: issuing and membership certificates, endorsements between a user's devices, revocations, safety codes.
//!
//! Keeps true: a certificate is accepted only when the realm's root signed its issuing key, that key signed the
//! membership, both are valid at the given (corrected) time with [`CERTIFICATE_SLACK`], and no revocation covers it.
//! Goes in: signed bytes, the realm, the time. Goes out: [`Member`] or a typed refusal. `docs/protocol.md#certificates`.

use crate::codec::BoundedVec;
use crate::ids::{DeviceId, RealmId, UserId};
use crate::limits::{CERTIFICATE_SLACK, MAX_DEVICE_CHAIN};
use crate::names::UserName;
use crate::signed::{Labelled, SecretKey, Signed, SignedError};
use crate::time::Wall;
use serde::{Deserialize, Serialize};

mod revocation;
mod safety;
pub use revocation::{Act, ListAnchor, Revocation, RevocationHead, Revocations};
pub use safety::{Rooted, SafetyCode};

/// Why a certificate was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not a signature of whom it should be.
    #[error("certificate: {0}")]
    Signed(#[from] SignedError),
    /// Another organisation, or the open LAN where an organisation was expected, or the other way round.
    #[error("certificate of another organisation")]
    Realm,
    /// It names another device than the one that presents it.
    #[error("certificate of another device")]
    Device,
    /// Not valid yet.
    #[error("certificate not valid before {}", .0.0)]
    Early(Wall),
    /// Not valid any more.
    #[error("certificate expired at {}", .0.0)]
    Expired(Wall),
    /// Revoked: the user or device was banned, or the user was kicked after it was issued.
    #[error("certificate revoked")]
    Revoked,
    /// An endorsement chain that does not lead from the user's first device to this one.
    #[error("broken chain of endorsements")]
    Chain,
    /// An act that is not the next of its list.
    #[error("revocation list: act {got} where {expected} was expected")]
    Number {
        /// Number expected.
        expected: u64,
        /// Number got.
        got: u64,
    },
    /// Two lists for one number: the issuer, or a thief of its key, cheats.
    #[error("two revocation lists for number {0}")]
    Equivocation(u64),
}

/// The root's word that a key may issue memberships: for one coordinator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IssuingCertificate {
    /// The organisation.
    pub realm: RealmId,
    /// The issuing public key.
    pub issuer: DeviceId,
    /// The coordinator's own key, its libp2p peer id.
    pub coordinator: DeviceId,
    /// Valid from.
    pub not_before: Wall,
    /// Valid until.
    pub not_after: Wall,
}

impl Labelled for IssuingCertificate {
    const LABEL: &'static str = "lanchat/issuing/1";
}

/// What a member may do. A role that this version does not know reads as an ordinary member's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "u32", into = "u32")]
pub enum Role {
    /// An ordinary member.
    Member,
    /// A member who may administer the coordinator.
    Admin,
}

impl From<u32> for Role {
    fn from(number: u32) -> Self {
        if number == 1 { Self::Admin } else { Self::Member }
    }
}

impl From<Role> for u32 {
    fn from(role: Role) -> Self {
        match role {
            Role::Member => 0,
            Role::Admin => 1,
        }
    }
}

/// An issuer's word that a device belongs to a user of the realm. In the open LAN the device issues its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Membership {
    /// The realm.
    pub realm: RealmId,
    /// The user.
    pub user: UserId,
    /// The user's login at the time of issue.
    pub name: UserName,
    /// The user's role.
    pub role: Role,
    /// The device.
    pub device: DeviceId,
    /// The device's X25519 public key, for what is sealed for it.
    pub sealing: [u8; 32],
    /// The time of issue in milliseconds, or one more than the issuer's serial before, whichever is larger: so that
    /// serials of several issuers, and of one restored from a backup, compare.
    pub serial: u64,
    /// Valid from.
    pub not_before: Wall,
    /// Valid until.
    pub not_after: Wall,
}

impl Labelled for Membership {
    const LABEL: &'static str = "lanchat/membership/1";
}

/// How a membership is anchored in its realm.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Anchor {
    /// The open LAN: the device signed for itself.
    SelfSigned,
    /// An organisation: the root's public key, and its word for the issuer.
    Organisation {
        /// The root's public key; its hash is the realm.
        root: DeviceId,
        /// The root's word for the issuing key.
        issuing: Signed<IssuingCertificate>,
    },
}

/// A certificate as it is presented: membership and anchor.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Certificate {
    /// The membership.
    pub membership: Signed<Membership>,
    /// The anchor.
    pub anchor: Anchor,
}

/// A checked membership.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// What the certificate says.
    pub membership: Membership,
    /// Who issued it: the issuing key. The device itself in the open LAN.
    pub issuer: DeviceId,
}

fn in_time(not_before: Wall, not_after: Wall, now: Wall) -> Result<(), CertificateError> {
    if now.plus(CERTIFICATE_SLACK) < not_before {
        Err(CertificateError::Early(not_before))
    } else if now.minus(CERTIFICATE_SLACK) > not_after {
        Err(CertificateError::Expired(not_after))
    } else {
        Ok(())
    }
}

impl IssuingCertificate {
    /// Checks the root's word for an issuing key at this time.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn check(
        signed: &Signed<Self>,
        root: &DeviceId,
        realm: &RealmId,
        now: Wall,
    ) -> Result<Self, CertificateError> {
        let issuing = Self::check_ever(signed, root, realm)?;
        in_time(issuing.not_before, issuing.not_after, now)?;
        Ok(issuing)
    }

    /// Checks everything but time: acts of a list stay true when the key that signed them has expired.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn check_ever(
        signed: &Signed<Self>,
        root: &DeviceId,
        realm: &RealmId,
    ) -> Result<Self, CertificateError> {
        if RealmId::of_root(root) != *realm {
            return Err(CertificateError::Realm);
        }
        let issuing = signed.open(root)?;
        if issuing.realm == *realm { Ok(issuing) } else { Err(CertificateError::Realm) }
    }
}

impl Certificate {
    /// A device's word for itself, for the open LAN.
    ///
    /// # Errors
    /// [`SignedError::TooLarge`], which the types exclude.
    pub fn self_signed(
        key: &SecretKey,
        name: UserName,
        sealing: [u8; 32],
        now: Wall,
    ) -> Result<Self, SignedError> {
        let device = key.public();
        let membership = Membership {
            realm: RealmId::OPEN,
            user: UserId::of_open_device(&device),
            name,
            role: Role::Member,
            device,
            sealing,
            serial: now.0,
            not_before: now.minus(CERTIFICATE_SLACK),
            not_after: Wall(u64::MAX),
        };
        Ok(Self { membership: Signed::sign(&membership, key)?, anchor: Anchor::SelfSigned })
    }

    /// Checks everything but time and revocation: what an `open` entry's certificate needs, years later.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn check_ever(&self, realm: &RealmId) -> Result<Member, CertificateError> {
        let (issuer, membership) = match &self.anchor {
            Anchor::SelfSigned => {
                let device = self.membership.peek()?.device;
                let membership = self.membership.open(&device)?;
                if *realm != RealmId::OPEN || membership.user != UserId::of_open_device(&device) {
                    return Err(CertificateError::Realm);
                }
                (device, membership)
            }
            Anchor::Organisation { root, issuing } => {
                let issuing = IssuingCertificate::check_ever(issuing, root, realm)?;
                (issuing.issuer, self.membership.open(&issuing.issuer)?)
            }
        };
        if membership.realm != *realm {
            return Err(CertificateError::Realm);
        }
        Ok(Member { membership, issuer })
    }

    /// Checks a certificate that a device presents for itself at this (corrected) time. Time does not matter to a
    /// self-signed one.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn check(
        &self,
        realm: &RealmId,
        device: &DeviceId,
        now: Wall,
        revocations: &Revocations,
    ) -> Result<Member, CertificateError> {
        let member = self.check_ever(realm)?;
        if member.membership.device != *device {
            return Err(CertificateError::Device);
        }
        // A device's word for itself is worth the same at any time, and a LAN without a coordinator has no common clock.
        if let Anchor::Organisation { root, issuing } = &self.anchor {
            IssuingCertificate::check(issuing, root, realm, now)?;
            in_time(member.membership.not_before, member.membership.not_after, now)?;
        }
        if revocations.covers(&member) { Err(CertificateError::Revoked) } else { Ok(member) }
    }
}

/// An older device's word that a newer one is the same user's. The first device endorses itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Endorsement {
    /// The realm.
    pub realm: RealmId,
    /// The user.
    pub user: UserId,
    /// The device that is endorsed.
    pub device: DeviceId,
    /// The device that signs.
    pub by: DeviceId,
    /// When.
    pub at: Wall,
}

impl Labelled for Endorsement {
    const LABEL: &'static str = "lanchat/endorsement/1";
}

/// Endorsements from a user's first device to the one that presents them, in that order.
pub type DeviceChain = BoundedVec<Signed<Endorsement>, MAX_DEVICE_CHAIN>;

/// Checks a chain of endorsements and returns the devices on it, the user's first device in front.
///
/// # Errors
/// [`CertificateError::Chain`] when it does not lead from a self-endorsed device to `device` within one user.
pub fn check_chain(
    chain: &DeviceChain,
    realm: &RealmId,
    user: &UserId,
    device: &DeviceId,
) -> Result<Vec<DeviceId>, CertificateError> {
    let mut devices: Vec<DeviceId> = Vec::new();
    for signed in chain {
        let claimed = signed.peek()?;
        let by = devices.last().copied().unwrap_or(claimed.device);
        let endorsement = signed.open(&by)?;
        if endorsement.by != by || endorsement.realm != *realm || endorsement.user != *user {
            return Err(CertificateError::Chain);
        }
        if devices.contains(&endorsement.device) {
            return Err(CertificateError::Chain);
        }
        devices.push(endorsement.device);
    }
    if devices.last() == Some(device) { Ok(devices) } else { Err(CertificateError::Chain) }
}
