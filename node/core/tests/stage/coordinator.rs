//! A coordinator that does what a story tells it: signs in whoever comes, tells who is on, forgets on command.

use super::org::Org;
use lanchat_node_core::boot::LinkId;
use lanchat_proto::certificate::{Certificate, Revocation};
use lanchat_proto::codec::{BoundedVec, Text};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::signed::Signed;
use lanchat_proto::time::Wall;
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::coordinator::{
    Change, Delta, DirectoryMark, OnlineDevice, Profile, Refusal, Refused, Report, SignIn, SignedIn,
    Snapshot, Welcome,
};
use lanchat_proto::wire::link::Heartbeat;
use lanchat_proto::wire::reach::{Introduce, Introduced, Introduction, Knock, RelayTerms, Way};
use std::collections::BTreeMap;

pub const ADDRESS: &str = "192.168.1.250:7422";

/// The coordinator.
pub struct Coordinator {
    pub up: bool,
    pub welcome: Welcome,
    pub run: u64,
    pub number: u64,
    pub refuse: Option<Refusal>,
    /// Answers to nothing but sign-ins when set.
    pub mute: bool,
    /// Handed to whoever signs in next.
    pub renewed: Option<Certificate>,
    pub acts: Vec<Signed<Revocation>>,
    pub profiles: Vec<Profile>,
    pub online: BTreeMap<DeviceId, OnlineDevice>,
    pub links: BTreeMap<LinkId, DeviceId>,
    pub sign_ins: Vec<SignIn>,
    pub seen: Vec<(LinkId, Frame)>,
    /// Whether it carries circuits.
    pub relays: bool,
    /// Whether it sees no device leave, and takes one that comes back for the one that never left.
    pub blind: bool,
}

impl Coordinator {
    pub fn new(org: &Org) -> Self {
        Self {
            up: true,
            welcome: Welcome {
                versions: BoundedVec::first([1]),
                org: Text::new("stage").unwrap(),
                root: org.root.public(),
                issuing: org.issuing(),
                time: super::DAWN,
            },
            run: 1,
            number: 0,
            refuse: None,
            mute: false,
            renewed: None,
            acts: Vec::new(),
            profiles: Vec::new(),
            online: BTreeMap::new(),
            links: BTreeMap::new(),
            sign_ins: Vec::new(),
            seen: Vec::new(),
            relays: false,
            blind: false,
        }
    }

    pub fn stop(&mut self) {
        self.up = false;
        self.links.clear();
        self.online.clear();
    }

    pub fn start(&mut self) {
        self.up = true;
        self.run += 1;
        self.number = 0;
    }

    pub fn opened(&mut self, link: LinkId, device: DeviceId, wall: Wall) -> Vec<(LinkId, Frame)> {
        self.links.insert(link, device);
        let welcome = Welcome { time: wall, ..self.welcome.clone() };
        vec![(link, Frame::new(Kind::Welcome, &welcome).unwrap())]
    }

    pub fn frame(&mut self, link: LinkId, frame: &Frame, wall: Wall, _org: &Org) -> Vec<(LinkId, Frame)> {
        self.seen.push((link, frame.clone()));
        match frame.known() {
            Some(Kind::SignIn) => self.sign_in(link, &frame.decode().unwrap(), wall),
            Some(Kind::Report) => {
                let report: Report = frame.decode().unwrap();
                let Some(mut online) =
                    self.links.get(&link).and_then(|device| self.online.get(device)).cloned()
                else {
                    return Vec::new();
                };
                online.endpoints = report.report.endpoints;
                online.presence = report.report.presence;
                self.comes_on(online)
            }
            Some(Kind::AskSnapshot) => vec![self.snapshot(link)],
            Some(Kind::Heartbeat) => {
                let beat: Heartbeat = frame.decode().unwrap();
                let answer = Frame::new(Kind::Heartbeat, &Heartbeat { answer: false }).unwrap();
                if beat.answer { vec![(link, answer)] } else { Vec::new() }
            }
            Some(Kind::Goodbye) => self.closed(link, wall),
            Some(Kind::Introduce) => self.introduce(link, frame.decode().unwrap()),
            _ => Vec::new(),
        }
    }

