//! Who does not belong is told nothing and is gone within three seconds, whatever papers it shows.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a story that cannot go on has failed")]

use data_encoding::HEXLOWER;
use lanchat_net::{Channel, DialId, DialTarget, Net, NetConfig, NetEvent};
use lanchat_proto::certificate::{Anchor, Certificate, IssuingCertificate, Membership, Role};
use lanchat_proto::codec::{self, BoundedVec};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{DeviceId, Epoch, RealmId, UserId};
use lanchat_proto::signed::{SecretKey, Signed};
use lanchat_proto::time::Wall;
use lanchat_proto::version::Version;
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::link::Hello;
use lanchat_tests::{Office, within};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn now() -> Wall {
    Wall(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap())
}

/// Keys that can issue certificates: an organisation's.
struct Issuer {
    root: DeviceId,
    key: SecretKey,
    certificate: Signed<IssuingCertificate>,
}

impl Issuer {
    /// The office's own, as a thief of its key file would have it.
    fn of(office: &Office) -> Self {
        let text = std::fs::read_to_string(office.dir().join("org.key")).unwrap();
        let value = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap();
            HEXLOWER.decode(line.split('"').nth(1).unwrap().as_bytes()).unwrap()
        };
        let key = |name: &str| SecretKey::from_seed(&value(name).try_into().unwrap());
        let certificate = codec::decode(&value("certificate"), 4096).unwrap();
        Self { root: key("root").public(), key: key("issuing"), certificate }
    }

    /// Another organisation's.
    fn elsewhere() -> Self {
        let (root, key) = (SecretKey::from_seed(&[71; 32]), SecretKey::from_seed(&[72; 32]));
        let issuing = IssuingCertificate {
            realm: RealmId::of_root(&root.public()),
            issuer: key.public(),
            coordinator: DeviceId([73; 32]),
            not_before: now().minus(DAY),
            not_after: now().plus(30 * DAY),
        };
        Self { root: root.public(), certificate: Signed::sign(&issuing, &root).unwrap(), key }
    }

    fn issue(&self, device: &SecretKey, not_before: Wall, not_after: Wall) -> Certificate {
        let membership = Membership {
            realm: RealmId::of_root(&self.root),
            user: UserId([66; 16]),
            name: "mallory".parse().unwrap(),
            role: Role::Member,
            device: device.public(),
            sealing: [0; 32],
            serial: now().0,
            not_before,
            not_after,
        };
        Certificate {
            membership: Signed::sign(&membership, &self.key).unwrap(),
            anchor: Anchor::Organisation { root: self.root, issuing: self.certificate.clone() },
        }
    }
}

fn hello(realm: RealmId, certificate: Certificate) -> Frame {
    let hello = Hello {
        realm,
        versions: BoundedVec::first(Version::offered()),
        certificate,
        chain: BoundedVec::empty(),
        epoch: Epoch(5),
        revocations: BoundedVec::empty(),
        time: now(),
    };
    Frame::new(Kind::Hello, &hello).unwrap()
}

