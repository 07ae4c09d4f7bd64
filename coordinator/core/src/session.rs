//! Signing in, and what a signed-in device tells about itself.
//!
//! Keeps true: a device is on only with a certificate that holds now; of two copies of a device only the first is on;
//! whoever signs in gets the acts of the revocation list before anything else.

use crate::address::{Source, reachable};
use crate::io::{LinkId, Output};
use crate::issuer::Subject;
use crate::limits::{ANNOUNCEMENT_AGE, MAX_CLAIMS};
use crate::presence::Online;
use crate::record::{Account, Change, Device};
use crate::state::{CoordinatorState, Origin, Step, Told};
use lanchat_proto::certificate::{
    Certificate, CertificateError, ListAnchor, Member, Revocation, check_chain,
};
use lanchat_proto::codec::{BoundedVec, EncodeError};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{DeviceId, Epoch, UserId};
use lanchat_proto::limits::{CERTIFICATE_RENEWAL, LINK_SUSPECT, MAX_REVOCATIONS};
use lanchat_proto::signed::Signed;
use lanchat_proto::time::{Now, Wall};
use lanchat_proto::version::Version;
use lanchat_proto::wire::coordinator::{
    Announcement, DeviceReport, OnlineDevice, Refusal, Report, SignIn, SignedIn,
};
use lanchat_proto::wire::link::{Goodbye, Heartbeat, Renewed, Revocations};
use std::time::Duration;

impl CoordinatorState {
    pub(crate) fn sign_in(&mut self, link: LinkId, ask: SignIn, now: Now) -> Step {
        let Some(session) = self.sessions.get(&link) else { return Step::only(|_, _| {}) };
        let (request, device, remote) = (ask.request, session.device, session.remote);
        let Some(version) = Version::choose(&ask.versions) else {
            return Step::refuse(link, request, Refusal::Version);
        };
        let (member, account, row) = match self.entitled(&ask, &device, now.wall) {
            Ok(entitled) => entitled,
            Err(refusal) => {
                self.notice("sign-in refused", Some(device), None);
                return Step::refuse(link, request, refusal);
            }
        };
        if self.is_clone(link, &device, ask.epoch, now) {
            self.notice("a copy of a device is on", Some(device), Some(account.user));
            return Step::refuse(link, request, Refusal::Cloned);
        }
        self.note_claim(&device, &ask);
        self.guesses.right(&account.name, Source::of(remote), now.mono);
        let mut changes = Vec::new();
        let mut row = self.with_chain(row, &account, &ask, &mut changes);
        let renewed = self.renewal(&member, &account, &mut row, &mut changes, now.wall);
        Step::new(Origin::Link(link, request), changes, move |state, now| {
            if state.is_clone(link, &device, ask.epoch, now) {
                return state.refuse(link, request, Refusal::Cloned, Duration::ZERO);
            }
            state.come_on(link, account.user, ask, version, renewed, now);
        })
    }

    /// Who signs in, when the certificate holds and the account and device are ours.
    fn entitled(
        &self,
        ask: &SignIn,
        device: &DeviceId,
        now: Wall,
    ) -> Result<(Member, Account, Device), Refusal> {
        let realm = self.keys.realm();
        if ask.realm != realm {
            return Err(Refusal::BadCertificate);
        }
        let check = ask.certificate.check(&realm, device, now, self.records.revocations());
        let member = check.map_err(|error| match error {
            CertificateError::Revoked => {
                let banned = ask
                    .certificate
                    .check_ever(&realm)
                    .is_ok_and(|member| self.records.revocations().is_banned(&member.membership.user));
                if banned { Refusal::Banned } else { Refusal::Revoked }
            }
            _ => Refusal::BadCertificate,
        })?;
        let account = self.records.account(&member.membership.user).cloned();
        let row = self.records.device(device).filter(|row| row.user == member.membership.user).cloned();
        match (account, row) {
            (Some(account), Some(row)) if row.active => Ok((member, account, row)),
            _ => Err(Refusal::BadCertificate),
        }
    }

    /// Whether another link of this device with another epoch is alive.
    fn is_clone(&self, link: LinkId, device: &DeviceId, epoch: Epoch, now: Now) -> bool {
        self.presence.get(device).is_some_and(|online| {
            let alive =
                online.link.is_some_and(|other| other != link) && now.mono.since(online.heard) < LINK_SUSPECT;
            alive && online.epoch != epoch
        })
    }

