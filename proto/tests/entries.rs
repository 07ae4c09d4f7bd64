//! Nobody can alter, drop or reorder an entry unseen, and a deleted body leaves an entry that still verifies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a failing test panics"
)]

mod support;

use lanchat_proto::certificate::CertificateError;
use lanchat_proto::codec::{self, Blob, BoundedVec, Text};
use lanchat_proto::entry::{
    BODY_SALT, Descriptor, Draft, ENTRY_LABEL, Entry, EntryError, EntryKind, Header, LogEnd, OpenBody,
    OpenError, TextBody, WireEntry,
};
use lanchat_proto::ids::{ConversationId, EntryHash, Epoch, LogId, MessageId, RealmId, UserId};
use lanchat_proto::limits::{MAX_BODY, MAX_TEXT};
use lanchat_proto::signed::Signed;
use lanchat_proto::signed::SignedError;
use lanchat_proto::state::{Receipt, ReceiptRecord, STATE_RECEIPT, StateError, StateRecord};
use lanchat_proto::time::Hlc;
use support::cast::{self, ALICE, BOB, START};

fn log() -> LogId {
    let conversation = Descriptor::direct(ALICE, BOB).id(&cast::realm()).unwrap();
    LogId { conversation, device: cast::alice().public(), epoch: Epoch(5) }
}

fn draft(kind: EntryKind, content: Vec<u8>, stamp: u64) -> Draft {
    Draft {
        realm: cast::realm(),
        log: log(),
        time: Hlc(Hlc::at(START).0 + stamp),
        kind,
        message: MessageId([7; 16]),
        salt: [9; BODY_SALT],
        content,
    }
}

fn open_body() -> OpenBody {
    OpenBody {
        descriptor: Descriptor::direct(ALICE, BOB),
        certificate: cast::alice_certificate(),
        chain: cast::alice_chain(),
    }
}

fn text(text: &str) -> Vec<u8> {
    codec::encode(&TextBody { text: Text::new(text).unwrap(), reply_to: None }).unwrap()
}

/// A log of an opening entry and texts.
fn written(texts: &[&str]) -> Vec<Entry> {
    let opening = draft(EntryKind::Open, codec::encode(&open_body()).unwrap(), 0);
    let mut log = vec![Entry::write(opening, &LogEnd::EMPTY, &cast::alice()).unwrap()];
    for (at, what) in texts.iter().enumerate() {
        let draft = draft(EntryKind::Text, text(what), 1 + u64::try_from(at).unwrap());
        let end = log.last().unwrap().end();
        log.push(Entry::write(draft, &end, &cast::alice()).unwrap());
    }
    log
}

fn open(wire: &WireEntry) -> Result<Entry, EntryError> {
    Entry::open(wire.clone(), &cast::realm())
}

/// Signs a header as it stands, with the body that it names.
fn forge(header: &Header, body: Option<Vec<u8>>) -> WireEntry {
    let bytes = codec::encode(header).unwrap();
    let signature = cast::alice().sign(ENTRY_LABEL, &bytes);
    let body = body.map(|body| Blob::new(body).unwrap());
    WireEntry { header: Blob::new(bytes).unwrap(), signature, body }
}

#[test]
fn what_was_written_is_read_in_order() {
    let log = written(&["one", "two"]);
    let mut end = LogEnd::EMPTY;
    for entry in &log {
        let read = open(&entry.wire).unwrap();
        assert_eq!(read, *entry);
        assert_eq!(read.follows(&end), Ok(()));
        end = read.end();
    }
    assert_eq!(end.number, 3);
    let body: TextBody = log[2].body().unwrap().unwrap();
    assert_eq!(&*body.text, "two");
}

