//! A cast with fixed keys: an organisation, its coordinator, alice and bob, each with ids of their own kind.

use lanchat_proto::certificate::{
    Anchor, Certificate, DeviceChain, Endorsement, IssuingCertificate, Membership, Role,
};
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::ids::{DeviceId, RealmId, UserId};
use lanchat_proto::limits::CERTIFICATE_LIFETIME;
use lanchat_proto::signed::{SecretKey, Signed};
use lanchat_proto::time::Wall;

/// 2026-01-01T00:00:00Z.
pub const START: Wall = Wall(1_767_225_600_000);
pub const ALICE: UserId = UserId([0xa1; 16]);
pub const BOB: UserId = UserId([0xb0; 16]);

pub fn root() -> SecretKey {
    SecretKey::from_seed(&[0x01; 32])
}

pub fn issuer() -> SecretKey {
    SecretKey::from_seed(&[0x02; 32])
}

pub fn coordinator() -> SecretKey {
    SecretKey::from_seed(&[0x03; 32])
}

pub fn alice() -> SecretKey {
    SecretKey::from_seed(&[0x0a; 32])
}

/// Alice's second device.
pub fn alice_two() -> SecretKey {
    SecretKey::from_seed(&[0x1a; 32])
}

pub fn bob() -> SecretKey {
    SecretKey::from_seed(&[0x0b; 32])
}

pub fn stranger() -> SecretKey {
    SecretKey::from_seed(&[0x0e; 32])
}

pub fn realm() -> RealmId {
    RealmId::of_root(&root().public())
}

/// The root's word for an issuer, valid for ninety days from [`START`].
pub fn issuing_value(issuer: &SecretKey) -> IssuingCertificate {
    IssuingCertificate {
        realm: realm(),
        issuer: issuer.public(),
        coordinator: coordinator().public(),
        not_before: START,
        not_after: Wall(START.0 + 90 * 24 * 3_600_000),
    }
}

pub fn issuing() -> Signed<IssuingCertificate> {
    Signed::sign(&issuing_value(&issuer()), &root()).unwrap()
}

/// What a membership of this user and device says, with this serial.
pub fn membership(user: UserId, name: &str, device: DeviceId, serial: u64) -> Membership {
    Membership {
        realm: realm(),
        user,
        name: name.parse().unwrap(),
        role: Role::Member,
        device,
        sealing: [0x5e; 32],
        serial,
        not_before: START,
        not_after: START.plus(CERTIFICATE_LIFETIME),
    }
}

pub fn anchor() -> Anchor {
    Anchor::Organisation { root: root().public(), issuing: issuing() }
}

pub fn certified(membership: &Membership) -> Certificate {
    Certificate { membership: Signed::sign(membership, &issuer()).unwrap(), anchor: anchor() }
}

pub fn alice_certificate() -> Certificate {
    certified(&membership(ALICE, "alice", alice().public(), 7))
}

pub fn endorsement(user: UserId, device: &SecretKey, by: &SecretKey) -> Signed<Endorsement> {
    let value = Endorsement { realm: realm(), user, device: device.public(), by: by.public(), at: START };
    Signed::sign(&value, by).unwrap()
}

pub fn alice_chain() -> DeviceChain {
    BoundedVec::new(vec![endorsement(ALICE, &alice(), &alice())]).unwrap()
}