    /// Remembers a device that holds more of our list than we do.
    fn note_claim(&mut self, device: &DeviceId, ask: &SignIn) {
        let ours = self.records.revocations().head(&self.keys.issuer());
        let theirs = ask.revocations.iter().find(|head| head.issuer == ours.issuer);
        let ahead = theirs.is_some_and(|head| {
            head.number > ours.number || (head.number == ours.number && head.hash != ours.hash)
        });
        if ahead && self.claims.len() < MAX_CLAIMS {
            self.claims.insert(*device, theirs.map_or(0, |head| head.number));
            self.notice("a device holds a longer revocation list than this coordinator", Some(*device), None);
        } else if !ahead {
            self.claims.remove(device);
        }
    }

    /// Takes over a device chain that leads to the device and is not the one known.
    fn with_chain(&self, row: Device, account: &Account, ask: &SignIn, changes: &mut Vec<Change>) -> Device {
        let valid = check_chain(&ask.chain, &self.keys.realm(), &account.user, &row.device).is_ok();
        if !valid || ask.chain == row.chain {
            return row;
        }
        let row = Device { chain: ask.chain.clone(), ..row };
        let version = self.records.mark().version + 1;
        changes.push(Change::Account(Box::new(Account { version, ..account.clone() })));
        changes.push(Change::Device(Box::new(row.clone())));
        row
    }

    /// A fresh certificate, when the one at hand is older than a day or of a former issuing key.
    fn renewal(
        &self,
        member: &Member,
        account: &Account,
        row: &mut Device,
        changes: &mut Vec<Change>,
        now: Wall,
    ) -> Option<Certificate> {
        let old = &member.membership;
        let young = now < old.not_before.plus(CERTIFICATE_RENEWAL);
        if young && member.issuer == self.keys.issuer() && old.name == account.name {
            return None;
        }
        let (user, name, serial) = (account.user, account.name.clone(), self.records.next_serial(now));
        let subject = Subject { user, name, device: row.device, sealing: old.sealing, serial };
        let certificate = self.keys.issue(subject, now).ok()?;
        row.certificate = certificate.clone();
        row.issued = now;
        changes.push(Change::Serial(serial));
        changes.push(Change::Device(Box::new(row.clone())));
        Some(certificate)
    }

    /// The device is on.
    fn come_on(
        &mut self,
        link: LinkId,
        user: UserId,
        ask: SignIn,
        version: Version,
        renewed: Option<Certificate>,
        now: Now,
    ) {
        let Some(session) = self.sessions.get(&link) else { return };
        let (device, remote) = (session.device, session.remote);
        if let Some(old) = self.presence.get(&device).and_then(|online| online.link)
            && old != link
        {
            self.close(old, false);
        }
        let held = self.held_of_ours(&ask);
        let acts: Vec<Signed<Revocation>> = self.records.acts_after(held).to_vec();
        let (first, rest) = acts.split_at(acts.len().min(MAX_REVOCATIONS));
        let signed_in = SignedIn {
            request: ask.request,
            version: version.number(),
            run: self.presence.run(),
            time: now.wall,
            renewed,
            revocations: BoundedVec::first(first.iter().cloned()),
            observed: remote,
        };
        self.out.push_back(Output::Admit { link, user });
        self.send(link, Frame::new(Kind::SignedIn, &signed_in));
        for acts in rest.chunks(MAX_REVOCATIONS) {
            let frame = self.revocations_frame(acts);
            self.send(link, frame);
        }
        self.tell_terms(link);
        let recent: Vec<Announcement> = self.records.announcements().cloned().collect();
        for announcement in recent.iter().filter(|a| a.at.plus(ANNOUNCEMENT_AGE) >= now.wall) {
            self.send(link, Frame::new(Kind::Announcement, announcement));
        }
        let mark = self.records.mark();
        let fresh = ask.directory.generation != mark.generation || ask.directory.version > mark.version;
        let version = if fresh { 0 } else { ask.directory.version };
        self.set_told(link, Told { user, version, fresh, owed: true, wants_snapshot: true }, now);
        let since = self.presence.get(&device).map_or(now.wall, |online| online.since);
        let row = row(device, user, remote, &ask.report);
        let (heard, heard_at) = (now.mono, now.wall);
        self.presence.put(Online { row, epoch: ask.epoch, link: Some(link), heard, heard_at, since });
        self.stats.sign_ins += 1;
        self.notice("signed in", Some(device), Some(user));
        self.rearm(now);
    }

    /// How many acts of our list the node holds: what it says, unless it cannot be so.
    fn held_of_ours(&self, ask: &SignIn) -> u64 {
        let issuer = self.keys.issuer();
        ask.revocations.iter().find(|head| head.issuer == issuer).map_or(0, |head| head.number)
    }