#[test]
fn no_bit_of_header_signature_or_body_can_be_altered() {
    let entry = written(&["one"]).pop().unwrap().wire;
    let flip = |bytes: &[u8], bit: usize| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    };
    for bit in 0..entry.header.len() * 8 {
        let header = Blob::new(flip(&entry.header, bit)).unwrap();
        assert!(open(&WireEntry { header, ..entry.clone() }).is_err(), "header bit {bit}");
    }
    for bit in 0..512 {
        let bytes: [u8; 64] = flip(&entry.signature.to_bytes(), bit).try_into().unwrap();
        let signature = lanchat_proto::signed::Signature::from_bytes(&bytes);
        let altered = open(&WireEntry { signature, ..entry.clone() });
        assert_eq!(altered, Err(EntryError::Signature(SignedError::Signature)), "signature bit {bit}");
    }
    let body = entry.body.clone().unwrap();
    for bit in 0..body.len() * 8 {
        let body = Some(Blob::new(flip(&body, bit)).unwrap());
        assert_eq!(open(&WireEntry { body, ..entry.clone() }), Err(EntryError::Body), "body bit {bit}");
    }
    let longer = Some(Blob::new([&body[..], &[0]].concat()).unwrap());
    assert_eq!(open(&WireEntry { body: longer, ..entry.clone() }), Err(EntryError::Body));
    let none = Some(Blob::default());
    assert_eq!(open(&WireEntry { body: none, ..entry }), Err(EntryError::Body));
}

#[test]
fn another_author_another_realm_another_purpose_do_not_pass() {
    let entry = written(&["one"]).pop().unwrap();
    assert_eq!(Entry::open(entry.wire.clone(), &RealmId::OPEN), Err(EntryError::Realm));
    let bad = Err(EntryError::Signature(SignedError::Signature));
    let by_bob = cast::bob().sign(ENTRY_LABEL, &entry.wire.header);
    assert_eq!(open(&WireEntry { signature: by_bob, ..entry.wire.clone() }), bad);
    for label in ["lanchat/state/1", "lanchat/membership/1", "", "lanchat/entry/2"] {
        let signature = cast::alice().sign(label, &entry.wire.header);
        assert_eq!(open(&WireEntry { signature, ..entry.wire.clone() }), bad, "{label}");
    }
}

#[test]
fn a_deleted_body_leaves_an_entry_that_verifies_and_carries_the_log() {
    let log = written(&["one", "two"]);
    let deleted = open(&WireEntry { body: None, ..log[1].wire.clone() }).unwrap();
    assert_eq!(deleted.hash, log[1].hash);
    assert_eq!(deleted.follows(&log[0].end()), Ok(()));
    assert_eq!(log[2].follows(&deleted.end()), Ok(()));
    assert_eq!((deleted.content(), deleted.body::<TextBody>()), (None, Ok(None)));
}

#[test]
fn an_opening_entry_keeps_its_body() {
    let opening = written(&[]).pop().unwrap().wire;
    let bare = open(&WireEntry { body: None, ..opening });
    assert_eq!(bare, Err(EntryError::Open(OpenError::NoBody)));
}

#[test]
fn gaps_repetitions_and_other_pasts_do_not_follow() {
    let log = written(&["one", "two", "three"]);
    for (at, entry) in log.iter().enumerate() {
        for (before, end) in std::iter::once(LogEnd::EMPTY).chain(log.iter().map(Entry::end)).enumerate() {
            assert_eq!(entry.follows(&end).is_ok(), at == before, "entry {} after {before}", at + 1);
        }
    }
    let other = written(&["uno"]);
    assert!(matches!(log[2].follows(&other[1].end()), Err(EntryError::Chain { number: 3, after: 2 })));
    let last = LogEnd { number: u64::MAX, ..log[0].end() };
    assert!(log[1].follows(&last).is_err());
    assert_eq!(
        Entry::write(draft(EntryKind::Text, vec![], 9), &last, &cast::alice()),
        Err(EntryError::TooLarge)
    );
}