    fn introduce(&self, link: LinkId, asked: Introduce) -> Vec<(LinkId, Frame)> {
        let there = self.links.iter().find(|(_, device)| **device == asked.device);
        let outcome = match (asked.way, there) {
            (_, None) => Introduced::NotOn,
            (Way::Circuit, Some(_)) if !self.relays => Introduced::NoRelay,
            (_, Some(_)) => Introduced::Yes,
        };
        let answer = Introduction { request: asked.request, outcome, wait_ms: 100 };
        let mut frames = vec![(link, Frame::new(Kind::Introduction, &answer).unwrap())];
        if let (Way::DialBack, Some((to, _))) = (asked.way, there) {
            let device = self.online[&self.links[&link]].clone();
            frames.push((*to, Frame::new(Kind::Knock, &Knock { device }).unwrap()));
        }
        frames
    }

    fn sign_in(&mut self, link: LinkId, sign_in: &SignIn, wall: Wall) -> Vec<(LinkId, Frame)> {
        self.sign_ins.push(sign_in.clone());
        if let Some(refusal) = self.refuse {
            let refused = Refused { request: sign_in.request, code: refusal.number(), retry_after_ms: 0 };
            return vec![(link, Frame::new(Kind::Refused, &refused).unwrap())];
        }
        let device = self.links[&link];
        let online = OnlineDevice {
            device,
            user: sign_in.certificate.membership.peek().unwrap().user,
            endpoints: sign_in.report.endpoints.clone(),
            host: sign_in.report.host,
            presence: sign_in.report.presence,
        };
        let has = sign_in.revocations.first().map_or(0, |head| head.number);
        let acts = self.acts.iter().skip(usize::try_from(has).unwrap()).cloned();
        let signed_in = SignedIn {
            request: sign_in.request,
            version: 1,
            run: self.run,
            time: wall,
            renewed: self.renewed.take(),
            revocations: BoundedVec::first(acts),
            observed: Endpoint::new("192.168.1.1:1".parse().unwrap()),
        };
        let mut frames = vec![(link, Frame::new(Kind::SignedIn, &signed_in).unwrap())];
        if self.relays {
            let terms = RelayTerms { per_user: 1, total: 2 };
            frames.push((link, Frame::new(Kind::RelayTerms, &terms).unwrap()));
        }
        frames.extend(self.directory(link));
        let news = self.comes_on(online);
        frames.push(self.snapshot(link));
        frames.extend(news.into_iter().filter(|(to, _)| *to != link));
        frames
    }

    pub fn directory(&self, link: LinkId) -> Vec<(LinkId, Frame)> {
        let pages = self.profiles.chunks(2).count().max(1);
        let mark = DirectoryMark { generation: 7, version: u64::try_from(self.profiles.len()).unwrap() };
        (0..pages)
            .map(|page| {
                let profiles = self.profiles.iter().skip(page * 2).take(2).cloned();
                let directory = lanchat_proto::wire::coordinator::Directory {
                    mark,
                    fresh: page == 0,
                    last: page + 1 == pages,
                    profiles: BoundedVec::first(profiles),
                };
                (link, Frame::new(Kind::Directory, &directory).unwrap())
            })
            .collect()
    }

    fn snapshot(&self, link: LinkId) -> (LinkId, Frame) {
        let snapshot = Snapshot {
            run: self.run,
            number: self.number,
            first: true,
            last: true,
            devices: BoundedVec::first(self.online.values().cloned()),
        };
        (link, Frame::new(Kind::Snapshot, &snapshot).unwrap())
    }

    fn comes_on(&mut self, online: OnlineDevice) -> Vec<(LinkId, Frame)> {
        if self.blind && self.online.contains_key(&online.device) {
            return Vec::new();
        }
        self.online.insert(online.device, online.clone());
        self.delta(Change::Online(online))
    }

    /// The next delta, for everybody who is signed in.
    pub fn delta(&mut self, change: Change) -> Vec<(LinkId, Frame)> {
        self.number += 1;
        let delta = Delta { run: self.run, number: self.number, changes: BoundedVec::first([change]) };
        let signed_in = self.links.iter().filter(|(_, device)| self.online.contains_key(device));
        signed_in.map(|(link, _)| (*link, Frame::new(Kind::Delta, &delta).unwrap())).collect()
    }

    pub fn says_offline(&mut self, device: DeviceId, wall: Wall) -> Vec<(LinkId, Frame)> {
        self.online.remove(&device);
        self.delta(Change::Offline { device, last_seen: wall })
    }

    pub fn closed(&mut self, link: LinkId, wall: Wall) -> Vec<(LinkId, Frame)> {
        match self.links.remove(&link) {
            _ if self.blind => Vec::new(),
            Some(device) if self.online.contains_key(&device) => self.says_offline(device, wall),
            _ => Vec::new(),
        }
    }
}
