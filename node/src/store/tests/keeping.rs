//! What the core stores comes back as it was; copies, epochs, memberships, and databases of older versions.

use super::support::{
    Disk, EPOCH, Log, Running, START, certificate, membership, message, person, receipt, word,
};
use crate::store::rows::Page;
use crate::store::{Membership, Store, StoreError, peek, set_epoch, set_membership};
use lanchat_node_core::boot::{DeviceTrust, KnownDevice, StoredRoot, StoredTransfer, TransferState};
use lanchat_node_core::output::{Change, StoredEntry};
use lanchat_proto::certificate::{Act, ListAnchor, Revocation};
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::ids::{DeviceId, Epoch, RealmId};
use lanchat_proto::names::{DisplayName, Note};
use lanchat_proto::signed::Signed;
use lanchat_proto::state::FileWord;
use lanchat_proto::time::{Hlc, Wall};
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::coordinator::{DirectoryMark, Profile};
use std::path::Path;

fn profile(seed: u8) -> Profile {
    Profile {
        user: person(seed).user,
        name: format!("user{seed}").parse().unwrap(),
        display_name: DisplayName::parse("李雷").unwrap(),
        department: DisplayName::default(),
        title: DisplayName::default(),
        note: Note::default(),
        avatar: [0; 32],
        gone: false,
        last_seen: Wall(START),
        devices: BoundedVec::empty(),
    }
}

#[tokio::test]
async fn a_transfer_comes_back_as_it_was_and_one_that_is_forgotten_takes_its_words_along() {
    let (alice, bob) = (person(1), person(2));
    let disk = Disk::of(&alice);
    let mut node = disk.open();
    let (mut log, open) = Log::begin(&bob, &alice, Epoch(1));
    let mut changes = vec![open];
    let mut rows = Vec::new();
    for number in 1..=2 {
        let Change::Entry(stored) = log.offers(number, "plan.pdf") else { panic!("an entry") };
        let row = StoredTransfer {
            offer: stored.entry.header.message,
            conversation: log.id.conversation,
            entry: stored.entry.hash,
            author: bob.user,
            device: bob.key.public(),
            file: stored.entry.body().unwrap().unwrap(),
            state: TransferState::Failed,
            error: "no room".to_owned(),
        };
        changes.extend([Change::Entry(stored), Change::Transfer(row.clone())]);
        for (speaker, said) in [(&bob, FileWord::Withdrawn), (&alice, FileWord::Accepted)] {
            changes.push(word(&log.id, speaker, row.offer, said));
        }
        rows.push(row);
    }
    node.stored(changes).await;
    node.close().await;
    let mut node = disk.open();
    let by_offer = |mut rows: Vec<StoredTransfer>| {
        rows.sort_by_key(|row| row.offer);
        rows
    };
    assert_eq!(by_offer(node.opened.stored.transfers.clone()), by_offer(rows.clone()));
    assert_eq!(node.opened.stored.states.len(), 4);
    let StoredTransfer { conversation, offer, .. } = rows[0];
    node.stored(vec![Change::ForgetTransfer { conversation, offer }]).await;
    node.close().await;
    let node = disk.open();
    assert_eq!(node.opened.stored.transfers, rows[1..]);
    assert_eq!(node.opened.stored.states.len(), 2);
    let history = node.reader.history(&conversation, &Page { limit: 10, before: None }).unwrap();
    assert_eq!(history.len(), 2, "the messages that offered them stay");
}