#[test]
fn the_first_entry_opens_and_no_other_does() {
    let first = Entry::write(draft(EntryKind::Text, text("hi"), 0), &LogEnd::EMPTY, &cast::alice()).unwrap();
    assert_eq!(first.follows(&LogEnd::EMPTY), Err(EntryError::Chain { number: 1, after: 0 }));
    let log = written(&[]);
    let again = draft(EntryKind::Open, codec::encode(&open_body()).unwrap(), 5);
    let again = Entry::write(again, &log[0].end(), &cast::alice()).unwrap();
    assert!(again.follows(&log[0].end()).is_err());
}

#[test]
fn stamps_rise_strictly() {
    let log = written(&[]);
    for (stamp, valid) in [(1, true), (0, false)] {
        let entry =
            Entry::write(draft(EntryKind::Text, text("x"), stamp), &log[0].end(), &cast::alice()).unwrap();
        assert_eq!(entry.follows(&log[0].end()).is_ok(), valid);
    }
    let mut back = draft(EntryKind::Text, text("x"), 0);
    back.time = Hlc(0);
    assert!(Entry::write(back, &log[0].end(), &cast::alice()).unwrap().follows(&log[0].end()).is_err());
}

#[test]
fn an_entry_is_as_valid_without_its_body_as_with_it() {
    let header = written(&["one"]).pop().unwrap().header;
    for len in [0, 15, u32::try_from(MAX_BODY).unwrap() + 1, u32::MAX] {
        let wire = forge(&Header { body_len: len, ..header.clone() }, None);
        assert_eq!(open(&wire), Err(EntryError::Body), "{len}");
    }
    let short = vec![1; 15];
    let named = Header { body_len: 15, body_hash: blake3::hash(&short).into(), ..header };
    assert_eq!(open(&forge(&named, Some(short))), Err(EntryError::Body));
}

#[test]
fn the_largest_text_fits_and_a_larger_body_does_not() {
    let log = written(&[]);
    let write = |content| Entry::write(draft(EntryKind::Text, content, 1), &log[0].end(), &cast::alice());
    let large = write(text(&"长".repeat(MAX_TEXT / 3))).unwrap();
    assert!(open(&large.wire).is_ok());
    assert!(write(vec![0; MAX_BODY - BODY_SALT]).is_ok());
    assert_eq!(write(vec![0; MAX_BODY - BODY_SALT + 1]), Err(EntryError::TooLarge));
}

#[test]
fn an_unknown_kind_is_as_valid_as_any() {
    let log = written(&["one"]);
    let header = Header { kind: 0x7777, flags: 0xffff, ..log[1].header.clone() };
    let body = log[1].wire.body.clone().unwrap().into_vec();
    let read = open(&forge(&header, Some(body))).unwrap();
    assert_eq!(read.follows(&log[0].end()), Ok(()));
    assert_eq!(EntryKind::from_number(read.header.kind), None);
}

#[test]
fn left_over_bytes_in_a_header_are_refused() {
    let entry = written(&["one"]).pop().unwrap();
    let bytes = [&entry.wire.header[..], &[0]].concat();
    let signature = cast::alice().sign(ENTRY_LABEL, &bytes);
    let wire = WireEntry { header: Blob::new(bytes).unwrap(), signature, body: entry.wire.body };
    assert!(matches!(open(&wire), Err(EntryError::Header(_))));
}

