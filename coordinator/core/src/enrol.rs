//! What a stranger may do: ask for a salt, register, log in.
//!
//! Keeps true: nothing that a stranger is answered depends on whether an account exists, except to one who holds an
//! invite or the password. Limits count before anything is looked up.

use crate::address::Source;
use crate::io::{LinkId, Registration};
use crate::issuer::Subject;
use crate::limits::INVITE_LIFETIME;
use crate::password;
use crate::record::{Account, Change, Device, Invite, Secret, Verifier};
use crate::state::{CoordinatorState, Origin, Step};
use lanchat_proto::certificate::Certificate;
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{DeviceId, UserId};
use lanchat_proto::limits::{MAX_DEVICES, MAX_USERS};
use lanchat_proto::names::UserName;
use lanchat_proto::time::{Now, Wall};
use lanchat_proto::wire::coordinator::{AskSalt, Enrolled, Login, Refusal, Register, Salt};
use std::time::Duration;

impl CoordinatorState {
    pub(crate) fn ask_salt(&mut self, link: LinkId, ask: &AskSalt) -> Step {
        if let Some(session) = self.sessions.get_mut(&link) {
            session.enrolling = true;
        }
        let answer = Salt { request: ask.request, salt: password::salt(&self.keys.salt, &ask.user) };
        Step::only(move |state, _| state.send(link, Frame::new(Kind::Salt, &answer)))
    }

    pub(crate) fn register(&mut self, link: LinkId, ask: Register, now: Now) -> Step {
        let Some((device, source)) = self.stranger(link) else { return Step::only(|_, _| {}) };
        let request = ask.request;
        let wait = self.guesses.wait_for_source(source, now.mono);
        if wait > Duration::ZERO {
            return wait_first(link, request, wait);
        }
        let invite = match self.config.registration {
            Registration::Closed => return Step::refuse(link, request, Refusal::RegistrationClosed),
            Registration::Open => match self.guesses.register(source, now.mono) {
                Ok(()) => None,
                Err(wait) => return wait_first(link, request, wait),
            },
            Registration::Invite => match self.valid_invite(&ask.invite, now.wall) {
                Some(invite) => Some(invite),
                None => {
                    self.guesses.wrong_invite(source, now.mono);
                    return Step::refuse(link, request, Refusal::InviteNeeded);
                }
            },
        };
        let refusal = if ask.user.check_registrable().is_err() {
            Refusal::NameReserved
        } else if self.records.named(&ask.user).is_some() {
            Refusal::NameTaken
        } else if self.records.device(&device).is_some() {
            Refusal::DeviceTaken
        } else if self.records.account_count() >= MAX_USERS {
            Refusal::Full
        } else {
            let mut changes: Vec<Change> = invite.map(used).into_iter().collect();
            let account = self.new_account(&ask, now.wall);
            let user = account.user;
            changes.push(Change::Account(Box::new(account)));
            self.stats.registrations += 1;
            return self.enrol(link, request, (user, ask.user, device, ask.sealing), changes, now);
        };
        Step::refuse(link, request, refusal)
    }

    pub(crate) fn login(&mut self, link: LinkId, ask: &Login, now: Now) -> Step {
        let Some((device, source)) = self.stranger(link) else { return Step::only(|_, _| {}) };
        let request = ask.request;
        let wait = self.guesses.wait(&ask.user, source, now.mono);
        if wait > Duration::ZERO {
            return wait_first(link, request, wait);
        }
        let account = self.records.named(&ask.user).cloned();
        let verifier = account.as_ref().map_or_else(Verifier::nobody, |account| account.password.clone());
        let right = verifier.matches(&ask.proof);
        let Some(mut account) = account.filter(|account| right && account.secret != Secret::Used) else {
            self.guesses.wrong(&ask.user, source, now.mono);
            self.notice("wrong password", Some(device), None);
            return Step::refuse(link, request, Refusal::WrongPassword);
        };
        self.guesses.right(&ask.user, source, now.mono);
        let user = account.user;
        let known = self.records.device(&device);
        let others = self.records.devices_of(&user).filter(|d| d.active && d.device != device).count();
        let refusal = if self.records.revocations().is_banned(&user) {
            Refusal::Banned
        } else if known.is_some_and(|device| device.user != user) {
            Refusal::DeviceTaken
        } else if others >= MAX_DEVICES {
            Refusal::TooManyDevices
        } else {
            if account.secret == Secret::OneTime {
                account.secret = Secret::Used;
            }
            account.version = self.records.mark().version + 1;
            let changes = vec![Change::Account(Box::new(account))];
            return self.enrol(link, request, (user, ask.user.clone(), device, ask.sealing), changes, now);
        };
        Step::refuse(link, request, refusal)
    }

