//! The coordinator's machine: the real rules, and a disk that is written apart from the real store.

use crate::net::{At, endpoint};
use crate::relay::Relay;
use crate::time::Clock;
use lanchat_coordinator_core::record::{Change, Loaded};
use lanchat_coordinator_core::{
    AdminCommand, Boot, Config, CoordinatorState, Input, Keys, LinkId, Output, Registration, sign_issuing,
};
use lanchat_proto::certificate::{Certificate, DeviceChain, Endorsement};
use lanchat_proto::codec::{BoundedVec, Text};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{DeviceId, UserId};
use lanchat_proto::names::{DisplayName, UserName};
use lanchat_proto::signed::{SecretKey, Signed};
use lanchat_proto::time::Now;
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::coordinator::{Enrolled, Login, PasswordProof, Register};
use lanchat_proto::wire::reach::RelayTerms;
use std::collections::BTreeMap;

/// Links of enrolments have numbers from here on; the network's never get that far.
pub const ENROLMENTS: u64 = 1 << 48;

/// The coordinator's machine.
pub struct Office {
    /// Its keys.
    pub keys: Keys,
    /// The program, while it runs.
    pub core: Option<CoordinatorState>,
    /// Which run it is.
    pub run: u32,
    /// Its clock.
    pub clock: Clock,
    /// What is durable.
    pub disk: Loaded,
    /// The write under way.
    pub writing: Option<(u64, Vec<Change>)>,
    /// Logins under way, by link.
    pub enrolling: BTreeMap<u64, Enrolment>,
    /// The moment for which a timer is set.
    pub timer: Option<u64>,
    /// Whether it carries circuits, from its next start on.
    pub relay_terms: Option<RelayTerms>,
    /// Where circuits meet.
    pub relay: Relay,
}

/// A login of a machine's user.
#[derive(Clone, Copy, Debug)]
pub struct Enrolment {
    /// The machine.
    pub at: At,
    /// The run of its program that logs in.
    pub run: u32,
    /// How often its user was kicked or banned before.
    pub expelled: u32,
}

/// A device with everything it starts from.
#[derive(Clone, Debug)]
pub struct Person {
    /// The login.
    pub name: UserName,
    /// The account.
    pub user: UserId,
    /// The device's key.
    pub key: SecretKey,
    /// Its certificate.
    pub certificate: Certificate,
    /// Its chain.
    pub chain: DeviceChain,
}

/// Every password of the simulation.
pub const PASSWORD: PasswordProof = PasswordProof([7; 32]);

impl Office {
    /// A new organisation whose keys follow from the seed.
    ///
    /// # Panics
    /// Never: the values fit.
    #[must_use]
    pub fn found(seed: u8) -> Self {
        let key = |n: u8| SecretKey::from_seed(&[seed ^ n; 32]);
        let (root, issuing, own) = (key(0xa0), key(0xa1), key(0xa2));
        let now = Clock::default().now(0);
        let certificate = sign_issuing(&root, &issuing.public(), &own.public(), now.wall);
        let Ok(certificate) = certificate else { unreachable!("an issuing certificate fits") };
        let keys =
            Keys { issuing, certificate, root: root.public(), coordinator: own.public(), salt: [seed; 32] };
        Self {
            keys,
            core: None,
            run: 0,
            clock: Clock::default(),
            disk: Loaded { generation: 1, ..Loaded::default() },
            writing: None,
            enrolling: BTreeMap::new(),
            timer: None,
            relay_terms: None,
            relay: Relay::default(),
        }
    }