#[tokio::test]
async fn everything_that_the_core_stores_comes_back() {
    let (alice, bob, issuer) = (person(1), person(2), person(9));
    let disk = Disk::of(&alice);
    let mut node = disk.open();
    assert_eq!(node.opened.membership, membership(&alice));
    assert_eq!((node.opened.epoch, node.opened.stored.arrival), (EPOCH, 0));
    let device = KnownDevice {
        device: bob.key.public(),
        user: bob.user,
        trust: DeviceTrust::Accepted,
        certificate: certificate(&bob),
        chain: BoundedVec::empty(),
        since: 17,
        endpoint: Some(Endpoint::new("[fd00::1]:7420".parse().unwrap())),
    };
    let compared = StoredRoot { user: bob.user, root: device.device, confirmed: Some(issuer.key.public()) };
    let moved = StoredRoot { user: issuer.user, root: device.device, confirmed: None };
    let act = Revocation {
        realm: RealmId::OPEN,
        issuer: issuer.key.public(),
        number: 1,
        previous: [0; 32],
        act: Act::Ban(bob.user),
        at: Wall(START),
    };
    let act: Signed<Revocation> = Signed::sign(&act, &issuer.key).unwrap();
    let mark = DirectoryMark { generation: u64::MAX, version: 1 << 63 };
    let (mut log, begun) = Log::begin(&bob, &alice, Epoch(u64::MAX));
    let far = log.says_at(86_400_000, 1, "from a clock that is a day ahead", None);
    let Change::Entry(mut far) = far else { panic!() };
    far.received_at = Wall(START);
    let read = receipt(&log.id, &alice, 2, 1, u64::MAX);
    let Change::Receipt { signed, .. } = &read else { panic!() };
    let signed = signed.clone();
    let own = super::support::certificate(&issuer);
    let anchor = ListAnchor { root: issuer.key.public(), issuing: None };
    node.stored(vec![
        Change::Profiles { fresh: false, profiles: vec![profile(5)], mark: None },
        Change::Profiles { fresh: true, profiles: vec![profile(6)], mark: None },
        Change::Profiles { fresh: false, profiles: vec![profile(7), profile(6)], mark: Some(mark) },
        Change::Device(KnownDevice { trust: DeviceTrust::Unendorsed, ..device.clone() }),
        Change::Device(device.clone()),
        Change::Root(StoredRoot { confirmed: None, ..compared }),
        Change::Root(compared),
        Change::Root(StoredRoot { confirmed: Some(device.device), ..moved }),
        Change::Root(moved),
        Change::Revocation {
            anchor: anchor.clone(),
            issuer: issuer.key.public(),
            number: 1,
            signed: act.clone(),
        },
        Change::Own { certificate: own.clone(), chain: BoundedVec::empty() },
        Change::ClockOffset(-5000),
        Change::Epoch(Epoch(3)),
        Change::Announcement { number: u64::MAX, at: Wall(START), text: "hello".to_owned() },
        begun,
        Change::Entry(far),
        read,
    ])
    .await;
    node.crash().await;
    let opened = disk.open().opened;
    assert_eq!((opened.epoch, opened.membership.certificate), (Epoch(3), own.clone()));
    let stored = opened.stored;
    let names: Vec<_> = stored.profiles.iter().map(|profile| profile.name.to_string()).collect();
    assert!(names.len() == 2 && !names.contains(&"user5".to_owned()));
    assert_eq!((stored.directory, stored.clock_offset, stored.announcement), (mark, -5000, u64::MAX));
    assert_eq!((stored.devices, stored.states), (vec![device], vec![signed]));
    let mut roots = [compared, moved];
    roots.sort_by_key(|stored| stored.user);
    assert_eq!(stored.roots, roots);
    assert_eq!(stored.revocations, vec![(anchor, act)]);
    assert_eq!((stored.logs[0].log, stored.logs[0].end, stored.arrival), (log.id, log.end, 2));
    // The far stamp is in its log, but was not adopted.
    assert_eq!(stored.last_stamp, Hlc(1));
}

#[tokio::test]
async fn a_membership_is_renewed_for_the_same_user_only() {
    let (alice, bob) = (person(1), person(2));
    let disk = Disk::of(&alice);
    let node = disk.open();
    let coordinator = Some((DeviceId([5; 32]), vec!["office:7422".to_owned(), "10.0.0.1:7422".to_owned()]));
    let renewed = Membership { coordinator, org: "Büro".to_owned(), ..membership(&alice) };
    node.store.set_membership(renewed.clone()).await.unwrap();
    let other = node.store.set_membership(membership(&bob)).await;
    assert!(matches!(other, Err(StoreError::OtherMembership)));
    node.close().await;
    assert_eq!(peek(&disk.path).unwrap(), renewed);
    set_membership(&disk.path, &membership(&alice)).unwrap();
    assert!(matches!(set_membership(&disk.path, &membership(&bob)), Err(StoreError::OtherMembership)));
    set_epoch(&disk.path, Epoch(99)).unwrap();
    let opened = disk.open().opened;
    assert_eq!((opened.epoch, opened.membership), (Epoch(99), membership(&alice)));
}

#[tokio::test]
async fn a_log_may_begin_where_this_device_was_told_that_it_begins_but_goes_on_without_gaps() {
    let (alice, bob) = (person(1), person(2));
    let disk = Disk::of(&alice);
    let mut node = disk.open();
    let (mut log, _) = Log::begin(&bob, &alice, EPOCH);
    let _before = log.says(1, "before this device came");
    let third = log.says(2, "since");
    let _fourth = log.says(3, "missed");
    let fifth = log.says(4, "too early");
    // Not told so, it is a gap: what comes before was lost on its way to the disk.
    node.refused(vec![third.clone()]).await;
    let Change::Entry(told) = third else { panic!() };
    node.stored(vec![Change::Entry(StoredEntry { begins: true, ..told })]).await;
    let (ends, _) = node.refused(vec![fifth]).await;
    assert_eq!(ends.iter().map(|(_, end)| end.number).collect::<Vec<_>>(), [3]);
    assert_eq!(node.reader.search("since", None, 5).unwrap().len(), 1);
    node.close().await;
}