    /// Issues a certificate for a device of a user and answers with it.
    fn enrol(
        &mut self,
        link: LinkId,
        request: u64,
        (user, name, device, sealing): (UserId, UserName, DeviceId, [u8; 32]),
        mut changes: Vec<Change>,
        now: Now,
    ) -> Step {
        let serial = self.records.next_serial(now.wall);
        let subject = Subject { user, name, device, sealing, serial };
        let Ok(certificate) = self.keys.issue(subject, now.wall) else {
            return Step::refuse(link, request, Refusal::Other);
        };
        let first_device = !self.records.devices_of(&user).any(|other| other.device != device);
        let must_change_password =
            changes.iter().any(|c| matches!(c, Change::Account(a) if a.secret != Secret::Chosen));
        changes.push(Change::Serial(serial));
        changes.push(Change::Device(Box::new(self.device_row(device, user, &certificate, now.wall))));
        let enrolled = Enrolled { request, user, certificate, first_device, must_change_password };
        Step::new(Origin::Link(link, request), changes, move |state, _| {
            if let Some(session) = state.sessions.get_mut(&link) {
                session.enrolling = true;
            }
            state.stats.enrolments += 1;
            state.notice("enrolled", Some(device), Some(user));
            state.send(link, Frame::new(Kind::Enrolled, &enrolled));
        })
    }

    fn device_row(&self, device: DeviceId, user: UserId, certificate: &Certificate, now: Wall) -> Device {
        let certificate = certificate.clone();
        match self.records.device(&device) {
            Some(known) => Device { certificate, issued: now, active: true, ..known.clone() },
            None => Device {
                device,
                user,
                certificate,
                chain: BoundedVec::empty(),
                issued: now,
                enrolled: now,
                active: true,
            },
        }
    }

    fn new_account(&mut self, ask: &Register, now: Wall) -> Account {
        Account {
            user: UserId(self.random.bytes()),
            name: ask.user.clone(),
            display_name: ask.display_name.clone(),
            department: Default::default(),
            title: Default::default(),
            note: Default::default(),
            avatar: [0; 32],
            password: Verifier::of(&ask.proof, &mut self.random),
            secret: Secret::Chosen,
            created: now,
            last_seen: Wall(0),
            version: self.records.mark().version + 1,
        }
    }

    /// The invite with this code, if it serves now.
    fn valid_invite(&self, code: &str, now: Wall) -> Option<Invite> {
        self.records.invite(code).filter(|invite| invite.serves(now)).cloned()
    }

    fn stranger(&self, link: LinkId) -> Option<(DeviceId, Source)> {
        self.sessions.get(&link).map(|session| (session.device, Source::of(session.remote)))
    }

    /// A new standing invite in place of the one until now.
    pub(crate) fn rotate_invite(&mut self) -> (String, Vec<Change>) {
        let code = self.random.code();
        let old = self.records.invites().filter(|invite| invite.standing);
        let mut changes: Vec<Change> = old.map(|invite| Change::InviteGone(invite.code.clone())).collect();
        let invite = Invite { code: code.clone(), uses: None, expires: None, standing: true };
        changes.push(Change::Invite(invite));
        (code, changes)
    }

    /// A new invite with its end.
    pub(crate) fn new_invite(&mut self, uses: u32, lifetime: Option<Duration>, now: Wall) -> Invite {
        let expires = Some(now.plus(lifetime.unwrap_or(INVITE_LIFETIME)));
        Invite { code: self.random.code(), uses: Some(uses), expires, standing: false }
    }
}

impl Invite {
    pub(crate) fn serves(&self, now: Wall) -> bool {
        self.uses != Some(0) && self.expires.is_none_or(|end| now <= end)
    }
}

/// The invite after one more registration.
fn used(mut invite: Invite) -> Change {
    match &mut invite.uses {
        Some(uses) if *uses <= 1 => Change::InviteGone(invite.code),
        Some(uses) => {
            *uses -= 1;
            Change::Invite(invite)
        }
        None => Change::Invite(invite),
    }
}

fn wait_first(link: LinkId, request: u64, wait: Duration) -> Step {
    Step::only(move |state, _| state.refuse(link, request, Refusal::TooManyTries, wait))
}
