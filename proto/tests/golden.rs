//! Every frame, signed object and entry body, byte for byte. A change here breaks what is already on wires and disks:
//! new data is a new kind. `UPDATE_GOLDEN=1 cargo test -p lanchat-proto --test golden` writes the files anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a failing test panics"
)]

mod support;

use lanchat_proto::blob::BlobHash;
use lanchat_proto::certificate::{Act, ListAnchor, Revocation, RevocationHead, SafetyCode};
use lanchat_proto::codec::{Blob, BoundedVec, Text};
use lanchat_proto::entry::{
    Descriptor, Draft, Entry, EntryKind, FileBody, LogEnd, NudgeBody, OpenBody, TextBody,
};
use lanchat_proto::frame::{Frame, HEADER_LEN, Kind};
use lanchat_proto::ids::{DeviceId, EntryHash, Epoch, HostId, LogId, MessageId};
use lanchat_proto::signed::{Labelled, SecretKey, Signed};
use lanchat_proto::state::{Receipt, ReceiptRecord, StateRecord};
use lanchat_proto::time::{Hlc, Wall};
use lanchat_proto::wire::coordinator as c;
use lanchat_proto::wire::{Endpoint, blob, link, reach};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use support::cast::{self, ALICE, BOB, START};
use support::lines::{self, Line};

fn list<T: Clone, const N: usize>(items: &[T]) -> BoundedVec<T, N> {
    BoundedVec::new(items.to_vec()).unwrap()
}

fn endpoint(text: &str) -> Endpoint {
    Endpoint::new(text.parse().unwrap())
}

fn report() -> c::DeviceReport {
    c::DeviceReport {
        endpoints: list(&[endpoint("192.168.1.2:7420"), endpoint("[fd00::2]:7420")]),
        host: c::HostIdField(HostId([0x40; 16])),
        presence: c::Presence::Busy,
    }
}

fn online() -> c::OnlineDevice {
    c::OnlineDevice {
        device: cast::alice().public(),
        user: ALICE,
        endpoints: list(&[endpoint("192.168.1.2:7420")]),
        host: c::HostIdField(HostId([0x40; 16])),
        presence: c::Presence::Away,
    }
}

fn hello() -> link::Hello {
    link::Hello {
        realm: cast::realm(),
        versions: list(&[1]),
        certificate: cast::alice_certificate(),
        chain: cast::alice_chain(),
        epoch: Epoch(0x1122_3344_5566_7788),
        revocations: list(&[RevocationHead { issuer: cast::issuer().public(), number: 3, hash: [0xee; 32] }]),
        time: START,
    }
}

fn direct() -> Descriptor {
    Descriptor::direct(BOB, ALICE)
}

fn log() -> LogId {
    LogId {
        conversation: direct().id(&cast::realm()).unwrap(),
        device: cast::alice().public(),
        epoch: Epoch(0x1122_3344_5566_7788),
    }
}

fn open_body() -> OpenBody {
    OpenBody { descriptor: direct(), certificate: cast::alice_certificate(), chain: cast::alice_chain() }
}

fn text_body() -> TextBody {
    TextBody { text: Text::new("Hallo 李雷").unwrap(), reply_to: Some(MessageId([0x99; 16])) }
}

fn entry<T: Serialize>(kind: EntryKind, body: &T, end: &LogEnd) -> Entry {
    let draft = Draft {
        realm: cast::realm(),
        log: log(),
        time: Hlc(Hlc::at(START).0 + end.number),
        kind,
        message: MessageId([0x77; 16]),
        salt: [0x5a; 16],
        content: lanchat_proto::codec::encode(body).unwrap(),
    };
    Entry::write(draft, end, &cast::alice()).unwrap()
}

fn head() -> link::Head {
    link::Head {
        device: cast::alice().public(),
        epoch: Epoch(0x1122_3344_5566_7788),
        number: 5,
        hash: EntryHash([0x55; 32]),
        floor_number: 2,
        floor_hash: EntryHash([0x22; 32]),
    }
}

