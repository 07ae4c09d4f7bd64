//! The organisation of the stories: its keys and what it signs.

use super::DAWN;
use lanchat_proto::certificate::{
    Act, Anchor, Certificate, DeviceChain, Endorsement, IssuingCertificate, ListAnchor, Membership,
    Revocation, Role,
};
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::ids::{DeviceId, RealmId, UserId};
use lanchat_proto::signed::{SecretKey, Signed};
use lanchat_proto::time::Wall;
use std::time::Duration;

pub const DAY: Duration = Duration::from_secs(24 * 3600);

/// The key of this number.
pub fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32])
}

/// The account of this name.
pub fn user(name: &str) -> UserId {
    let mut id = [0; 16];
    for (byte, letter) in id.iter_mut().zip(name.bytes()) {
        *byte = letter;
    }
    UserId(id)
}

/// An organisation.
#[derive(Clone)]
pub struct Org {
    pub root: SecretKey,
    pub issuer: SecretKey,
    pub coordinator: SecretKey,
    pub realm: RealmId,
    acts: u64,
    last: [u8; 32],
}

impl Org {
    pub fn new() -> Self {
        Self::with(200)
    }

    /// An organisation whose keys have these numbers.
    pub fn with(number: u8) -> Self {
        let root = key(number);
        let realm = RealmId::of_root(&root.public());
        let (issuer, coordinator) = (key(number + 1), key(number + 2));
        Self { root, issuer, coordinator, realm, acts: 0, last: [0; 32] }
    }

    pub fn issuing(&self) -> Signed<IssuingCertificate> {
        let issuing = IssuingCertificate {
            realm: self.realm,
            issuer: self.issuer.public(),
            coordinator: self.coordinator.public(),
            not_before: DAWN.minus(DAY),
            not_after: DAWN.plus(3650 * DAY),
        };
        Signed::sign(&issuing, &self.root).unwrap()
    }

    pub fn anchor(&self) -> ListAnchor {
        ListAnchor { root: self.root.public(), issuing: Some(self.issuing()) }
    }

    pub fn membership(&self, name: &str, device: DeviceId) -> Membership {
        Membership {
            realm: self.realm,
            user: user(name),
            name: name.parse().unwrap(),
            role: Role::Member,
            device,
            sealing: [0; 32],
            serial: 100,
            not_before: DAWN.minus(DAY),
            not_after: DAWN.plus(30 * DAY),
        }
    }

    pub fn sign(&self, membership: &Membership) -> Certificate {
        self.sign_with(membership, &self.issuer)
    }

    pub fn sign_with(&self, membership: &Membership, issuer: &SecretKey) -> Certificate {
        let anchor = Anchor::Organisation { root: self.root.public(), issuing: self.issuing() };
        Certificate { membership: Signed::sign(membership, issuer).unwrap(), anchor }
    }

    /// The certificate of a user for the device with the key of this number.
    pub fn certificate(&self, name: &str, number: u8) -> Certificate {
        self.sign(&self.membership(name, key(number).public()))
    }

    /// The chain of a user's first device.
    pub fn first_chain(&self, name: &str, number: u8) -> DeviceChain {
        BoundedVec::first([self.endorsement(name, number, number)])
    }

    /// The chain of a device that the first one endorsed.
    pub fn second_chain(&self, name: &str, first: u8, number: u8) -> DeviceChain {
        BoundedVec::first([self.endorsement(name, first, first), self.endorsement(name, first, number)])
    }

    fn endorsement(&self, name: &str, by: u8, number: u8) -> Signed<Endorsement> {
        let endorsement = Endorsement {
            realm: self.realm,
            user: user(name),
            device: key(number).public(),
            by: key(by).public(),
            at: DAWN,
        };
        Signed::sign(&endorsement, &key(by)).unwrap()
    }

    /// The next act of the issuer's list.
    pub fn act(&mut self, act: Act) -> Signed<Revocation> {
        self.acts += 1;
        let (number, previous) = (self.acts, self.last);
        let signed = self.act_at(number, previous, act);
        self.last = signed.hash();
        signed
    }

    /// An act out of turn.
    pub fn act_at(&self, number: u64, previous: [u8; 32], act: Act) -> Signed<Revocation> {
        let issuer = self.issuer.public();
        let at = Wall(DAWN.0 + number);
        let revocation = Revocation { realm: self.realm, issuer, number, previous, at, act };
        Signed::sign(&revocation, &self.issuer).unwrap()
    }
}