    /// Another office with the same keys and disk.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self {
            keys: self.keys.clone(),
            core: None,
            run: 0,
            clock: Clock::default(),
            disk: self.disk.clone(),
            writing: None,
            enrolling: BTreeMap::new(),
            timer: None,
            relay_terms: None,
            relay: Relay::default(),
        }
    }

    /// Starts the program.
    ///
    /// # Errors
    /// When the rules refuse what the disk holds.
    pub fn start(&mut self, seed: [u8; 32], run: u64, now: Now) -> Result<(), String> {
        let org = Text::new("sim").map_err(|error| error.to_string())?;
        let config = Config { org, registration: Registration::Open, relay: self.relay_terms };
        let boot = Boot { config, keys: self.keys.clone(), seed, run, stored: self.disk.clone() };
        self.core = Some(CoordinatorState::new(boot, now).map_err(|error| error.to_string())?);
        self.run += 1;
        self.timer = None;
        Ok(())
    }

    /// Makes a write durable.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            apply(&mut self.disk, change);
        }
    }

    /// Opens an account, or enrols a further device of one, outside of any network and time.
    ///
    /// # Errors
    /// When the rules refuse.
    pub fn enrol(&mut self, name: &str, key: SecretKey, first: Option<&Person>) -> Result<Person, String> {
        let now = Clock::default().now(0);
        if self.core.is_none() {
            self.start([1; 32], 1, now)?;
        }
        let name: UserName = name.parse().map_err(|error| format!("{error}"))?;
        let frame = match first {
            None => register(&name),
            Some(_) => login(&name),
        }?;
        let link = LinkId(ENROLMENTS + self.disk.serial);
        let remote = endpoint(200);
        let answer = self.exchange(link, key.public(), remote, frame, now)?;
        let enrolled: Enrolled = answer.decode().map_err(|error| format!("{error}: {answer:?}"))?;
        let user = enrolled.user;
        let realm = self.keys.realm();
        let (by, mut chain) = first.map_or((&key, Vec::new()), |p| (&p.key, p.chain.to_vec()));
        let endorsement = Endorsement { realm, user, device: key.public(), by: by.public(), at: now.wall };
        chain.push(Signed::sign(&endorsement, by).map_err(|error| error.to_string())?);
        let chain = BoundedVec::new(chain).map_err(|error| error.to_string())?;
        Ok(Person { name, user, key, certificate: enrolled.certificate, chain })
    }

    fn exchange(
        &mut self,
        link: LinkId,
        device: DeviceId,
        remote: Endpoint,
        frame: Frame,
        now: Now,
    ) -> Result<Frame, String> {
        let mut answer = None;
        let opened = Input::Opened { link, device, remote, dial: None };
        for input in [opened, Input::Frame { link, frame }, Input::Closed { link }] {
            let Some(core) = &mut self.core else { return Err("not running".to_owned()) };
            core.handle_input(input, now);
            while let Some(output) = self.core.as_mut().and_then(CoordinatorState::poll_output) {
                match output {
                    Output::Persist { id, changes } => {
                        self.apply(&changes);
                        if let Some(core) = &mut self.core {
                            core.handle_input(Input::Stored { id }, now);
                        }
                    }
                    Output::Send { frame, .. } if frame.known() != Some(Kind::Welcome) => {
                        answer = answer.or(Some((*frame).clone()));
                    }
                    _ => {}
                }
            }
        }
        answer.ok_or_else(|| "no answer".to_owned())
    }
}

/// A login's frame.
///
/// # Errors
/// Never: it fits.
pub fn login(name: &UserName) -> Result<Frame, String> {
    let login = Login { request: 1, user: name.clone(), proof: PASSWORD, sealing: [9; 32] };
    Frame::new(Kind::Login, &login).map_err(|error| error.to_string())
}

fn register(name: &UserName) -> Result<Frame, String> {
    let register = Register {
        request: 1,
        user: name.clone(),
        display_name: DisplayName::parse(name.as_str()).map_err(|error| error.to_string())?,
        proof: PASSWORD,
        invite: Text::new("").map_err(|error| error.to_string())?,
        sealing: [9; 32],
    };
    Frame::new(Kind::Register, &register).map_err(|error| error.to_string())
}

/// The admin's command to kick or ban somebody.
#[must_use]
pub fn expel(user: UserName, ban: bool) -> AdminCommand {
    if ban { AdminCommand::Ban { user, force: true } } else { AdminCommand::Kick { user, force: true } }
}

fn apply(disk: &mut Loaded, change: &Change) {
    match change {
        Change::Account(account) => {
            disk.accounts.retain(|kept| kept.user != account.user);
            disk.accounts.push((**account).clone());
        }
        Change::Avatar { .. } => {}
        Change::LastSeen { user, at } => {
            if let Some(account) = disk.accounts.iter_mut().find(|account| account.user == *user) {
                account.last_seen = *at;
            }
        }
        Change::Device(device) => {
            disk.devices.retain(|kept| kept.device != device.device);
            disk.devices.push((**device).clone());
        }
        Change::Serial(serial) => disk.serial = *serial,
        Change::Act(act) => disk.acts.push(act.clone()),
        Change::Invite(invite) => {
            disk.invites.retain(|kept| kept.code != invite.code);
            disk.invites.push(invite.clone());
        }
        Change::InviteGone(code) => disk.invites.retain(|kept| kept.code != *code),
        Change::Announcement(announcement) => disk.announcements.push(announcement.clone()),
        Change::AnnouncementGone(number) => disk.announcements.retain(|kept| kept.number != *number),
    }
}