fn receipt() -> ReceiptRecord {
    ReceiptRecord {
        log: log(),
        reader: cast::bob().public(),
        user: BOB,
        receipt: Receipt { received: 5, read: 4 },
        counter: 9,
        time: Hlc::at(START),
    }
}

fn act(act: Act, number: u64) -> Revocation {
    Revocation {
        realm: cast::realm(),
        issuer: cast::issuer().public(),
        number,
        previous: [0xcc; 32],
        at: START,
        act,
    }
}

fn profile() -> c::Profile {
    c::Profile {
        user: ALICE,
        name: "alice".parse().unwrap(),
        display_name: "Alice 李".parse_display(),
        department: "Sales".parse_display(),
        title: "Lead".parse_display(),
        note: lanchat_proto::names::Note::parse("back at two").unwrap(),
        avatar: [0xaf; 32],
        gone: false,
        last_seen: START,
        devices: list(&[c::DirectoryDevice {
            device: cast::alice().public(),
            certificate: cast::alice_certificate(),
            chain: cast::alice_chain(),
        }]),
    }
}

trait ParseDisplay {
    fn parse_display(&self) -> lanchat_proto::names::DisplayName;
}

impl ParseDisplay for str {
    fn parse_display(&self) -> lanchat_proto::names::DisplayName {
        lanchat_proto::names::DisplayName::parse(self).unwrap()
    }
}

fn frame<T: Serialize>(kind: Kind, value: &T) -> Vec<Line> {
    let bytes = Frame::new(kind, value).unwrap().to_bytes();
    let mut all: Vec<Line> = [("version", 0..1), ("flags", 1..2), ("kind", 2..4), ("payload length", 4..8)]
        .into_iter()
        .map(|(path, range)| Line { path: format!("frame.{path}"), bytes: bytes[range].to_vec() })
        .collect();
    all.extend(lines::of(&format!("{kind:?}"), value));
    let joined: Vec<u8> = all.iter().flat_map(|line| line.bytes.clone()).collect();
    assert_eq!(joined, bytes, "{kind:?}: {HEADER_LEN} bytes of header, then the payload");
    all
}

const REQUEST: u64 = 0x0102;

fn link_frame(kind: Kind) -> Option<Vec<Line>> {
    let conversation = log().conversation;
    Some(match kind {
        Kind::Hello => frame(kind, &hello()),
        Kind::HelloAnswer => frame(kind, &link::HelloAnswer { version: 1, hello: hello() }),
        Kind::Heartbeat => frame(kind, &link::Heartbeat { answer: true }),
        Kind::Goodbye => frame(kind, &link::Goodbye { reason: link::GoodbyeReason::Duplicate }),
        Kind::Digests => {
            let digest = |descriptor| link::ConversationDigest {
                descriptor,
                buckets: list(&[link::Bucket { bucket: 0x0b, digest: [0xd0; 16] }]),
                states_for_you: [0x51; 16],
                states_for_me: [0x52; 16],
            };
            let group = Descriptor::Group([0x61; 16]);
            let department = Descriptor::Department("Sales".parse_display());
            let all = [direct(), group, department, Descriptor::Everyone].map(digest);
            frame(kind, &link::Digests { list: list(&all), last: true })
        }
        Kind::Heads => {
            frame(kind, &link::Heads { conversation, heads: list(&[head()]), answer: true, last: true })
        }
        Kind::Entries => {
            let open = entry(EntryKind::Open, &open_body(), &LogEnd::EMPTY);
            let mut text = entry(EntryKind::Text, &text_body(), &open.end()).wire;
            text.body = None;
            frame(kind, &link::Entries { conversation, entries: list(&[open.wire, text]) })
        }
        Kind::Acknowledge => frame(kind, &link::Acknowledge { conversation, heads: list(&[head()]) }),
        Kind::States => {
            let record = receipt().sign(&cast::realm(), &cast::bob()).unwrap();
            frame(kind, &link::States { records: list(&[record]) })
        }
        Kind::Revocations => {
            let signed = Signed::sign(&act(Act::Ban(BOB), 4), &cast::issuer()).unwrap();
            let anchor = ListAnchor { root: cast::root().public(), issuing: Some(cast::issuing()) };
            frame(kind, &link::Revocations { anchor, acts: list(&[signed]) })
        }
        Kind::Renewed => {
            frame(kind, &link::Renewed { certificate: cast::alice_certificate(), chain: cast::alice_chain() })
        }
        _ => return None,
    })
}

