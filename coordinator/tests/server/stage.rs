//! The stage: coordinators in temporary directories, clients, the command line.

use lanchat_coordinator::{Config, Registration, Server};
use lanchat_net::{
    Channel, DialId, DialTarget, Link, Net, NetConfig, NetEvent, NetHandle, Opened, RelayRole,
};
use lanchat_proto::certificate::Certificate;
use lanchat_proto::codec::{BoundedVec, Text};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{Epoch, RealmId};
use lanchat_proto::join::JoinLink;
use lanchat_proto::names::DisplayName;
use lanchat_proto::signed::SecretKey;
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::coordinator::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Longest wait for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) fn config(dir: &Path) -> Config {
    let mut config = Config::new(dir.to_owned());
    config.listen = vec!["127.0.0.1:0".parse().unwrap()];
    config.admin = Some("127.0.0.1:0".parse().unwrap());
    config.registration = Some(Registration::Invite);
    config.org = Some("Büro".into());
    config.mdns = false;
    config
}

pub(crate) async fn start(dir: &Path) -> Server {
    Server::bind(config(dir)).await.unwrap()
}

/// Runs the command line beside the running coordinator.
pub(crate) async fn command(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanchat-coordinator"));
    command.args(arguments).arg("--data-dir").arg(dir);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// As [`command`] with `--json`, and the command must succeed.
pub(crate) async fn json(dir: &Path, arguments: &[&str]) -> serde_json::Value {
    let mut all = arguments.to_vec();
    all.push("--json");
    let output = command(dir, &all).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub(crate) struct Client {
    pub(crate) net: NetHandle,
    events: mpsc::Receiver<NetEvent>,
    link: Option<Link>,
    inbox: Vec<Frame>,
    /// What happened beside the link to the coordinator.
    aside: Vec<NetEvent>,
    pub(crate) key: SecretKey,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) realm: RealmId,
    pub(crate) invite: String,
    pub(crate) closed: bool,
}

impl Client {
    /// Connects by the coordinator's join link.
    pub(crate) async fn connect(server: &Server, seed: u8) -> Self {
        let key = SecretKey::from_seed(&[seed; 32]);
        let mut config = NetConfig::new(key.clone(), vec![Channel::Link]);
        config.relay = RelayRole::Client;
        let (net, events) = Net::start(config).unwrap();
        let mut client = Self {
            net,
            events,
            link: None,
            inbox: Vec::new(),
            aside: Vec::new(),
            key,
            certificate: None,
            realm: RealmId::OPEN,
            invite: String::new(),
            closed: false,
        };
        client.reconnect(server).await;
        client
    }

    pub(crate) async fn reconnect(&mut self, server: &Server) {
        let join: JoinLink = server.join_link().parse().unwrap();
        self.realm = join.realm;
        self.invite = join.invite.unwrap_or_default();
        self.closed = false;
        self.aside.clear();
        let endpoints = join.addresses.iter().map(|a| Endpoint::new(a.parse().unwrap())).collect();
        let target = DialTarget {
            device: Some(join.coordinator),
            endpoints,
            channel: Channel::Coordinator,
            via: None,
        };
        self.net.dial(DialId(1), target).unwrap();
        let link = loop {
            match timeout(DEADLINE, self.events.recv()).await.unwrap().unwrap() {
                NetEvent::Opened(opened) => break opened.link,
                NetEvent::DialFailed(failure) => panic!("{failure:?}"),
                _ => {}
            }
        };
        // The coordinator's key is pinned by the join link: nothing else has to be proved here.
        link.admit();
        self.link = Some(link);
        self.inbox.clear();
        let _: Welcome = self.hear(Kind::Welcome).await;
    }

    pub(crate) fn say<T: Serialize>(&self, kind: Kind, value: &T) {
        self.link.as_ref().unwrap().send(Frame::new(kind, value).unwrap()).unwrap();
    }

    /// Waits for the next event; `false` when the link is gone.
    async fn step(&mut self) -> bool {
        let own = self.link.as_ref().map(Link::id);
        match timeout(DEADLINE, self.events.recv()).await.expect("in time").expect("net") {
            NetEvent::Frame { link, frame } if Some(link) == own => self.inbox.push(frame),
            NetEvent::Closed { link, .. } if Some(link) == own => self.closed = true,
            other => self.aside.push(other),
        }
        !self.closed
    }

    /// Waits for something that happens beside the link to the coordinator.
    pub(crate) async fn notice<T>(&mut self, wanted: impl Fn(&NetEvent) -> Option<T>) -> T {
        loop {
            if let Some(at) = self.aside.iter().position(|event| wanted(event).is_some()) {
                return wanted(&self.aside.remove(at)).unwrap();
            }
            assert!(self.step().await, "closed while waiting");
        }
    }

    /// Waits for a link with another device.
    pub(crate) async fn opened(&mut self) -> Opened {
        self.notice(|event| match event {
            NetEvent::Opened(opened) => Some(opened.clone()),
            _ => None,
        })
        .await
    }

    /// Waits for a circuit that fails.
    pub(crate) async fn dial_failed(&mut self) {
        self.notice(|event| matches!(event, NetEvent::DialFailed(_)).then_some(())).await;
    }

    /// Waits for the end of a link with another device.
    pub(crate) async fn link_closed(&mut self, link: &Link) {
        let id = link.id();
        self.notice(|event| matches!(event, NetEvent::Closed { link, .. } if *link == id).then_some(()))
            .await;
    }

    /// Asks the coordinator to pass on circuits; whether it does.
    pub(crate) async fn reserve(&mut self, server: &Server) -> bool {
        let relay = server.info().device;
        self.net.reserve(relay, server.info().endpoints[0]);
        self.notice(|event| match event {
            NetEvent::Reserved { relay: by } if *by == relay => Some(true),
            NetEvent::ReservationLost { .. } => Some(false),
            _ => None,
        })
        .await
    }

    /// Dials another device through the coordinator.
    pub(crate) fn dial_through(&self, server: &Server, other: &Self) {
        let target = DialTarget {
            device: Some(other.key.public()),
            endpoints: vec![server.info().endpoints[0]],
            channel: Channel::Link,
            via: Some(server.info().device),
        };
        self.net.dial(DialId(2), target).unwrap();
    }

    /// Waits for a frame of this kind.
    pub(crate) async fn hear<T: DeserializeOwned>(&mut self, kind: Kind) -> T {
        loop {
            if let Some(at) = self.inbox.iter().position(|frame| frame.kind == kind.number()) {
                return self.inbox.remove(at).decode().unwrap();
            }
            assert!(self.step().await, "closed while waiting for {kind:?}");
        }
    }

    pub(crate) async fn refusal(&mut self) -> Refusal {
        let refused: Refused = self.hear(Kind::Refused).await;
        Refusal::from_number(refused.code)
    }

    /// Waits until the coordinator closes the link.
    pub(crate) async fn until_closed(&mut self) {
        while self.step().await {}
    }

    pub(crate) fn ask_register(&self, name: &str) {
        let register = Register {
            request: 1,
            user: name.parse().unwrap(),
            display_name: DisplayName::parse(name).unwrap(),
            proof: PasswordProof([7; 32]),
            invite: Text::new(self.invite.clone()).unwrap(),
            sealing: [1; 32],
        };
        self.say(Kind::Register, &register);
    }

    pub(crate) fn ask_login(&self, name: &str, proof: [u8; 32]) {
        let user = name.parse().unwrap();
        self.say(Kind::Login, &Login { request: 2, user, proof: PasswordProof(proof), sealing: [1; 32] });
    }

    pub(crate) async fn enrolled(&mut self) -> Enrolled {
        let enrolled: Enrolled = self.hear(Kind::Enrolled).await;
        self.certificate = Some(enrolled.certificate.clone());
        enrolled
    }

    pub(crate) fn ask_sign_in(&self) {
        let sign_in = SignIn {
            request: 3,
            versions: BoundedVec::first([1]),
            realm: self.realm,
            certificate: self.certificate.clone().unwrap(),
            chain: BoundedVec::empty(),
            epoch: Epoch(1),
            directory: DirectoryMark::default(),
            revocations: BoundedVec::empty(),
            report: DeviceReport {
                endpoints: BoundedVec::first([Endpoint::new("127.0.0.1:7420".parse().unwrap())]),
                ..DeviceReport::default()
            },
        };
        self.say(Kind::SignIn, &sign_in);
    }

    pub(crate) async fn sign_in(&mut self) -> SignedIn {
        self.ask_sign_in();
        self.hear(Kind::SignedIn).await
    }

    /// Connects, registers and signs in.
    pub(crate) async fn member(server: &Server, seed: u8, name: &str) -> Self {
        let mut client = Self::connect(server, seed).await;
        client.ask_register(name);
        client.enrolled().await;
        client.sign_in().await;
        client
    }
}