#[tokio::test]
async fn a_copy_made_while_running_is_a_whole_database() {
    let (alice, bob) = (person(1), person(2));
    let disk = Disk::of(&alice);
    let copy = disk.directory.path().join("it's a copy.db");
    let mut node = disk.open();
    let (mut log, begun) = Log::begin(&alice, &bob, EPOCH);
    node.stored(vec![begun, log.says(1, "会议")]).await;
    node.reader.copy_to(&copy).unwrap();
    assert!(matches!(node.reader.copy_to(&copy), Err(StoreError::Exists(_))));
    node.stored(vec![log.says(2, "later")]).await;
    node.close().await;
    let mut node = Running::open(&copy);
    assert_eq!(node.opened.stored.arrival, 2);
    assert_eq!(node.reader.search("会议", None, 5).unwrap().len(), 1);
    let (mut again, begun) = Log::begin(&alice, &bob, Epoch(8));
    node.stored(vec![begun, again.says(3, "goes on")]).await;
    assert_eq!(node.opened.stored.logs[0].end.number, 2);
    node.close().await;
}

fn kept(version: u32) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/store-v{version}.db"))
}

/// Writes the database that is kept for the present version: `docs/storage.md#upgrades` says when and how.
#[tokio::test]
#[ignore = "writes into the source tree, once for each version of the schema"]
async fn keep_a_database_of_this_version() {
    let (alice, bob) = (person(1), person(2));
    let path = kept(u32::try_from(crate::store::sqlite::VERSION).unwrap());
    Store::create(&path, &membership(&alice), EPOCH).unwrap();
    let mut node = Running::open(&path);
    let (mut hers, begun) = Log::begin(&alice, &bob, EPOCH);
    let (mut his, begun_his) = Log::begin(&bob, &alice, Epoch(2));
    let mut changes = vec![begun, begun_his];
    for number in 1..=20 {
        changes.push(hers.says(number, &format!("message {number}")));
        changes.push(his.says(100 + number, &format!("第{number}条消息")));
    }
    changes.push(his.says_at(100_000, 200, "answer", Some(message(20))));
    changes.push(receipt(&hers.id, &bob, 21, 11, 1));
    changes.push(Change::Branch { log: hers.id, from: 21 });
    changes.push(Change::Profiles {
        fresh: true,
        profiles: vec![profile(2)],
        mark: Some(DirectoryMark::default()),
    });
    changes.push(Change::Announcement { number: 1, at: Wall(START), text: "hello".to_owned() });
    let root = bob.key.public();
    changes.push(Change::Root(StoredRoot { user: bob.user, root, confirmed: Some(root) }));
    node.stored(changes).await;
    node.close().await;
}

#[tokio::test]
async fn databases_of_every_version_open_with_everything_in_them() {
    let (alice, bob) = (person(1), person(2));
    for version in 1..=u32::try_from(crate::store::sqlite::VERSION).unwrap() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lanchat.db");
        std::fs::copy(kept(version), &path).unwrap();
        let mut node = Running::open(&path);
        let stored = &node.opened.stored;
        assert_eq!((node.opened.membership.user, node.opened.epoch), (alice.user, EPOCH));
        assert_eq!((stored.arrival, stored.logs.len(), stored.announcement), (43, 2, 1));
        assert_eq!((stored.profiles.len(), stored.states.len()), (1, 1));
        let confirmed: Vec<_> = stored.roots.iter().map(|stored| (stored.user, stored.confirmed)).collect();
        let compared = vec![(bob.user, Some(bob.key.public()))];
        assert_eq!(confirmed, if version < 2 { vec![] } else { compared });
        let conversation = stored.logs[0].log.conversation;
        let rows = node.reader.history(&conversation, &Page { limit: 100, before: None }).unwrap();
        assert_eq!(rows.len(), 41);
        assert_eq!(rows.iter().filter(|row| row.delivered_to == [bob.user]).count(), 19);
        assert_eq!(node.reader.search("消息", None, 100).unwrap().len(), 20);
        assert_eq!(node.reader.search("message", None, 100).unwrap().len(), 20);
        let hers = node.opened.stored.logs.iter().find(|log| log.author == alice.user).unwrap();
        assert_eq!(node.opened.stored.logs.iter().map(|log| log.end.number).sum::<u64>(), 20 + 22);
        let log = hers.log;
        assert_eq!(node.load(log, 1, 100, 1 << 20).await.len(), 20);
        // What came with a later version has its place.
        let root = alice.key.public();
        node.stored(vec![Change::Root(StoredRoot { user: bob.user, root, confirmed: None })]).await;
        node.close().await;
        assert_eq!(Running::open(&path).opened.stored.roots.len(), 1);
    }
}