fn account_frame(kind: Kind) -> Option<Vec<Line>> {
    let (request, user) = (REQUEST, "alice".parse().unwrap());
    let proof = c::PasswordProof([0x9f; 32]);
    Some(match kind {
        Kind::Welcome => frame(
            kind,
            &c::Welcome {
                versions: list(&[1]),
                org: Text::new("Acme").unwrap(),
                root: cast::root().public(),
                issuing: cast::issuing(),
                time: START,
            },
        ),
        Kind::AskSalt => frame(kind, &c::AskSalt { request, user }),
        Kind::Salt => frame(kind, &c::Salt { request, salt: [0x5a; 16] }),
        Kind::Register => frame(
            kind,
            &c::Register {
                request,
                user,
                display_name: "Alice 李".parse_display(),
                proof,
                invite: Text::new("abc-123").unwrap(),
                sealing: [0x5e; 32],
            },
        ),
        Kind::Login => frame(kind, &c::Login { request, user, proof, sealing: [0x5e; 32] }),
        Kind::Enrolled => frame(
            kind,
            &c::Enrolled {
                request,
                user: ALICE,
                certificate: cast::alice_certificate(),
                first_device: true,
                must_change_password: false,
            },
        ),
        Kind::SetProfile => frame(
            kind,
            &c::SetProfile {
                request,
                display_name: Some("Alice".parse_display()),
                department: None,
                title: Some("Lead".parse_display()),
                note: None,
                avatar: Some(Blob::new(vec![0x89, 0x50]).unwrap()),
            },
        ),
        Kind::ChangePassword => {
            let new = c::PasswordProof([0x9e; 32]);
            frame(kind, &c::ChangePassword { request, old: proof, new })
        }
        Kind::Logout => frame(kind, &c::Logout { request }),
        Kind::Done => frame(kind, &c::Done { request }),
        Kind::Refused => {
            let code = c::Refusal::TooManyTries.number();
            frame(kind, &c::Refused { request, code, retry_after_ms: 30_000 })
        }
        _ => return None,
    })
}

fn presence_frame(kind: Kind) -> Option<Vec<Line>> {
    let (request, run) = (REQUEST, 0x0f0e_0d0c);
    Some(match kind {
        Kind::SignIn => frame(
            kind,
            &c::SignIn {
                request,
                versions: list(&[1]),
                realm: cast::realm(),
                certificate: cast::alice_certificate(),
                chain: cast::alice_chain(),
                epoch: Epoch(0x1122_3344_5566_7788),
                directory: c::DirectoryMark { generation: 0x6e, version: 12 },
                revocations: hello().revocations,
                report: report(),
            },
        ),
        Kind::SignedIn => frame(
            kind,
            &c::SignedIn {
                request,
                version: 1,
                run,
                time: START,
                renewed: Some(cast::alice_certificate()),
                revocations: list(&[Signed::sign(&act(Act::Unban(BOB), 5), &cast::issuer()).unwrap()]),
                observed: endpoint("10.1.2.3:50000"),
            },
        ),
        Kind::Snapshot => {
            frame(kind, &c::Snapshot { run, number: 8, first: true, last: false, devices: list(&[online()]) })
        }
        Kind::Delta => {
            let offline = c::Change::Offline { device: cast::bob().public(), last_seen: START };
            let changes = list(&[c::Change::Online(online()), offline]);
            frame(kind, &c::Delta { run, number: 9, changes })
        }
        Kind::AskSnapshot => frame(kind, &c::AskSnapshot { run }),
        Kind::Directory => {
            let mark = c::DirectoryMark { generation: 0x6e, version: 13 };
            frame(kind, &c::Directory { mark, fresh: true, last: false, profiles: list(&[profile()]) })
        }
        Kind::Report => frame(kind, &c::Report { report: report() }),
        Kind::AskAvatar => frame(kind, &c::AskAvatar { request, user: ALICE }),
        Kind::Avatar => {
            let picture = Blob::new(vec![0x89, 0x50, 0x4e]).unwrap();
            frame(kind, &c::Avatar { request, user: ALICE, picture })
        }
        Kind::FindUsers => frame(kind, &c::FindUsers { request, query: "li".parse_display() }),
        Kind::FoundUsers => frame(kind, &c::FoundUsers { request, users: list(&[ALICE, BOB]) }),
        Kind::Announcement => {
            let text = Text::new("Fire drill at noon").unwrap();
            frame(kind, &c::Announcement { number: 2, at: START, text })
        }
        _ => return None,
    })
}