    /// A frame of acts, with the root's word for our issuing key, which anchors them wherever nodes pass them on.
    pub(crate) fn revocations_frame(&self, acts: &[Signed<Revocation>]) -> Result<Frame, EncodeError> {
        let frame = Revocations {
            anchor: ListAnchor { root: self.keys.root, issuing: Some(self.keys.certificate.clone()) },
            acts: BoundedVec::first(acts.iter().cloned()),
        };
        Frame::new(Kind::Revocations, &frame)
    }

    /// Frames that do not wait for the store.
    pub(crate) fn sign_of_life(&mut self, link: LinkId, frame: &Frame, now: Now) {
        match frame.known() {
            Some(Kind::Heartbeat) => match frame.decode::<Heartbeat>() {
                Ok(Heartbeat { answer: true }) => {
                    self.send(link, Frame::new(Kind::Heartbeat, &Heartbeat { answer: false }));
                }
                Ok(_) => {}
                Err(_) => self.close(link, false),
            },
            Some(Kind::Goodbye) => {
                if frame.decode::<Goodbye>().is_ok() {
                    self.goodbye(link);
                }
                self.close(link, true);
            }
            Some(Kind::Report) => match (frame.decode::<Report>(), self.told(link).is_some()) {
                (Ok(report), true) => self.report(link, &report.report, now),
                (Ok(_), false) => self.refuse_stranger(link, 0),
                (Err(_), _) => self.close(link, false),
            },
            _ => match self.sessions.get_mut(&link).and_then(|session| session.told.as_mut()) {
                Some(told) => {
                    told.wants_snapshot = true;
                    self.news = true;
                }
                None => self.refuse_stranger(link, 0),
            },
        }
    }

    pub(crate) fn refuse_stranger(&mut self, link: LinkId, request: u64) {
        self.refuse(link, request, Refusal::NotSignedIn, Duration::ZERO);
        self.close(link, true);
    }

    /// The device of this link is off at once.
    pub(crate) fn goodbye(&mut self, link: LinkId) {
        let device = self.sessions.get(&link).map(|session| session.device);
        let of_link =
            device.filter(|device| self.presence.get(device).is_some_and(|online| online.link == Some(link)));
        if let Some(device) = of_link {
            self.offline(&device);
        }
    }

    fn report(&mut self, link: LinkId, report: &DeviceReport, now: Now) {
        let Some(session) = self.sessions.get(&link) else { return };
        let (device, remote) = (session.device, session.remote);
        let Some(before) = self.presence.get(&device).filter(|online| online.link == Some(link)) else {
            return;
        };
        let row = row(device, before.row.user, remote, report);
        let (epoch, since) = (before.epoch, before.since);
        let (heard, heard_at) = (now.mono, now.wall);
        self.presence.put(Online { row, epoch, link: Some(link), heard, heard_at, since });
    }

    /// Whether the certificate of a signed-in link is older than a day.
    pub(crate) fn renewal_due(&self, link: LinkId, now: Now) -> bool {
        self.sessions.get(&link).filter(|session| session.told.is_some()).is_some_and(|session| {
            self.records
                .device(&session.device)
                .is_some_and(|row| now.wall >= row.issued.plus(CERTIFICATE_RENEWAL))
        })
    }

    /// Renews the certificate of a signed-in link.
    pub(crate) fn renew(&mut self, link: LinkId, now: Now) -> Step {
        let due = self.renewal_due(link, now);
        let device = self.sessions.get(&link).map(|session| session.device).filter(|_| due);
        let row = device.and_then(|device| self.records.device(&device)).cloned();
        let account = row.as_ref().and_then(|row| self.records.account(&row.user)).cloned();
        let (Some(mut row), Some(account)) = (row, account) else { return Step::only(|_, _| {}) };
        let Ok(member) = row.certificate.check_ever(&self.keys.realm()) else { return Step::only(|_, _| {}) };
        let mut changes = Vec::new();
        let renewed = self.renewal(&member, &account, &mut row, &mut changes, now.wall);
        let chain = row.chain;
        Step::new(Origin::System, changes, move |state, now| {
            let told = state.told(link).is_some() && !state.renewal_due(link, now);
            if let Some(certificate) = renewed.filter(|_| told) {
                state.send(link, Frame::new(Kind::Renewed, &Renewed { certificate, chain }));
            }
        })
    }
}

fn row(
    device: DeviceId,
    user: UserId,
    remote: lanchat_proto::wire::Endpoint,
    report: &DeviceReport,
) -> OnlineDevice {
    OnlineDevice {
        device,
        user,
        endpoints: reachable(remote, &report.endpoints),
        host: report.host,
        presence: report.presence,
    }
}
