//! Links to other nodes: the hello of both ends, signs of life, the end.
//!
//! Keeps true: nothing is told to a device before its hello was accepted, and a link is up only from then on; whoever
//! is refused is told nothing at all. A link that was silent for `LINK_DEAD` is gone. Goes in: opened streams, frames,
//! time. Goes out: frames, `Admit`, `Close`. The rules: `docs/protocol.md#link`.

use crate::boot::{DialId, LinkId};
use crate::limits::{LINK_ANSWER, MAX_LINKS_PER_DEVICE, MAX_PENDING_LINKS};
use crate::output::Output;
use crate::state::NodeState;
use crate::sync::LinkSync;
use crate::timers::Timer;
use crate::view::Route;
use lanchat_proto::certificate::{CertificateError, Member, check_chain};
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::limits::{HEARTBEAT, HELLO_DEADLINE, LINK_DEAD, LINK_SUSPECT, PROBE};
use lanchat_proto::time::Mono;
use lanchat_proto::version::Version;
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::link::{Goodbye, GoodbyeReason, Heartbeat, Hello, HelloAnswer, Renewed};
use std::collections::BTreeMap;

/// How far a link is.
#[derive(Clone, Debug)]
pub(crate) enum Phase {
    /// The dialler has said hello and waits for the answer.
    AwaitAnswer,
    /// The listener waits for the hello.
    AwaitHello,
    /// Both have accepted.
    Up(Box<Member>),
}

/// A link to a device.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) device: DeviceId,
    pub(crate) dialler: bool,
    /// The other's address; the relay's, on a relayed link.
    pub(crate) remote: Endpoint,
    /// Whether the coordinator carries it.
    pub(crate) relayed: bool,
    pub(crate) phase: Phase,
    /// Rises with every link that came up, for the rule about duplicates.
    pub(crate) age: u64,
    pub(crate) heard: Mono,
    pub(crate) sent: Mono,
    /// Whether a sign of life was asked for since the last byte.
    asked: bool,
    /// Whether nothing came since the network changed under it.
    doubted: bool,
    /// Whether a byte came since the link got a duplicate.
    pub(crate) confirmed: bool,
    pub(crate) sync: LinkSync,
}

impl Link {
    /// The member at the other end, once the hello was accepted.
    pub(crate) fn member(&self) -> Option<&Member> {
        match &self.phase {
            Phase::Up(member) => Some(member),
            Phase::AwaitAnswer | Phase::AwaitHello => None,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.member().is_some()
    }

    /// Whether nothing came for so long that other ways are tried.
    pub(crate) fn is_suspect(&self, now: Mono) -> bool {
        self.doubted || now.since(self.heard) >= LINK_SUSPECT
    }

    /// How the link reaches the device.
    pub(crate) fn route(&self) -> Route {
        if self.relayed { Route::Relay } else { Route::Direct }
    }
}

/// All links between nodes.
#[derive(Clone, Default)]
pub(crate) struct Links {
    pub(crate) all: BTreeMap<LinkId, Link>,
    ages: u64,
}

impl Links {
    pub(crate) fn get(&self, link: LinkId) -> Option<&Link> {
        self.all.get(&link)
    }

    pub(crate) fn get_mut(&mut self, link: LinkId) -> Option<&mut Link> {
        self.all.get_mut(&link)
    }

    /// Every link to a device, accepted or not.
    pub(crate) fn of_device(&self, device: &DeviceId) -> impl Iterator<Item = (LinkId, &Link)> {
        let device = *device;
        self.all.iter().filter(move |(_, link)| link.device == device).map(|(id, link)| (*id, link))
    }

    pub(crate) fn up(&self) -> impl Iterator<Item = (LinkId, &Link, &Member)> {
        self.all.iter().filter_map(|(id, link)| link.member().map(|member| (*id, link, member)))
    }

    pub(crate) fn sent(&mut self, link: LinkId, now: Mono) {
        if let Some(link) = self.all.get_mut(&link) {
            link.sent = now;
        }
    }
}

impl NodeState {
    pub(crate) fn link_opened(
        &mut self,
        link: LinkId,
        device: DeviceId,
        dialler: bool,
        remote: Endpoint,
        relayed: bool,
        dial: Option<DialId>,
    ) {
        self.dial_opened(dial, remote, relayed);
        let pending = self.links.all.values().filter(|link| !link.is_up()).count();
        let too_many = self.links.of_device(&device).count() >= MAX_LINKS_PER_DEVICE;
        if device == self.me.device || too_many || (!dialler && pending >= MAX_PENDING_LINKS) {
            self.out.push_back(Output::Close { link, after_flush: false });
            return;
        }
        let phase = if dialler { Phase::AwaitAnswer } else { Phase::AwaitHello };
        let now = self.now.mono;
        let sync = LinkSync::default();
        let (age, asked, confirmed) = (0, false, true);
        self.links.all.insert(
            link,
            Link {
                device,
                dialler,
                remote,
                relayed,
                phase,
                age,
                heard: now,
                sent: now,
                asked,
                doubted: false,
                confirmed,
                sync,
            },
        );
        self.timers.set(Timer::Hello(link), self.after(HELLO_DEADLINE));
        if dialler {
            let hello = self.hello();
            self.post(link, Frame::new(Kind::Hello, &hello));
        }
    }

