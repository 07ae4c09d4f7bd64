//! The coordinator's signatures: memberships and acts of the revocation list.
//!
//! Keeps true: serials rise over all certificates of the organisation's life, so that a kick covers exactly what was
//! issued before it; the list has no gaps.

use crate::limits::ISSUING_LIFETIME;
use lanchat_proto::certificate::{
    Act, Anchor, Certificate, IssuingCertificate, Membership, Revocation, RevocationHead, Role,
};
use lanchat_proto::ids::{DeviceId, RealmId, UserId};
use lanchat_proto::limits::{CERTIFICATE_LIFETIME, CERTIFICATE_SLACK};
use lanchat_proto::names::UserName;
use lanchat_proto::signed::{SecretKey, Signed, SignedError};
use lanchat_proto::time::Wall;

/// The keys of a coordinator. The root's secret is not among them: it signs the issuing key and goes back to its file.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The issuing key.
    pub issuing: SecretKey,
    /// The root's word for it.
    pub certificate: Signed<IssuingCertificate>,
    /// The organisation's root public key.
    pub root: DeviceId,
    /// The coordinator's own device key, its libp2p peer id.
    pub coordinator: DeviceId,
    /// Secret that makes the salts of passwords; must never change.
    pub salt: [u8; 32],
}

/// The root's word for an issuing key of this coordinator.
///
/// # Errors
/// [`SignedError::TooLarge`], which the types exclude.
pub fn sign_issuing(
    root: &SecretKey,
    issuing: &DeviceId,
    coordinator: &DeviceId,
    now: Wall,
) -> Result<Signed<IssuingCertificate>, SignedError> {
    let certificate = IssuingCertificate {
        realm: RealmId::of_root(&root.public()),
        issuer: *issuing,
        coordinator: *coordinator,
        not_before: now.minus(CERTIFICATE_SLACK),
        not_after: now.plus(ISSUING_LIFETIME),
    };
    Signed::sign(&certificate, root)
}

/// What a membership is issued for.
pub(crate) struct Subject {
    pub(crate) user: UserId,
    pub(crate) name: UserName,
    pub(crate) device: DeviceId,
    pub(crate) sealing: [u8; 32],
    pub(crate) serial: u64,
}

impl Keys {
    /// The organisation.
    #[must_use]
    pub fn realm(&self) -> RealmId {
        RealmId::of_root(&self.root)
    }

    /// Whose revocation list the coordinator writes.
    #[must_use]
    pub fn issuer(&self) -> DeviceId {
        self.issuing.public()
    }

    /// Issues a membership from now on.
    pub(crate) fn issue(&self, subject: Subject, now: Wall) -> Result<Certificate, SignedError> {
        let membership = Membership {
            realm: self.realm(),
            user: subject.user,
            name: subject.name,
            role: Role::Member,
            device: subject.device,
            sealing: subject.sealing,
            serial: subject.serial,
            not_before: now,
            not_after: now.plus(CERTIFICATE_LIFETIME),
        };
        Ok(Certificate {
            membership: Signed::sign(&membership, &self.issuing)?,
            anchor: Anchor::Organisation { root: self.root, issuing: self.certificate.clone() },
        })
    }

    /// Signs acts that follow `head`, in order.
    pub(crate) fn act(
        &self,
        head: RevocationHead,
        acts: Vec<Act>,
        now: Wall,
    ) -> Result<Vec<Signed<Revocation>>, SignedError> {
        let (mut number, mut previous) = (head.number, head.hash);
        acts.into_iter()
            .map(|act| {
                number += 1;
                let issuer = self.issuer();
                let act = Revocation { realm: self.realm(), issuer, number, previous, at: now, act };
                let signed = Signed::sign(&act, &self.issuing)?;
                previous = signed.hash();
                Ok(signed)
            })
            .collect()
    }
}
