//! Who is let in and who is not: certificates, chains of devices, revocation lists.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a failing test panics"
)]

mod support;

use lanchat_proto::certificate::{
    Act, Anchor, Certificate, CertificateError as E, Endorsement, ListAnchor, Membership, Revocation,
    Revocations, SafetyCode, check_chain,
};
use lanchat_proto::codec::{self, Blob, BoundedVec};
use lanchat_proto::ids::{DeviceId, RealmId, UserId};
use lanchat_proto::limits::{CERTIFICATE_LIFETIME, CERTIFICATE_SLACK, MAX_DEVICE_CHAIN};
use lanchat_proto::signed::{SecretKey, Signed, SignedError};
use lanchat_proto::time::Wall;
use std::time::Duration;
use support::cast::{self, ALICE, BOB, START};

const MS: Duration = Duration::from_millis(1);
const BAD: E = E::Signed(SignedError::Signature);

fn alice() -> Membership {
    cast::membership(ALICE, "alice", cast::alice().public(), 7)
}

/// Presented by alice's device in the organisation, an hour after the start, nothing revoked.
fn presented(certificate: &Certificate) -> Result<UserId, E> {
    at(certificate, START.plus(Duration::from_secs(3600)))
}

fn at(certificate: &Certificate, now: Wall) -> Result<UserId, E> {
    let device = cast::alice().public();
    certificate
        .check(&cast::realm(), &device, now, &Revocations::default())
        .map(|member| member.membership.user)
}

/// A list under construction.
struct List {
    key: SecretKey,
    acts: Vec<Signed<Revocation>>,
    at: Wall,
}

impl List {
    fn of(key: SecretKey) -> Self {
        Self { key, acts: Vec::new(), at: START }
    }

    fn next(&self, act: Act) -> Revocation {
        Revocation {
            realm: cast::realm(),
            issuer: self.key.public(),
            number: u64::try_from(self.acts.len()).unwrap() + 1,
            previous: self.acts.last().map_or([0; 32], Signed::hash),
            at: self.at,
            act,
        }
    }

    fn sign(&self, act: &Revocation) -> Signed<Revocation> {
        Signed::sign(act, &self.key).unwrap()
    }

    fn then(mut self, act: Act) -> Self {
        let act = self.next(act);
        self.acts.push(self.sign(&act));
        self.at = self.at.plus(MS);
        self
    }

    fn later(mut self, duration: Duration) -> Self {
        self.at = self.at.plus(duration);
        self
    }

    fn apply(&self, revocations: &mut Revocations) {
        for act in &self.acts {
            assert_eq!(revocations.apply(act, &cast::realm(), &self.key.public()), Ok(true));
        }
    }
}

fn issuer_list() -> List {
    List::of(cast::issuer())
}

fn folded(lists: &[&List]) -> Revocations {
    let mut all = Revocations::default();
    lists.iter().for_each(|list| list.apply(&mut all));
    all
}

fn under(membership: &Membership, lists: &[&List]) -> Result<(), E> {
    cast::certified(membership).check(&cast::realm(), &membership.device, START, &folded(lists)).map(|_| ())
}

#[test]
fn what_is_not_a_valid_certificate_of_this_device_is_refused() {
    let good = cast::certified(&alice());
    assert_eq!(presented(&good), Ok(ALICE));

    let foreign_root = SecretKey::from_seed(&[0x71; 32]);
    let other_issuer = SecretKey::from_seed(&[0x72; 32]);
    let with_anchor = |anchor| Certificate { anchor, ..good.clone() };
    let organisation = |root: &SecretKey, issuing| Anchor::Organisation { root: root.public(), issuing };
    let mut foreign_issuing = cast::issuing_value(&cast::issuer());
    foreign_issuing.realm = RealmId::of_root(&foreign_root.public());
    let mut foreign = alice();
    foreign.realm = RealmId::of_root(&foreign_root.public());
    let own = |membership: &Membership, key: &SecretKey| Certificate {
        membership: Signed::sign(membership, key).unwrap(),
        anchor: cast::anchor(),
    };
    let mut open = alice();
    (open.realm, open.user) = (RealmId::OPEN, UserId::of_open_device(&cast::alice().public()));
    let self_signed = |membership: &Membership, key: &SecretKey| Certificate {
        membership: Signed::sign(membership, key).unwrap(),
        anchor: Anchor::SelfSigned,
    };

    let table: Vec<(&str, Certificate, E)> = vec![
        (
            "another organisation's, whole",
            with_anchor(organisation(&foreign_root, Signed::sign(&foreign_issuing, &foreign_root).unwrap())),
            E::Realm,
        ),
        ("another organisation's name under our issuer", cast::certified(&foreign), E::Realm),
        (
            "issuing certificate for another organisation by our root",
            with_anchor(organisation(&cast::root(), Signed::sign(&foreign_issuing, &cast::root()).unwrap())),
            E::Realm,
        ),
        (
            "issuing certificate by somebody else",
            with_anchor(organisation(
                &cast::root(),
                Signed::sign(&cast::issuing_value(&cast::issuer()), &foreign_root).unwrap(),
            )),
            BAD,
        ),
        ("membership by the wrong issuer", own(&alice(), &other_issuer), BAD),
        ("membership by the root itself", own(&alice(), &cast::root()), BAD),
        ("membership by its own device", own(&alice(), &cast::alice()), BAD),
        ("self-signed for the organisation", self_signed(&alice(), &cast::alice()), E::Realm),
        ("self-signed for the open LAN", self_signed(&open, &cast::alice()), E::Realm),
        (
            "another device's",
            cast::certified(&cast::membership(ALICE, "alice", cast::alice_two().public(), 8)),
            E::Device,
        ),
    ];
    for (what, certificate, error) in table {
        assert_eq!(presented(&certificate), Err(error), "{what}");
    }
}

