//! A small stage: a coordinator whose disk and clock the test holds, and nodes that say and hear frames.

use lanchat_coordinator_core::record::{Change, Loaded};
use lanchat_coordinator_core::{
    AdminCommand, AdminError, AdminResult, Boot, Config, CoordinatorState, DialId, Input, Keys, LinkId,
    Output, Registration, sign_issuing,
};
use lanchat_proto::certificate::{Certificate, Endorsement};
use lanchat_proto::codec::{BoundedVec, Text};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{DeviceId, Epoch, RealmId, UserId};
use lanchat_proto::names::DisplayName;
use lanchat_proto::signed::{SecretKey, Signed};
use lanchat_proto::time::{Mono, Now, Wall};
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::coordinator::*;
use lanchat_proto::wire::reach::RelayTerms;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const START: Wall = Wall(1_800_000_000_000);

pub(crate) const TERMS: RelayTerms = RelayTerms { per_user: 2_000_000, total: 20_000_000 };

/// A node as the coordinator meets it.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) key: SecretKey,
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) link: LinkId,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) user: Option<UserId>,
    pub(crate) epoch: Epoch,
    pub(crate) mark: DirectoryMark,
    pub(crate) heads: Vec<lanchat_proto::certificate::RevocationHead>,
}

impl Node {
    pub(crate) fn device(&self) -> DeviceId {
        self.key.public()
    }

    /// The password of a user is its name, unless a test says otherwise.
    pub(crate) fn proof(&self) -> PasswordProof {
        proof(&self.name)
    }
}

pub(crate) fn proof(password: &str) -> PasswordProof {
    let mut proof = [0; 32];
    for (to, from) in proof.iter_mut().zip(password.bytes()) {
        *to = from;
    }
    PasswordProof(proof)
}

/// Applies changes as a store would.
pub(crate) fn write(disk: &mut Loaded, changes: &[Change]) {
    for change in changes {
        match change.clone() {
            Change::Account(account) => {
                disk.accounts.retain(|old| old.user != account.user);
                disk.accounts.push(*account);
            }
            Change::LastSeen { user, at } => {
                disk.accounts.iter_mut().filter(|a| a.user == user).for_each(|a| a.last_seen = at);
            }
            Change::Device(device) => {
                disk.devices.retain(|old| old.device != device.device);
                disk.devices.push(*device);
            }
            Change::Serial(serial) => disk.serial = serial,
            Change::Act(act) => disk.acts.push(act),
            Change::Invite(invite) => {
                disk.invites.retain(|old| old.code != invite.code);
                disk.invites.push(invite);
            }
            Change::InviteGone(code) => disk.invites.retain(|old| old.code != code),
            Change::Announcement(announcement) => disk.announcements.push(announcement),
            Change::AnnouncementGone(number) => disk.announcements.retain(|old| old.number != number),
            Change::Avatar { .. } => {}
        }
    }
}

pub(crate) struct Office {
    pub(crate) state: CoordinatorState,
    pub(crate) now: Now,
    pub(crate) disk: Loaded,
    pub(crate) avatars: BTreeMap<UserId, Vec<u8>>,
    /// `None` answers at once; with `Some`, the test answers.
    pub(crate) held: Option<Vec<(u64, Vec<Change>)>>,
    pub(crate) inbox: BTreeMap<LinkId, Vec<Arc<Frame>>>,
    pub(crate) closed: BTreeSet<LinkId>,
    pub(crate) admitted: BTreeSet<LinkId>,
    /// Dials that are under way: whom, where.
    pub(crate) dials: Vec<(DialId, DeviceId, Endpoint)>,
    answers: BTreeMap<u64, Result<AdminResult, AdminError>>,
    config: Config,
    issuing: u8,
    next: u64,
}

fn keys(issuing: u8) -> Keys {
    let root = SecretKey::from_seed(&[1; 32]);
    let coordinator = SecretKey::from_seed(&[3; 32]).public();
    let issuing = SecretKey::from_seed(&[issuing; 32]);
    let certificate = sign_issuing(&root, &issuing.public(), &coordinator, START).unwrap();
    Keys { issuing, certificate, root: root.public(), coordinator, salt: [4; 32] }
}

impl Office {
    pub(crate) fn new(registration: Registration) -> Self {
        Self::with(Config { org: Text::new("Office").unwrap(), registration, relay: None })
    }

    /// Where circuits are carried.
    pub(crate) fn with_relay() -> Self {
        let relay = Some(TERMS);
        Self::with(Config { org: Text::new("Office").unwrap(), registration: Registration::Invite, relay })
    }

    fn with(config: Config) -> Self {
        let disk = Loaded { generation: 77, ..Loaded::default() };
        Self::boot(config, disk, Now { mono: Mono(Duration::ZERO), wall: START }, 2)
    }