/// Dials a node and shows it a frame or nothing. Returns the first thing that the node said, if it said anything before it
/// hung up, and how long that took.
async fn knock(key: &SecretKey, door: (Endpoint, DeviceId), frame: Option<Frame>) -> (Vec<Frame>, Duration) {
    let (net, mut events) = Net::start(NetConfig::new(key.clone(), Vec::new())).unwrap();
    let target =
        DialTarget { device: Some(door.1), endpoints: vec![door.0], channel: Channel::Link, via: None };
    net.dial(DialId(1), target).unwrap();
    let mut told = Vec::new();
    let mut begin = Instant::now();
    let talk = async {
        loop {
            match events.recv().await.unwrap() {
                NetEvent::Opened(opened) => {
                    begin = Instant::now();
                    // On this side it may stay for as long as the node lets it.
                    opened.link.admit();
                    if let Some(frame) = frame.clone() {
                        opened.link.send(frame).unwrap();
                    }
                }
                NetEvent::Frame { frame, .. } => {
                    told.push(frame);
                    return begin.elapsed();
                }
                NetEvent::Closed { .. } => return begin.elapsed(),
                NetEvent::DialFailed(failure) => panic!("{}", failure.reason),
                _ => {}
            }
        }
    };
    let took = tokio::time::timeout(10 * SECOND, talk).await.unwrap();
    net.shutdown().await;
    (told, took)
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_told_nothing_and_are_gone_within_three_seconds() {
    let office = Office::open();
    let node = office.node("alice");
    let ready = node.start();
    node.register(&office.join(), lanchat_tests::office::PASSWORD).ok();
    let (endpoint, device) = lanchat_net::parse_multiaddr(ready["listen"][0].as_str().unwrap()).unwrap();
    let door = (endpoint, device.unwrap());

    let own = Issuer::of(&office);
    let realm = RealmId::of_root(&own.root);
    let other = Issuer::elsewhere();
    let key = SecretKey::from_seed(&[61; 32]);
    let (past, future) = (now().minus(60 * DAY), now().plus(30 * DAY));
    let valid = own.issue(&key, now().minus(DAY), future);
    let self_signed = Certificate::self_signed(&key, "mallory".parse().unwrap(), [0; 32], now()).unwrap();
    let forged = Certificate {
        // A membership of another issuer under the office's anchor.
        membership: other.issue(&key, past, future).membership,
        anchor: valid.anchor.clone(),
    };
    let stolen = own.issue(&SecretKey::from_seed(&[62; 32]), past, future);
    let cases = [
        ("silent", None),
        ("garbage", Some(Frame { kind: Kind::Hello.number(), payload: vec![0xff; 600] })),
        ("not a hello", Some(Frame { kind: Kind::Heartbeat.number(), payload: vec![1] })),
        ("self-signed", Some(hello(RealmId::OPEN, self_signed.clone()))),
        ("self-signed for the organisation", Some(hello(realm, self_signed))),
        ("another organisation", Some(hello(RealmId::of_root(&other.root), other.issue(&key, past, future)))),
        ("expired", Some(hello(realm, own.issue(&key, past, now().minus(2 * DAY))))),
        ("not valid yet", Some(hello(realm, own.issue(&key, now().plus(2 * DAY), future)))),
        ("forged", Some(hello(realm, forged))),
        ("somebody else's", Some(hello(realm, stolen))),
    ];
    for (what, frame) in cases {
        let (told, took) = knock(&key, door, frame).await;
        assert_eq!(told, [], "{what}: told something");
        assert!(took < 3 * SECOND, "{what}: gone only after {took:?}");
    }
    // The same door opens to papers that are right, so that the refusals above mean something.
    let (told, _) = knock(&key, door, Some(hello(realm, valid))).await;
    assert_eq!(told.first().and_then(Frame::known), Some(Kind::HelloAnswer));
    within(5 * SECOND, "alice goes on", || node.cli(&["status"]).code == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_opens_no_door() {
    let office = Office::open();
    let [alice, bob] = office.people(["alice", "bob"]);
    within(10 * SECOND, "they see each other", || alice.sees(&bob));
    let status = alice.cli(&["status", "--json"]).json();
    let (endpoint, device) = lanchat_net::parse_multiaddr(status["listen"][0].as_str().unwrap()).unwrap();
    // Bob's key and papers, in the hands of whoever copied his disk before he was banned.
    let text = std::fs::read_to_string(bob.dir().join("device.key")).unwrap();
    let seed = HEXLOWER.decode(text.lines().nth(1).unwrap().as_bytes()).unwrap();
    let key = SecretKey::from_seed(&seed.try_into().unwrap());
    let database = rusqlite::Connection::open(bob.dir().join("lanchat.db")).unwrap();
    let bytes: Vec<u8> =
        database.query_row("SELECT certificate FROM membership", [], |row| row.get(0)).unwrap();
    let certificate: Certificate = codec::decode(&bytes, 4096).unwrap();
    bob.kill();
    office.admin(&["ban", "bob"]).ok();
    within(2 * SECOND, "bob is out", || alice.misses(&bob));
    let realm = certificate.membership.peek().unwrap().realm;
    let (told, took) = knock(&key, (endpoint, device.unwrap()), Some(hello(realm, certificate))).await;
    assert_eq!(told, []);
    assert!(took < 3 * SECOND, "gone only after {took:?}");
}
