//! Who does not belong is told nothing and is gone within three seconds, whatever papers it shows.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a story that cannot go on has failed")]

mod papers;

use data_encoding::HEXLOWER;
use lanchat_net::{Channel, DialId, DialTarget, Net, NetConfig, NetEvent};
use lanchat_proto::certificate::Certificate;
use lanchat_proto::codec;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{DeviceId, RealmId};
use lanchat_proto::signed::SecretKey;
use lanchat_proto::wire::Endpoint;
use lanchat_tests::{Office, within};
use papers::{DAY, Issuer, hello, now};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

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
    let realm = own.realm();
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
        ("another organisation", Some(hello(other.realm(), other.issue(&key, past, future)))),
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