#[test]
fn an_opening_body_names_this_conversation_and_its_author() {
    let header = written(&[]).pop().unwrap().header;
    let good = open_body();
    assert_eq!(good.check(&header).unwrap().membership.user, ALICE);
    assert!(
        OpenBody { chain: BoundedVec::empty(), ..good.clone() }.check(&header).is_ok(),
        "without endorsement"
    );

    let crossed = OpenBody { descriptor: Descriptor::Direct(BOB, ALICE), ..good.clone() };
    assert_eq!(crossed.check(&header), Err(OpenError::Descriptor), "ids not in order");
    let everyone = OpenBody { descriptor: Descriptor::Everyone, ..good.clone() };
    assert_eq!(everyone.check(&header), Err(OpenError::Descriptor));
    let moved = Header { conversation: ConversationId([1; 32]), ..header.clone() };
    assert_eq!(good.check(&moved), Err(OpenError::Descriptor));
    let foreign = Header { realm: RealmId::OPEN, ..header.clone() };
    assert!(good.check(&foreign).is_err());
    let bobs = cast::certified(&cast::membership(BOB, "bob", cast::bob().public(), 8));
    let bobs = OpenBody { certificate: bobs, ..good.clone() };
    assert_eq!(bobs.check(&header), Err(OpenError::Certificate(CertificateError::Device)));
    let chain = BoundedVec::new(vec![cast::endorsement(BOB, &cast::alice(), &cast::alice())]).unwrap();
    let chained = OpenBody { chain, ..good };
    assert_eq!(chained.check(&header), Err(OpenError::Certificate(CertificateError::Chain)));

    let others = Descriptor::direct(BOB, UserId([0xc0; 16]));
    let strange = Header { conversation: others.id(&cast::realm()).unwrap(), ..header };
    let strange_body = OpenBody { descriptor: others, ..open_body() };
    assert_eq!(strange_body.check(&strange), Err(OpenError::Stranger));
}

#[test]
fn conversations_differ_by_realm_and_descriptor() {
    let id = |descriptor: &Descriptor, realm: &RealmId| descriptor.id(realm);
    let direct = Descriptor::direct(BOB, ALICE);
    assert_eq!(direct, Descriptor::direct(ALICE, BOB));
    assert_ne!(id(&direct, &cast::realm()), id(&direct, &RealmId::OPEN));
    assert_ne!(id(&direct, &cast::realm()), id(&Descriptor::Everyone, &cast::realm()));
    assert!(id(&Descriptor::direct(ALICE, ALICE), &cast::realm()).is_some(), "notes to oneself");
    assert_eq!(id(&Descriptor::Direct(BOB, ALICE), &cast::realm()), None);
}

#[test]
fn a_receipt_is_its_readers_word_about_one_log() {
    let receipt = ReceiptRecord {
        log: log(),
        reader: cast::bob().public(),
        user: BOB,
        receipt: Receipt { received: 5, read: 4 },
        counter: 2,
        time: Hlc::at(START),
    };
    let signed = receipt.sign(&cast::realm(), &cast::bob()).unwrap();
    assert_eq!(ReceiptRecord::open(&signed, &cast::realm()), Ok(receipt.clone()));
    assert_eq!(ReceiptRecord::open(&signed, &RealmId::OPEN), Err(StateError::Realm));
    let forged = receipt.sign(&cast::realm(), &cast::alice()).unwrap();
    let bad = Err(StateError::Signed(SignedError::Signature));
    assert_eq!(ReceiptRecord::open(&forged, &cast::realm()), bad, "signed by another device");

    let record: StateRecord = signed.peek().unwrap();
    let again = |record: StateRecord| {
        ReceiptRecord::open(&Signed::sign(&record, &cast::bob()).unwrap(), &cast::realm())
    };
    assert_eq!(again(StateRecord { kind: 77, ..record.clone() }), Err(StateError::Kind(77)));
    for len in [0, 31, 39, 41] {
        let subject = Blob::new(vec![0; len]).unwrap();
        assert!(
            matches!(again(StateRecord { subject, ..record.clone() }), Err(StateError::Body(_))),
            "{len}"
        );
    }
    let body = Blob::new(vec![0; 17]).unwrap();
    assert!(matches!(again(StateRecord { body, ..record.clone() }), Err(StateError::Body(_))));
    assert_eq!((record.kind, record.key().subject), (STATE_RECEIPT, log().key().to_vec()));
    assert_ne!(EntryHash::NONE, EntryHash([1; 32]));
}