    /// What this device presents of itself.
    fn hello(&self) -> Hello {
        Hello {
            realm: self.me.realm,
            versions: BoundedVec::first(Version::offered()),
            certificate: self.me.certificate.clone(),
            chain: self.me.chain.clone(),
            epoch: self.me.epoch,
            revocations: BoundedVec::first(self.revoked.heads()),
            time: self.wall(),
        }
    }

    /// Judges what a device presents of itself.
    fn judge(&self, hello: &Hello, device: &DeviceId) -> Result<Member, CertificateError> {
        if hello.realm != self.me.realm {
            return Err(CertificateError::Realm);
        }
        let member = hello.certificate.check(&self.me.realm, device, self.wall(), self.revoked.folded())?;
        if !hello.chain.is_empty() {
            check_chain(&hello.chain, &self.me.realm, &member.membership.user, device)?;
        }
        match self.peers.user_of(device) {
            Some(user) if user != member.membership.user => Err(CertificateError::Device),
            Some(_) | None => Ok(member),
        }
    }

    pub(crate) fn link_frame(&mut self, id: LinkId, frame: &Frame) {
        let now = self.now.mono;
        let Some(link) = self.links.get_mut(id) else { return };
        link.heard = now;
        link.asked = false;
        link.confirmed = true;
        link.doubted = false;
        let device = link.device;
        let fine = match link.phase {
            Phase::AwaitHello => self.hello_came(id, device, frame),
            Phase::AwaitAnswer => self.answer_came(id, device, frame),
            Phase::Up(_) => self.up_frame(id, frame),
        };
        if fine.is_none() {
            self.close(id, false);
        } else {
            self.settle_duplicates(&device);
        }
    }

    fn hello_came(&mut self, id: LinkId, device: DeviceId, frame: &Frame) -> Option<()> {
        let hello: Hello = (frame.known() == Some(Kind::Hello)).then(|| frame.decode().ok())??;
        let version = Version::choose(&hello.versions)?;
        let member = self.judge(&hello, &device).ok()?;
        self.out.push_back(Output::Admit { link: id });
        let answer = HelloAnswer { version: version.number(), hello: self.hello() };
        self.post(id, Frame::new(Kind::HelloAnswer, &answer));
        self.link_up(id, member, &hello);
        Some(())
    }

    fn answer_came(&mut self, id: LinkId, device: DeviceId, frame: &Frame) -> Option<()> {
        let answer: HelloAnswer =
            (frame.known() == Some(Kind::HelloAnswer)).then(|| frame.decode().ok())??;
        Version::choose(&[answer.version])?;
        let member = self.judge(&answer.hello, &device).ok()?;
        self.out.push_back(Output::Admit { link: id });
        self.link_up(id, member, &answer.hello);
        Some(())
    }

    fn link_up(&mut self, id: LinkId, member: Member, hello: &Hello) {
        self.links.ages += 1;
        let age = self.links.ages;
        let Some(link) = self.links.get_mut(id) else { return };
        let (device, remote, dialler, relayed) = (link.device, link.remote, link.dialler, link.relayed);
        link.phase = Phase::Up(Box::new(member.clone()));
        link.age = age;
        self.timers.cancel(Timer::Hello(id));
        self.timers.set(Timer::Beat(id), self.after(HEARTBEAT));
        self.clock.peer_says(device, hello.time, self.now.wall);
        self.warn_of_clock();
        let endpoint = if relayed { None } else { self.good_endpoint(&device, remote, dialler) };
        self.note_device(device, &member, &hello.certificate, &hello.chain, endpoint);
        self.way_found(&device, relayed);
        self.send_missing_revocations(id, &hello.revocations);
        self.link_added(id, device);
    }

    /// A frame on a link that is up. `None`: it breaks the protocol, the link is closed.
    fn up_frame(&mut self, id: LinkId, frame: &Frame) -> Option<()> {
        let Some(kind) = frame.known() else { return Some(()) };
        match kind {
            Kind::Heartbeat => {
                let beat: Heartbeat = frame.decode().ok()?;
                if beat.answer {
                    self.post(id, Frame::new(Kind::Heartbeat, &Heartbeat { answer: false }));
                }
            }
            Kind::Goodbye => {
                let goodbye: Goodbye = frame.decode().ok()?;
                self.goodbye_came(id, goodbye.reason);
            }
            Kind::Digests => self.digests_came(id, &frame.decode().ok()?),
            Kind::Heads => self.heads_came(id, &frame.decode().ok()?),
            Kind::Entries => self.entries_came(id, frame.decode().ok()?)?,
            Kind::Acknowledge => self.acknowledge_came(id, &frame.decode().ok()?),
            Kind::States => self.states_came(id, &frame.decode().ok()?),
            Kind::Revocations => self.revocations_came(Some(id), &frame.decode().ok()?),
            Kind::Renewed => self.renewed_came(id, &frame.decode().ok()?)?,
            Kind::DialMe => self.dial_me_came(id, &frame.decode().ok()?),
            Kind::DialledYou => self.dialled_you_came(id, &frame.decode().ok()?),
            Kind::BlobReady => self.ready_came(id, &frame.decode().ok()?),
            _ => return None,
        }
        Some(())
    }

