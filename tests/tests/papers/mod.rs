//! Papers for a device of our own: those that the office would issue, those of elsewhere, and none.
#![allow(dead_code, reason = "each story uses what it needs")]

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
use lanchat_tests::Office;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where somebody is to be found.
pub(crate) type Door = (Endpoint, DeviceId);

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) fn now() -> Wall {
    Wall(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap())
}

/// The office's power to issue certificates, as its key file holds it.
pub(crate) struct Issuer {
    root: DeviceId,
    key: SecretKey,
    certificate: Signed<IssuingCertificate>,
}

impl Issuer {
    pub(crate) fn of(office: &Office) -> Self {
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
    pub(crate) fn elsewhere() -> Self {
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

    pub(crate) fn realm(&self) -> RealmId {
        RealmId::of_root(&self.root)
    }

    /// What a colleague shows.
    pub(crate) fn hello(&self, device: &SecretKey) -> Frame {
        hello(self.realm(), self.issue(device, now().minus(DAY), now().plus(DAY)))
    }

    /// A certificate for a device.
    pub(crate) fn issue(&self, device: &SecretKey, not_before: Wall, not_after: Wall) -> Certificate {
        let membership = Membership {
            realm: self.realm(),
            user: UserId([66; 16]),
            name: "dave".parse().unwrap(),
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

/// What somebody shows who has nothing but a key.
pub(crate) fn stranger(device: &SecretKey) -> Frame {
    let own = Certificate::self_signed(device, "mallory".parse().unwrap(), [0; 32], now()).unwrap();
    hello(RealmId::OPEN, own)
}

pub(crate) fn hello(realm: RealmId, certificate: Certificate) -> Frame {
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

/// Dials, shows a frame or nothing, and returns whether it was answered, and how long all that took.
pub(crate) async fn knock(key: &SecretKey, door: &Door, frame: Option<Frame>) -> (bool, Duration) {
    let begin = Instant::now();
    let (net, mut events) = Net::start(NetConfig::new(key.clone(), Vec::new())).unwrap();
    let target =
        DialTarget { device: Some(door.1), endpoints: vec![door.0], channel: Channel::Link, via: None };
    net.dial(DialId(1), target).unwrap();
    let talk = async {
        while let Some(event) = events.recv().await {
            match event {
                NetEvent::Opened(opened) => {
                    opened.link.admit();
                    if let Some(frame) = frame.clone() {
                        // A link that is closed already says so below.
                        opened.link.send(frame).ok();
                    }
                }
                NetEvent::Frame { frame, .. } => return frame.known() == Some(Kind::HelloAnswer),
                NetEvent::Closed { .. } | NetEvent::DialFailed(_) => return false,
                _ => {}
            }
        }
        false
    };
    let answered = tokio::time::timeout(Duration::from_secs(10), talk).await.unwrap_or(false);
    let took = begin.elapsed();
    net.shutdown().await;
    (answered, took)
}