    fn boot(config: Config, disk: Loaded, now: Now, issuing: u8) -> Self {
        let boot = Boot {
            config: config.clone(),
            keys: keys(issuing),
            seed: [9; 32],
            run: now.wall.0,
            stored: disk.clone(),
        };
        let mut office = Self {
            state: CoordinatorState::new(boot, now).unwrap(),
            now,
            disk,
            avatars: BTreeMap::new(),
            held: None,
            inbox: BTreeMap::new(),
            closed: BTreeSet::new(),
            admitted: BTreeSet::new(),
            dials: Vec::new(),
            answers: BTreeMap::new(),
            config,
            issuing,
            next: 1,
        };
        office.settle();
        office
    }

    /// Ends without a word and starts again from the disk.
    pub(crate) fn crash(self) -> Self {
        Self::boot(self.config, self.disk, self.now, self.issuing)
    }

    /// Starts again from this disk with another issuing key.
    pub(crate) fn restored(self, disk: Loaded, issuing: u8) -> Self {
        let now = Now { wall: self.now.wall.plus(Duration::from_secs(1)), ..self.now };
        Self::boot(self.config, disk, now, issuing)
    }

    pub(crate) fn realm(&self) -> RealmId {
        keys(self.issuing).realm()
    }

    pub(crate) fn issuer(&self) -> DeviceId {
        keys(self.issuing).issuer()
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.state.handle_input(input, self.now);
        self.settle();
    }

    /// Carries out what the machine wants until it wants nothing.
    pub(crate) fn settle(&mut self) {
        while let Some(output) = self.state.poll_output() {
            match output {
                Output::Send { link, frame } => {
                    assert!(!self.closed.contains(&link), "{frame:?} to a closed link");
                    self.inbox.entry(link).or_default().push(frame);
                }
                Output::Admit { link, .. } => {
                    self.admitted.insert(link);
                }
                Output::Dial { dial, device, endpoint } => self.dials.push((dial, device, endpoint)),
                Output::Close { link, .. } => {
                    self.closed.insert(link);
                }
                Output::Persist { id, changes } => match &mut self.held {
                    Some(held) => held.push((id, changes)),
                    None => self.store(id, &changes),
                },
                Output::ReadAvatar { link, request, user } => {
                    let picture = self.avatars.get(&user).cloned().unwrap_or_default();
                    self.state.handle_input(Input::AvatarRead { link, request, user, picture }, self.now);
                }
                Output::AdminAnswer { request, result } => {
                    self.answers.insert(request, result);
                }
                Output::Notice(_) => {}
            }
        }
    }

    fn store(&mut self, id: u64, changes: &[Change]) {
        write(&mut self.disk, changes);
        for change in changes {
            if let Change::Avatar { user, picture } = change {
                self.avatars.insert(*user, picture.clone());
            }
        }
        self.state.handle_input(Input::Stored { id }, self.now);
    }

    /// The disk takes what was held.
    pub(crate) fn release(&mut self) {
        for (id, changes) in self.held.take().unwrap_or_default() {
            self.store(id, &changes);
        }
        self.settle();
    }

    /// The disk refuses what was held.
    pub(crate) fn fail(&mut self) {
        for (id, _) in self.held.take().unwrap_or_default() {
            self.state.handle_input(Input::StoreFailed { id }, self.now);
        }
        self.settle();
    }

    /// Lets time pass, timer by timer.
    pub(crate) fn wait(&mut self, duration: Duration) {
        let end = self.now.mono.plus(duration);
        while let Some((at, _)) = self.state.poll_timeout().filter(|(at, _)| *at <= end) {
            let step = at.since(self.now.mono);
            self.now = Now { mono: self.now.mono.plus(step), wall: self.now.wall.plus(step) };
            self.state.handle_timeout(self.now);
            self.settle();
        }
        let step = end.since(self.now.mono);
        self.now = Now { mono: end, wall: self.now.wall.plus(step) };
    }

    pub(crate) fn tick(&mut self) {
        self.wait(Duration::from_millis(60));
    }

    /// Lets time pass while these nodes give signs of life.
    pub(crate) fn wait_with(&mut self, duration: Duration, alive: &[&Node]) {
        let mut left = duration;
        while left > Duration::ZERO {
            let step = left.min(Duration::from_secs(4));
            self.wait(step);
            let beat = lanchat_proto::wire::link::Heartbeat { answer: false };
            alive.iter().for_each(|node| self.say(node, Kind::Heartbeat, &beat));
            left -= step;
        }
    }