    /// Takes a renewed certificate of the other end, or an endorsement of this device by an older one of its user.
    fn renewed_came(&mut self, id: LinkId, renewed: &Renewed) -> Option<()> {
        let device = self.links.get(id)?.device;
        let about = renewed.certificate.check_ever(&self.me.realm).ok()?;
        if about.membership.device == self.me.device {
            self.endorsed_by(device, renewed);
            return Some(());
        }
        let hello =
            Hello { certificate: renewed.certificate.clone(), chain: renewed.chain.clone(), ..self.hello() };
        let member = self.judge(&hello, &device).ok()?;
        self.note_device(device, &member, &renewed.certificate, &renewed.chain, None);
        self.links.get_mut(id)?.phase = Phase::Up(Box::new(member));
        Some(())
    }

    fn goodbye_came(&mut self, id: LinkId, reason: GoodbyeReason) {
        let Some(device) = self.links.get(id).map(|link| link.device) else { return };
        match reason {
            GoodbyeReason::Leaving => self.device_left(&device),
            GoodbyeReason::Duplicate | GoodbyeReason::Revoked => self.close(id, false),
        }
    }

    /// A heartbeat is due, or the link is suspect or dead.
    pub(crate) fn beat(&mut self, id: LinkId) {
        let now = self.now.mono;
        let Some(link) = self.links.get_mut(id) else { return };
        let silent = now.since(link.heard);
        if silent >= LINK_DEAD {
            self.close(id, false);
            return;
        }
        let ask = silent >= LINK_SUSPECT && !link.asked;
        link.asked |= ask;
        if ask || now.since(link.sent) >= HEARTBEAT {
            self.post(id, Frame::new(Kind::Heartbeat, &Heartbeat { answer: ask }));
        }
        let Some(link) = self.links.get(id) else { return };
        if ask {
            let device = link.device;
            self.link_suspect(&device);
        }
        let Some(link) = self.links.get(id) else { return };
        let patience = if link.asked { LINK_DEAD } else { LINK_SUSPECT };
        let next = link.sent.plus(HEARTBEAT).min(link.heard.plus(patience));
        self.timers.set(Timer::Beat(id), next.max(now.plus(std::time::Duration::from_millis(1))));
    }

    /// Asks a device for a sign of life and gives it [`PROBE`] for that.
    pub(crate) fn probe(&mut self, id: LinkId) {
        if !self.timers.is_set(Timer::Probe(id)) {
            self.post(id, Frame::new(Kind::Heartbeat, &Heartbeat { answer: true }));
            self.timers.set(Timer::Probe(id), self.after(PROBE));
        }
    }

    pub(crate) fn probe_ended(&mut self, id: LinkId) {
        let Some(link) = self.links.get(id) else { return };
        if self.now.mono.since(link.heard) >= PROBE {
            self.close(id, false);
        }
    }

    /// The network changed under all links: each has to prove that it lives.
    pub(crate) fn doubt_links(&mut self) {
        let up: Vec<LinkId> = self.links.up().map(|(id, ..)| id).collect();
        for id in up {
            self.probe(id);
            self.timers.set(Timer::Doubt(id), self.after(LINK_ANSWER));
        }
    }

    /// Whether a link lived through a change of the network; if it is silent, other ways are tried beside it.
    pub(crate) fn doubt_ended(&mut self, id: LinkId) {
        let now = self.now.mono;
        let Some(link) = self.links.get_mut(id) else { return };
        if now.since(link.heard) >= LINK_ANSWER {
            link.doubted = true;
            let device = link.device;
            self.link_suspect(&device);
        }
    }

    /// Ends a link and forgets it at once; what was on its way is compared again on the next one.
    pub(crate) fn close(&mut self, link: LinkId, after_flush: bool) {
        self.out.push_back(Output::Close { link, after_flush });
        self.link_gone(link);
    }

    pub(crate) fn link_gone(&mut self, id: LinkId) {
        let Some(link) = self.links.all.remove(&id) else { return };
        let timers = [Timer::Hello, Timer::Beat, Timer::Probe, Timer::Doubt, Timer::Unstick, Timer::States];
        timers.into_iter().for_each(|timer| self.timers.cancel(timer(id)));
        self.probe_over(id);
        self.loads.forget_link(id);
        self.forget_mending(id);
        self.link_removed(id, &link);
    }

    pub(crate) fn say_goodbye(&mut self) {
        let all: Vec<(LinkId, bool)> = self.links.all.iter().map(|(id, link)| (*id, link.is_up())).collect();
        for (id, up) in all {
            if up {
                self.post(id, Frame::new(Kind::Goodbye, &Goodbye { reason: GoodbyeReason::Leaving }));
            }
            self.out.push_back(Output::Close { link: id, after_flush: true });
        }
    }
}