fn reach_frame(kind: Kind) -> Option<Vec<Line>> {
    let (request, device) = (REQUEST, cast::bob().public());
    Some(match kind {
        Kind::Introduce => frame(kind, &reach::Introduce { request, device, way: reach::Way::Circuit }),
        Kind::Introduction => {
            let outcome = reach::Introduced::Yes;
            frame(kind, &reach::Introduction { request, outcome, wait_ms: 500 })
        }
        Kind::Knock => frame(kind, &reach::Knock { device: online() }),
        Kind::RelayTerms => frame(kind, &reach::RelayTerms { per_user: 2_000_000, total: 20_000_000 }),
        Kind::DialMe => frame(kind, &reach::DialMe { request, ports: list(&[7420]) }),
        Kind::DialledYou => {
            let outcome = reach::Dialled::Reached;
            let ports = list(&[reach::DialledPort { port: 7420, outcome }]);
            frame(kind, &reach::DialledYou { request, ports })
        }
        _ => return None,
    })
}

fn blob_frame(kind: Kind) -> Option<Vec<Line>> {
    let hash = BlobHash([0xb3; 32]);
    Some(match kind {
        Kind::BlobOpen => {
            let conversation = direct().id(&cast::realm()).unwrap();
            frame(kind, &blob::BlobOpen { conversation, offer: EntryHash([0x0f; 32]), hash })
        }
        Kind::BlobHave => {
            frame(kind, &blob::BlobHave { size: 3 << 20, units: Blob::new(vec![0b101]).unwrap() })
        }
        Kind::BlobRefused => frame(kind, &blob::BlobRefused { reason: blob::BlobRefusal::Changed }),
        Kind::BlobAskValues => frame(kind, &blob::BlobAskValues { first: 0, count: 3 }),
        Kind::BlobValues => frame(kind, &blob::BlobValues { first: 1, values: list(&[[0xc5; 32]]) }),
        Kind::BlobAsk => frame(kind, &blob::BlobAsk { unit: 2, offset: 131_072, len: 1000 }),
        Kind::BlobReady => frame(kind, &blob::BlobReady { offer: MessageId([0x0e; 16]) }),
        Kind::BlobPiece => {
            let piece = blob::Piece { unit: 2, offset: 131_072, bytes: b"content" };
            let whole = piece.frame().to_bytes();
            let (header, payload) = whole.split_at(HEADER_LEN);
            let (place, bytes) = payload.split_at(blob::PIECE_HEADER);
            let line = |path: &str, bytes: &[u8]| Line { path: path.to_owned(), bytes: bytes.to_vec() };
            vec![line("header", header), line("unit, offset", place), line("bytes", bytes)]
        }
        _ => return None,
    })
}