    pub(crate) fn node(&mut self, name: &str) -> Node {
        self.next += 1;
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&(self.next + 1000).to_le_bytes());
        let mut node = Node {
            key: SecretKey::from_seed(&seed),
            name: name.to_owned(),
            address: format!("192.168.1.{}:50000", self.next % 250),
            link: LinkId(0),
            certificate: None,
            user: None,
            epoch: Epoch(self.next),
            mark: DirectoryMark::default(),
            heads: Vec::new(),
        };
        self.connect(&mut node);
        node
    }

    /// Connects (again) on a new link.
    pub(crate) fn connect(&mut self, node: &mut Node) {
        self.next += 1;
        node.link = LinkId(self.next);
        let remote = Endpoint::new(node.address.parse().unwrap());
        self.input(Input::Opened { link: node.link, device: node.device(), remote, dial: None });
    }

    pub(crate) fn say<T: Serialize>(&mut self, node: &Node, kind: Kind, value: &T) {
        let frame = Frame::new(kind, value).unwrap();
        self.input(Input::Frame { link: node.link, frame });
    }

    /// Everything of this kind that the node heard and nobody asked for yet.
    pub(crate) fn heard<T: DeserializeOwned>(&mut self, node: &Node, kind: Kind) -> Vec<T> {
        let inbox = self.inbox.entry(node.link).or_default();
        let (got, rest): (Vec<_>, Vec<_>) = inbox.drain(..).partition(|f| f.kind == kind.number());
        *inbox = rest;
        got.iter().map(|frame| frame.decode().unwrap()).collect()
    }

    pub(crate) fn refusal(&mut self, node: &Node) -> Option<Refusal> {
        self.heard::<Refused>(node, Kind::Refused).last().map(|refused| Refusal::from_number(refused.code))
    }

    pub(crate) fn invite(&self) -> String {
        self.state.standing_invite().unwrap_or_default().to_owned()
    }

    pub(crate) fn ask_register(&mut self, node: &Node, invite: &str) {
        let register = Register {
            request: 1,
            user: node.name.parse().unwrap(),
            display_name: DisplayName::parse(&node.name).unwrap(),
            proof: node.proof(),
            invite: Text::new(invite).unwrap(),
            sealing: [5; 32],
        };
        self.say(node, Kind::Register, &register);
    }

    /// Registers with the standing invite.
    pub(crate) fn register(&mut self, node: &mut Node) -> Enrolled {
        let invite = self.invite();
        self.ask_register(node, &invite);
        self.enrolled(node)
    }

    pub(crate) fn ask_login(&mut self, node: &Node, password: &str) {
        let user = node.name.parse().unwrap();
        let login = Login { request: 2, user, proof: proof(password), sealing: [5; 32] };
        self.say(node, Kind::Login, &login);
    }

    pub(crate) fn login(&mut self, node: &mut Node) -> Enrolled {
        let password = node.name.clone();
        self.ask_login(node, &password);
        self.enrolled(node)
    }

    pub(crate) fn enrolled(&mut self, node: &mut Node) -> Enrolled {
        let enrolled: Enrolled = self.heard(node, Kind::Enrolled).pop().expect("enrolled");
        node.certificate = Some(enrolled.certificate.clone());
        node.user = Some(enrolled.user);
        enrolled
    }

    pub(crate) fn sign_in_with(&self, node: &Node) -> SignIn {
        let (user, device) = (node.user.unwrap(), node.device());
        let endorsement = Endorsement { realm: self.realm(), user, device, by: device, at: START };
        let port = format!("{}:7420", node.address.split(':').next().unwrap());
        SignIn {
            request: 3,
            versions: BoundedVec::first([1]),
            realm: self.realm(),
            certificate: node.certificate.clone().unwrap(),
            chain: BoundedVec::first([Signed::sign(&endorsement, &node.key).unwrap()]),
            epoch: node.epoch,
            directory: node.mark,
            revocations: BoundedVec::first(node.heads.clone()),
            report: DeviceReport {
                endpoints: BoundedVec::first([Endpoint::new(port.parse().unwrap())]),
                ..DeviceReport::default()
            },
        }
    }

    pub(crate) fn ask_sign_in(&mut self, node: &Node) {
        let sign_in = self.sign_in_with(node);
        self.say(node, Kind::SignIn, &sign_in);
    }

    /// Signs in and waits for a tick, so that directory and snapshot are there.
    pub(crate) fn sign_in(&mut self, node: &Node) -> SignedIn {
        self.ask_sign_in(node);
        let signed_in = self.heard(node, Kind::SignedIn).pop().expect("signed in");
        self.tick();
        signed_in
    }

    /// Registers, signs in, and has everybody told.
    pub(crate) fn member(&mut self, name: &str) -> Node {
        let mut node = self.node(name);
        self.register(&mut node);
        self.sign_in(&node);
        node
    }

    pub(crate) fn admin(&mut self, command: AdminCommand) -> Result<AdminResult, AdminError> {
        let request = self.ask_admin(command);
        self.answer(request).expect("an answer")
    }

    pub(crate) fn ask_admin(&mut self, command: AdminCommand) -> u64 {
        self.next += 1;
        let request = self.next;
        self.input(Input::Admin { request, command });
        request
    }

    pub(crate) fn answer(&mut self, request: u64) -> Option<Result<AdminResult, AdminError>> {
        self.answers.remove(&request)
    }
}