#[test]
fn no_byte_of_a_certificate_can_be_altered() {
    let good = codec::encode(&cast::certified(&alice())).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(certificate) = codec::decode::<Certificate>(&bytes, 4096) {
            assert!(presented(&certificate).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn validity_has_exactly_the_slack_at_both_ends() {
    let good = cast::certified(&alice());
    let end = START.plus(CERTIFICATE_LIFETIME);
    assert_eq!(at(&good, START.minus(CERTIFICATE_SLACK)), Ok(ALICE));
    assert_eq!(at(&good, START.minus(CERTIFICATE_SLACK).minus(MS)), Err(E::Early(START)));
    assert_eq!(at(&good, end.plus(CERTIFICATE_SLACK)), Ok(ALICE));
    assert_eq!(at(&good, end.plus(CERTIFICATE_SLACK).plus(MS)), Err(E::Expired(end)));
    assert_eq!(at(&good, Wall(0)), Err(E::Early(START)));
    assert!(matches!(at(&good, Wall(u64::MAX)), Err(E::Expired(_))));
}

#[test]
fn an_expired_issuing_key_carries_nobody() {
    let mut membership = alice();
    membership.not_after = Wall(u64::MAX);
    let end = cast::issuing_value(&cast::issuer()).not_after;
    assert_eq!(at(&cast::certified(&membership), end.plus(CERTIFICATE_SLACK)), Ok(ALICE));
    assert_eq!(at(&cast::certified(&membership), end.plus(CERTIFICATE_SLACK).plus(MS)), Err(E::Expired(end)));
}

#[test]
fn in_the_open_lan_a_device_speaks_for_itself_only_and_clocks_do_not_matter() {
    let key = cast::alice();
    let own = Certificate::self_signed(&key, "alice".parse().unwrap(), [1; 32], START).unwrap();
    let check = |certificate: &Certificate, realm: RealmId, now| {
        certificate.check(&realm, &key.public(), now, &Revocations::default()).map(|m| m.membership.user)
    };
    let user = UserId::of_open_device(&key.public());
    for now in [Wall(0), START, Wall(u64::MAX)] {
        assert_eq!(check(&own, RealmId::OPEN, now), Ok(user));
    }
    assert_eq!(check(&own, cast::realm(), START), Err(E::Realm));
    assert_eq!(check(&cast::certified(&alice()), RealmId::OPEN, START), Err(E::Realm));
    let mut stolen = own.membership.peek().unwrap();
    stolen.user = ALICE;
    let stolen = Certificate { membership: Signed::sign(&stolen, &key).unwrap(), anchor: Anchor::SelfSigned };
    assert_eq!(check(&stolen, RealmId::OPEN, START), Err(E::Realm), "another's user id");
}

#[test]
fn a_certificate_can_be_read_years_later_though_not_presented() {
    let good = cast::certified(&alice());
    assert_eq!(good.check_ever(&cast::realm()).unwrap().membership.user, ALICE);
    assert!(matches!(at(&good, START.plus(CERTIFICATE_LIFETIME * 50)), Err(E::Expired(_))));
}

#[test]
fn bans_kicks_and_lost_devices_revoke_what_they_say_and_nothing_else() {
    let (alice, device) = (alice(), cast::alice().public());
    let two = cast::membership(ALICE, "alice", cast::alice_two().public(), 7);
    let renewed = Membership { serial: 9, ..alice.clone() };
    let bob = cast::membership(BOB, "bob", cast::bob().public(), 7);
    let kick = |serial| Act::Kick { user: ALICE, up_to_serial: serial };
    let revoke = |serial| Act::RevokeDevice { device, up_to_serial: serial };

    let ban = issuer_list().then(kick(8)).then(Act::Ban(ALICE));
    let lifted = issuer_list().then(kick(8)).then(Act::Ban(ALICE)).then(Act::Unban(ALICE));
    let kicked = issuer_list().then(kick(8)).then(kick(3));
    let lost = issuer_list().then(revoke(8));
    let table: Vec<(&str, &Membership, &List, bool)> = vec![
        ("a banned user", &alice, &ban, false),
        ("a banned user's new certificate", &renewed, &ban, false),
        ("another user during the ban", &bob, &ban, true),
        ("an old certificate after the ban was lifted", &alice, &lifted, false),
        ("a new certificate after the ban was lifted", &renewed, &lifted, true),
        ("a kicked user's certificate", &alice, &kicked, false),
        ("the same user's second device", &two, &kicked, false),
        ("a certificate issued after the kick", &renewed, &kicked, true),
        ("a revoked device", &alice, &lost, false),
        ("the user's other device", &two, &lost, true),
        ("the device enrolled again", &renewed, &lost, true),
    ];
    for (what, membership, list, accepted) in table {
        let expected = if accepted { Ok(()) } else { Err(E::Revoked) };
        assert_eq!(under(membership, &[list]), expected, "{what}");
    }
    let exactly = issuer_list().then(kick(7));
    assert_eq!(under(&alice, &[&exactly]), Err(E::Revoked));
    let below = issuer_list().then(kick(6));
    assert_eq!(under(&alice, &[&below]), Ok(()));
}

#[test]
fn an_act_of_a_later_version_has_its_place_and_no_effect() {
    let unknown = Act::Unknown { kind: 0x7001, body: Blob::new(vec![1; 100]).unwrap() };
    let list = issuer_list().then(unknown).then(Act::Ban(ALICE));
    assert_eq!(under(&alice(), &[&list]), Err(E::Revoked));
    assert_eq!(folded(&[&list]).head(&cast::issuer().public()).number, 2);
}

#[test]
fn lists_of_several_issuers_say_the_same_in_any_order() {
    let second = || List::of(SecretKey::from_seed(&[0x22; 32]));
    let ban = issuer_list().then(Act::Ban(ALICE));
    let lift = second().later(Duration::from_secs(5)).then(Act::Unban(ALICE));
    for lists in [[&ban, &lift], [&lift, &ban]] {
        assert_eq!(under(&alice(), &lists), Ok(()), "lifted by a later word elsewhere");
    }
    let early = second().then(Act::Unban(ALICE));
    for lists in [[&ban, &early], [&early, &ban]] {
        assert_eq!(under(&alice(), &lists), Err(E::Revoked), "of two words of one moment the ban holds");
    }
    let kick = second().then(Act::Kick { user: ALICE, up_to_serial: 7 });
    assert_eq!(under(&alice(), &[&kick]), Err(E::Revoked), "a kick by any issuer counts");
}

#[test]
fn the_root_alone_revokes_an_issuer_and_then_nothing_of_it_counts() {
    let issuer = cast::issuer().public();
    let word = List::of(cast::root()).then(Act::RevokeIssuer(issuer));
    assert_eq!(under(&alice(), &[&word]), Err(E::Revoked));
    assert!(folded(&[&word]).is_issuer_revoked(&issuer));

    let by_issuer = List::of(SecretKey::from_seed(&[0x22; 32])).then(Act::RevokeIssuer(issuer));
    assert_eq!(under(&alice(), &[&by_issuer]), Ok(()), "an issuer cannot");

    let thief = List::of(SecretKey::from_seed(&[0x22; 32])).then(Act::Ban(ALICE));
    let out = List::of(cast::root()).then(Act::RevokeIssuer(thief.key.public()));
    for lists in [[&thief, &out], [&out, &thief]] {
        assert_eq!(under(&alice(), &lists), Ok(()), "what a revoked issuer said is void");
    }
}

#[test]
fn a_list_is_taken_in_order_and_two_lists_for_one_number_are_told_apart() {
    let (realm, issuer) = (cast::realm(), cast::issuer().public());
    let list = issuer_list().then(Act::Ban(ALICE)).then(Act::Unban(ALICE)).then(Act::Ban(BOB));
    let mut held = Revocations::default();
    assert_eq!(held.apply(&list.acts[1], &realm, &issuer), Err(E::Number { expected: 1, got: 2 }));
    list.apply(&mut held);
    for act in &list.acts {
        assert_eq!(held.apply(act, &realm, &issuer), Ok(false), "what is here already changes nothing");
    }
    assert_eq!(held.head(&issuer).hash, list.acts[2].hash());
    assert_eq!(held.heads().count(), 1);

    let other_end = issuer_list().then(Act::Ban(ALICE)).then(Act::Unban(ALICE)).then(Act::Ban(ALICE));
    assert_eq!(held.apply(&other_end.acts[2], &realm, &issuer), Err(E::Equivocation(3)));
    let other_past =
        issuer_list().then(Act::Ban(BOB)).then(Act::Unban(BOB)).then(Act::Ban(ALICE)).then(Act::Ban(BOB));
    assert_eq!(held.apply(&other_past.acts[3], &realm, &issuer), Err(E::Equivocation(3)));

    let mut zero = list.next(Act::Ban(BOB));
    zero.number = 0;
    assert_eq!(held.apply(&list.sign(&zero), &realm, &issuer), Err(E::Number { expected: 4, got: 0 }));
    let mut foreign = list.next(Act::Ban(BOB));
    foreign.realm = RealmId::OPEN;
    assert_eq!(held.apply(&list.sign(&foreign), &realm, &issuer), Err(E::Realm));
    let forged = Signed::sign(&list.next(Act::Ban(BOB)), &cast::stranger()).unwrap();
    assert_eq!(held.apply(&forged, &realm, &issuer), Err(BAD));
    let in_anothers_name = List { key: cast::stranger(), acts: list.acts.clone(), at: START };
    let mut claimed = in_anothers_name.next(Act::Ban(BOB));
    claimed.issuer = issuer;
    let claimed = in_anothers_name.sign(&claimed);
    assert_eq!(held.apply(&claimed, &realm, &cast::stranger().public()), Err(E::Realm));
    assert_eq!(held.head(&issuer).number, 3, "nothing refused changed anything");
    assert!(held.is_banned(&BOB) && !held.is_banned(&ALICE));
}

#[test]
fn a_list_that_travels_names_an_issuer_of_this_organisation() {
    let root = cast::root().public();
    let frame = |root: DeviceId, issuing| ListAnchor { root, issuing };
    let own = frame(root, Some(cast::issuing()));
    assert_eq!(own.issuer(&cast::realm()), Ok(cast::issuer().public()));
    assert_eq!(frame(root, None).issuer(&cast::realm()), Ok(root));
    let stranger = cast::stranger();
    assert_eq!(frame(stranger.public(), None).issuer(&cast::realm()), Err(E::Realm));
    let forged = Signed::sign(&cast::issuing_value(&stranger), &stranger).unwrap();
    assert_eq!(frame(root, Some(forged.clone())).issuer(&cast::realm()), Err(BAD));
    assert_eq!(frame(stranger.public(), Some(forged)).issuer(&cast::realm()), Err(E::Realm));
}

fn chain_of(links: &[Signed<Endorsement>]) -> Result<Vec<DeviceId>, E> {
    let chain = BoundedVec::new(links.to_vec()).unwrap();
    check_chain(&chain, &cast::realm(), &ALICE, &cast::alice_two().public())
}

#[test]
fn a_chain_leads_from_a_users_first_device_to_this_one() {
    let (one, two, third) = (cast::alice(), cast::alice_two(), SecretKey::from_seed(&[0x2a; 32]));
    let link = |device: &SecretKey, by: &SecretKey| cast::endorsement(ALICE, device, by);
    assert_eq!(chain_of(&[link(&one, &one), link(&two, &one)]), Ok(vec![one.public(), two.public()]));
    assert_eq!(chain_of(&[link(&two, &two)]), Ok(vec![two.public()]), "a first device, whoever believes it");

    let signed_for = |by: &SecretKey, claimed: &SecretKey| {
        let value = Endorsement {
            realm: cast::realm(),
            user: ALICE,
            device: two.public(),
            by: claimed.public(),
            at: START,
        };
        Signed::sign(&value, by).unwrap()
    };
    let foreign = {
        let mut value = link(&two, &one).peek().unwrap();
        value.realm = RealmId::OPEN;
        Signed::sign(&value, &one).unwrap()
    };
    let table: Vec<(&str, Vec<Signed<Endorsement>>, E)> = vec![
        ("empty", vec![], E::Chain),
        ("ends at another device", vec![link(&one, &one)], E::Chain),
        ("wrong order", vec![link(&two, &one), link(&one, &one)], BAD),
        ("a gap", vec![link(&one, &one), link(&two, &third)], BAD),
        ("does not begin with a first device", vec![link(&two, &one)], BAD),
        ("signed by the endorsed device", vec![link(&one, &one), signed_for(&two, &one)], BAD),
        ("names another signer", vec![link(&one, &one), signed_for(&one, &third)], E::Chain),
        (
            "another user",
            vec![cast::endorsement(BOB, &one, &one), cast::endorsement(BOB, &two, &one)],
            E::Chain,
        ),
        ("another realm", vec![link(&one, &one), foreign], E::Chain),
        ("a device twice", vec![link(&one, &one), link(&one, &one), link(&two, &one)], E::Chain),
        ("a circle", vec![link(&two, &two), link(&one, &two), link(&two, &one)], E::Chain),
    ];
    for (what, links, error) in table {
        assert_eq!(chain_of(&links), Err(error), "{what}");
    }
    let keys: Vec<SecretKey> = (0..9).map(|n| SecretKey::from_seed(&[0x60 + n; 32])).collect();
    let long: Vec<_> =
        keys.iter().enumerate().map(|(n, key)| link(key, &keys[n.saturating_sub(1)])).collect();
    assert!(long.len() > MAX_DEVICE_CHAIN && BoundedVec::<_, MAX_DEVICE_CHAIN>::new(long).is_err());
}

/// Acts from numbers: which list, which act, how much later than the act before.
fn lists_of(acts: &[(u8, u8, u64)]) -> Vec<List> {
    let issuers = [cast::issuer(), SecretKey::from_seed(&[0x22; 32])];
    let thief = issuers[1].public();
    let mut lists: Vec<List> = [cast::root()].into_iter().chain(issuers).map(List::of).collect();
    for (list, what, later) in acts {
        let act = match what {
            0 => Act::Ban(ALICE),
            1 => Act::Unban(ALICE),
            2 => Act::Kick { user: ALICE, up_to_serial: 6 + later },
            3 => Act::RevokeDevice { device: cast::alice().public(), up_to_serial: 6 },
            _ => Act::RevokeIssuer(thief),
        };
        let list = &mut lists[usize::from(*list)];
        *list =
            std::mem::replace(list, List::of(cast::root())).later(Duration::from_millis(*later)).then(act);
    }
    lists
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..proptest::prelude::ProptestConfig::default()
    })]

    #[test]
    fn what_is_revoked_does_not_depend_on_the_order_of_arrival(
        acts in proptest::collection::vec((0_u8..3, 0_u8..5, 0_u64..3), 1..12),
        order in proptest::collection::vec(0_usize..3, 40),
    ) {
        let lists = lists_of(&acts);
        let whole = folded(&lists.iter().collect::<Vec<_>>());
        let mut mixed = Revocations::default();
        let mut next = [0; 3];
        for at in order.into_iter().chain((0..3).flat_map(|list| vec![list; 12])) {
            if let Some(act) = lists[at].acts.get(next[at]) {
                next[at] += 1;
                mixed.apply(act, &cast::realm(), &lists[at].key.public()).unwrap();
            }
        }
        proptest::prop_assert_eq!(mixed.is_banned(&ALICE), whole.is_banned(&ALICE));
        let member = cast::certified(&alice()).check_ever(&cast::realm()).unwrap();
        proptest::prop_assert_eq!(mixed.covers(&member), whole.covers(&member));
        proptest::prop_assert_eq!(mixed.heads().collect::<Vec<_>>(), whole.heads().collect::<Vec<_>>());
    }
}

#[test]
fn a_safety_code_is_the_same_at_both_ends_and_another_with_any_other_root() {
    let (alice, bob) = ((ALICE, cast::alice().public()), (BOB, cast::bob().public()));
    let code = SafetyCode::of(&cast::realm(), alice, bob);
    assert_eq!(SafetyCode::of(&cast::realm(), bob, alice), code);
    let (another, shown) = (cast::stranger().public(), code.to_string());
    let others = [
        SafetyCode::of(&cast::realm(), (ALICE, another), bob),
        SafetyCode::of(&cast::realm(), alice, (BOB, another)),
        SafetyCode::of(&cast::realm(), (ALICE, bob.1), (BOB, alice.1)),
        SafetyCode::of(&RealmId::OPEN, alice, bob),
    ];
    assert!(others.iter().all(|other| *other != code && !other.is(&shown)));
    assert_eq!(shown.split(' ').map(str::len).collect::<Vec<_>>(), [5; 12]);
    assert!(code.is(&shown) && code.is(&shown.replace(' ', "")) && code.is(&shown.replace(' ', "-\n")));
    assert!(!code.is(shown.split_at(65).0) && !code.is("") && !code.is(&format!("{shown} 1")));
}