/// What is signed, the label, and the signature over both.
fn signed<T: Labelled>(value: &T, key: &SecretKey) -> Vec<Line> {
    let bytes = lanchat_proto::codec::encode(value).unwrap();
    let signature = key.sign(T::LABEL, &bytes);
    labelled(T::LABEL, lines::of("value", value), signature.to_bytes())
}

fn labelled(label: &str, value: Vec<Line>, signature: [u8; 64]) -> Vec<Line> {
    let mut all =
        vec![Line { path: format!("label {label}, zero"), bytes: [label.as_bytes(), &[0]].concat() }];
    all.extend(value);
    all.push(Line { path: "signature over all of the above".into(), bytes: signature.to_vec() });
    all
}

fn objects() -> BTreeMap<String, Vec<Line>> {
    let issuer = cast::issuer();
    let mut all = BTreeMap::new();
    let mut add = |name: &str, lines: Vec<Line>| all.insert(name.to_owned(), lines);
    add("signed-issuing", signed(&cast::issuing_value(&issuer), &cast::root()));
    add("signed-membership", signed(&cast::membership(ALICE, "alice", cast::alice().public(), 7), &issuer));
    let endorsed = cast::endorsement(ALICE, &cast::alice_two(), &cast::alice()).peek().unwrap();
    add("signed-endorsement", signed(&endorsed, &cast::alice()));
    let acts = [
        ("ban", Act::Ban(BOB)),
        ("unban", Act::Unban(BOB)),
        ("kick", Act::Kick { user: BOB, up_to_serial: 0x0506 }),
        ("revoke-device", Act::RevokeDevice { device: cast::bob().public(), up_to_serial: 0x0506 }),
        ("revoke-issuer", Act::RevokeIssuer(DeviceId([0x15; 32]))),
        ("unknown", Act::Unknown { kind: 0x7001, body: Blob::new(vec![1, 2, 3]).unwrap() }),
    ];
    for (name, what) in acts {
        add(&format!("signed-revocation-{name}"), signed(&act(what, 4), &issuer));
    }
    let state: StateRecord = receipt().sign(&cast::realm(), &cast::bob()).unwrap().peek().unwrap();
    add("signed-state-receipt", signed(&state, &cast::bob()));
    add("state-receipt-body", lines::of("Receipt", &receipt().receipt));
    let open = entry(EntryKind::Open, &open_body(), &LogEnd::EMPTY);
    let signature = open.wire.signature.to_bytes();
    add("signed-entry", labelled("lanchat/entry/1", lines::of("header", &open.header), signature));
    add("entry-body-open", lines::of("OpenBody", &open_body()));
    add("entry-body-text", lines::of("TextBody", &text_body()));
    let file = FileBody {
        name: Text::new("报告 2026.pdf").unwrap(),
        size: 123_456,
        media_type: Text::new("application/pdf").unwrap(),
        hash: BlobHash([0xb3; 32]),
        changed: START,
    };
    add("entry-body-file", lines::of("FileBody", &file));
    let word = lanchat_proto::state::FileRecord {
        conversation: direct().id(&cast::realm()).unwrap(),
        offer: MessageId([0x77; 16]),
        device: cast::bob().public(),
        user: BOB,
        word: lanchat_proto::state::FileWord::Complete,
        counter: 3,
        time: Hlc::at(START),
    };
    let word: StateRecord = word.sign(&cast::realm(), &cast::bob()).unwrap().peek().unwrap();
    add("signed-state-file", signed(&word, &cast::bob()));
    add("entry-body-nudge", lines::of("NudgeBody", &NudgeBody { strength: 1 }));
    add("ids", ids());
    add("safety-code", safety_code());
    all
}

/// Ids that are computed, not chosen.
fn ids() -> Vec<Line> {
    let realm = cast::realm();
    let open = entry(EntryKind::Open, &open_body(), &LogEnd::EMPTY);
    let of = |path: &str, bytes: &[u8]| Line { path: path.to_owned(), bytes: bytes.to_vec() };
    let conversation = |descriptor: Descriptor| descriptor.id(&realm).unwrap().0;
    vec![
        of("root public key", &cast::root().public().0),
        of("realm of that root", &realm.0),
        of("the open realm", &lanchat_proto::ids::RealmId::OPEN.0),
        of("alice's device", &cast::alice().public().0),
        of(
            "user of that device in the open realm",
            &lanchat_proto::ids::UserId::of_open_device(&cast::alice().public()).0,
        ),
        of("conversation: direct, alice and bob", &conversation(direct())),
        of("conversation: group 61…", &conversation(Descriptor::Group([0x61; 16]))),
        of("conversation: department Sales", &conversation(Descriptor::Department("Sales".parse_display()))),
        of("conversation: everyone", &conversation(Descriptor::Everyone)),
        of("log key: device, epoch big-endian", &log().key()),
        of("hash of signed-entry's header", &open.hash.0),
        of(
            "hash of an act (signed-revocation-ban)",
            &Signed::<Revocation>::sign(&act(Act::Ban(BOB), 4), &cast::issuer()).unwrap().hash(),
        ),
    ]
}

/// The code of alice and bob, each with one device, as people read it.
fn safety_code() -> Vec<Line> {
    let (alice, bob) = ((ALICE, cast::alice().public()), (BOB, cast::bob().public()));
    let code = SafetyCode::of(&cast::realm(), alice, bob).to_string();
    vec![Line { path: format!("safety code: {code}"), bytes: code.into_bytes() }]
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

#[test]
fn every_frame_and_signed_object_is_as_it_was() {
    let mut expected = objects();
    for kind in Kind::ALL {
        let lines = link_frame(*kind).or_else(|| account_frame(*kind)).or_else(|| presence_frame(*kind));
        let lines = lines.or_else(|| reach_frame(*kind)).or_else(|| blob_frame(*kind));
        let lines = lines.unwrap_or_else(|| panic!("{kind:?} has no example in tests/golden.rs"));
        expected.insert(format!("frame-{:04x}-{kind:?}", kind.number()), lines);
    }
    let expected: BTreeMap<String, String> =
        expected.into_iter().map(|(name, lines)| (format!("{name}.hex"), lines::text(&lines))).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        for (name, text) in &expected {
            std::fs::write(folder().join(name), text).unwrap();
        }
    }
    for (name, text) in &expected {
        let kept = std::fs::read_to_string(folder().join(name));
        let kept = kept.unwrap_or_else(|_| panic!("{name} is missing: UPDATE_GOLDEN=1 writes it"));
        assert!(kept.replace("\r\n", "\n") == *text, "{name} differs; now it would be:\n{text}");
    }
    for file in std::fs::read_dir(folder()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(expected.contains_key(&name), "{name} belongs to nothing any more");
    }
}

#[test]
fn unknown_roles_and_presences_are_read_as_the_plainest() {
    use lanchat_proto::certificate::Role;
    use lanchat_proto::codec::{decode, encode};
    assert_eq!(decode::<Role>(&encode(&1_u32).unwrap(), 4), Ok(Role::Admin));
    assert_eq!(decode::<Role>(&encode(&7_u32).unwrap(), 4), Ok(Role::Member));
    assert_eq!(decode::<c::Presence>(&encode(&7_u32).unwrap(), 4), Ok(c::Presence::Online));
    assert_eq!(c::Refusal::from_number(999), c::Refusal::Other);
    let later = encode(&9_u32).unwrap();
    assert_eq!(decode::<reach::Way>(&later, 4), Ok(reach::Way::Unknown));
    assert_eq!(decode::<reach::Introduced>(&later, 4), Ok(reach::Introduced::No));
    assert_eq!(decode::<reach::Dialled>(&later, 4), Ok(reach::Dialled::NotTried));
    assert_eq!(Wall::default(), Wall(0));
}
