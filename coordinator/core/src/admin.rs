//! What the admin may do, and the coordinator's revocation list.
//!
//! Keeps true: an act is on disk before anybody is told of it, and everybody who is signed in is told at once, not at
//! the next tick. A coordinator that learned that nodes hold more of its list than it does (it was restored from an old
//! copy) signs nothing more under that issuing key unless the admin insists.

use crate::directory::profile;
use crate::io::{LinkId, Output};
use crate::limits::{MAX_ANNOUNCEMENTS, MAX_INVITES};
use crate::password;
use crate::record::{Account, Change, Secret, Verifier};
use crate::state::{CoordinatorState, Origin, Step};
use lanchat_proto::certificate::{Act, Revocation};
use lanchat_proto::codec::Text;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{DeviceId, UserId};
use lanchat_proto::limits::MAX_ANNOUNCEMENT;
use lanchat_proto::names::{DisplayName, UserName};
use lanchat_proto::signed::{Signed, SignedError};
use lanchat_proto::time::{Now, Wall};
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::coordinator::{Announcement, PasswordProof, Presence, Refusal};
use std::collections::BTreeMap;
use std::time::Duration;

/// A command of the admin.
#[derive(Clone, Debug)]
pub enum AdminCommand {
    /// All accounts.
    Users,
    /// All devices that are on.
    Online,
    /// A new invite.
    Invite {
        /// Registrations that it serves.
        uses: u32,
        /// How long it serves; [`crate::limits::INVITE_LIFETIME`] without.
        lifetime: Option<Duration>,
    },
    /// A new standing invite in place of the one until now.
    RotateInvite,
    /// Signs a user out everywhere; the password lets it in again.
    Kick {
        /// Who.
        user: UserName,
        /// Whether to act although a device holds a longer list than ours.
        force: bool,
    },
    /// Keeps a user out until the ban is lifted.
    Ban {
        /// Who.
        user: UserName,
        /// As in `Kick`.
        force: bool,
    },
    /// Lifts a ban; the password is needed.
    Unban {
        /// Who.
        user: UserName,
        /// As in `Kick`.
        force: bool,
    },
    /// The salt with which the one-time secret of a reset is hashed.
    Salt {
        /// Whose.
        user: UserName,
    },
    /// Replaces a user's password by a one-time secret.
    ResetPassword {
        /// Whose.
        user: UserName,
        /// Argon2id of the secret with the user's salt.
        proof: PasswordProof,
    },
    /// Sets a user's department.
    Department {
        /// Whose.
        user: UserName,
        /// Its name, or empty.
        name: DisplayName,
    },
    /// Speaks to everybody.
    Announce {
        /// What.
        text: String,
    },
    /// Counters.
    Stats,
    /// The logins of these users; who has no account is left out.
    Names {
        /// Whose.
        users: Vec<UserId>,
    },
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// No such account.
    #[error("there is no user '{0}'")]
    NoSuchUser(UserName),
    /// A ban of a banned user.
    #[error("'{0}' is banned already")]
    AlreadyBanned(UserName),
    /// An unban of a user who is not banned.
    #[error("'{0}' is not banned")]
    NotBanned(UserName),
    /// Nodes hold a longer revocation list than this coordinator.
    #[error(
        "{0} device(s) hold a longer revocation list than this coordinator, which seems to be restored from an old \
         copy: restart it with `run --new-issuing-key`, or insist with --force"
    )]
    Behind(usize),
    /// Too many invites at a time.
    #[error("there are {MAX_INVITES} invites that are still valid; wait until some end")]
    TooManyInvites,
    /// An announcement that is empty or too long.
    #[error("an announcement has 1 to {MAX_ANNOUNCEMENT} characters")]
    Announcement,
    /// The disk.
    #[error("the coordinator cannot store at the moment; look into its log")]
    Store,
    /// A signature could not be made.
    #[error("the coordinator could not sign")]
    Sign,
}

impl From<SignedError> for AdminError {
    fn from(_: SignedError) -> Self {
        Self::Sign
    }
}

/// An account for the admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserInfo {
    /// The user.
    pub user: UserId,
    /// Login.
    pub name: UserName,
    /// Name to display.
    pub display_name: DisplayName,
    /// Department, or empty.
    pub department: DisplayName,
    /// Whether a device is on.
    pub online: bool,
    /// Whether it is banned.
    pub banned: bool,
    /// Whether a reset waits for a new password.
    pub must_change_password: bool,
    /// When it was opened.
    pub created: Wall,
    /// When it was last on; zero for never.
    pub last_seen: Wall,
    /// Its enrolled devices.
    pub devices: Vec<DeviceId>,
}

/// A device that is on, for the admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnlineInfo {
    /// The user.
    pub user: UserId,
    /// Login.
    pub name: UserName,
    /// The device.
    pub device: DeviceId,
    /// Its addresses as others get them.
    pub endpoints: Vec<Endpoint>,
    /// How its user wishes to be seen.
    pub presence: Presence,
    /// When it came on.
    pub since: Wall,
}

/// An invite for the admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteInfo {
    /// The code.
    pub code: String,
    /// Registrations left; `None` without end.
    pub uses: Option<u32>,
    /// When it ends; `None` for never.
    pub expires: Option<Wall>,
}

/// A salt of a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SecretSalt(
    /// For Argon2id.
    pub [u8; 16],
);

/// Counters since the start, and sizes now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Accounts.
    pub accounts: usize,
    /// Links, signed in or not.
    pub links: usize,
    /// Devices that are on.
    pub online: usize,
    /// Accounts opened.
    pub registrations: u64,
    /// Certificates given for a password.
    pub enrolments: u64,
    /// Sign-ins.
    pub sign_ins: u64,
    /// Refusals of any kind.
    pub refusals: u64,
    /// Presence deltas.
    pub deltas: u64,
    /// Devices introduced to each other, by either way.
    pub introductions: u64,
    /// Introductions that came to nothing.
    pub introductions_refused: u64,
    /// Questions of devices whether they can be dialled.
    pub probes: u64,
    /// Frames received.
    pub frames_in: u64,
    /// Frames sent.
    pub frames_out: u64,
    /// Bytes of frames received.
    pub bytes_in: u64,
    /// Bytes of frames sent.
    pub bytes_out: u64,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminResult {
    /// Accounts by login.
    Users(Vec<UserInfo>),
    /// Devices that are on.
    Online(Vec<OnlineInfo>),
    /// An invite was made.
    Invite(InviteInfo),
    /// A salt.
    Salt(SecretSalt),
    /// Counters.
    Stats(Stats),
    /// Logins.
    Names(BTreeMap<UserId, UserName>),
    /// An announcement has this number.
    Announced(u64),
    /// Done; so many sessions were closed.
    Done {
        /// Sessions.
        closed: usize,
    },
}

impl CoordinatorState {
    /// A command, as a step.
    pub(crate) fn admin(&mut self, request: u64, command: AdminCommand, now: Now) -> Step {
        let step = match command {
            AdminCommand::Users => Ok(Step::admin(request, Ok(AdminResult::Users(self.users())))),
            AdminCommand::Online => Ok(Step::admin(request, Ok(AdminResult::Online(self.online())))),
            AdminCommand::Stats => Ok(Step::admin(request, Ok(AdminResult::Stats(self.stats())))),
            AdminCommand::Names { users } => {
                Ok(Step::admin(request, Ok(AdminResult::Names(self.names(&users)))))
            }
            AdminCommand::Invite { uses, lifetime } => self.make_invite(request, uses, lifetime, now.wall),
            AdminCommand::RotateInvite => {
                let (code, changes) = self.rotate_invite();
                let made = InviteInfo { code, uses: None, expires: None };
                Ok(answer(request, changes, AdminResult::Invite(made)))
            }
            AdminCommand::Kick { user, force } => self.kick(request, &user, force, now.wall),
            AdminCommand::Ban { user, force } => self.ban(request, &user, force, now.wall),
            AdminCommand::Unban { user, force } => self.unban(request, &user, force, now.wall),
            AdminCommand::Salt { user } => self.account_named(&user).map(|_| {
                let salt = SecretSalt(password::salt(&self.keys.salt, &user));
                Step::admin(request, Ok(AdminResult::Salt(salt)))
            }),
            AdminCommand::ResetPassword { user, proof } => self.account_named(&user).map(|before| {
                let password = Verifier::of(&proof, &mut self.random);
                let account = Account { password, secret: Secret::OneTime, ..before };
                answer(request, vec![Change::Account(Box::new(account))], AdminResult::Done { closed: 0 })
            }),
            AdminCommand::Department { user, name } => self.account_named(&user).map(|before| {
                let version = self.records.mark().version + 1;
                let account = Account { department: name, version, ..before };
                answer(request, vec![Change::Account(Box::new(account))], AdminResult::Done { closed: 0 })
            }),
            AdminCommand::Announce { text } => self.announce(request, text, now.wall),
        };
        step.unwrap_or_else(|error| Step::admin(request, Err(error)))
    }

    fn account_named(&self, name: &UserName) -> Result<Account, AdminError> {
        self.records.named(name).cloned().ok_or_else(|| AdminError::NoSuchUser(name.clone()))
    }

    fn users(&self) -> Vec<UserInfo> {
        let info = |account: &Account| {
            let shown = profile(&self.records, account);
            let on = self.presence.rows().filter(|online| online.row.user == account.user);
            let on: Vec<Wall> = on.map(|online| online.heard_at).collect();
            let seen = self.seen.get(&account.user).copied().unwrap_or_default();
            let last_seen = on.iter().copied().chain([seen, account.last_seen]).max().unwrap_or_default();
            UserInfo {
                user: account.user,
                name: account.name.clone(),
                display_name: account.display_name.clone(),
                department: account.department.clone(),
                online: !on.is_empty(),
                banned: shown.gone,
                must_change_password: account.secret != Secret::Chosen,
                created: account.created,
                last_seen,
                devices: shown.devices.iter().map(|device| device.device).collect(),
            }
        };
        self.records.by_name().map(info).collect()
    }

    fn online(&self) -> Vec<OnlineInfo> {
        let mut online: Vec<OnlineInfo> = self
            .presence
            .rows()
            .filter_map(|online| {
                let account = self.records.account(&online.row.user)?;
                Some(OnlineInfo {
                    user: account.user,
                    name: account.name.clone(),
                    device: online.row.device,
                    endpoints: online.row.endpoints.to_vec(),
                    presence: online.row.presence,
                    since: online.since,
                })
            })
            .collect();
        online.sort_by(|a, b| (&a.name, a.device).cmp(&(&b.name, b.device)));
        online
    }

    fn names(&self, users: &[UserId]) -> BTreeMap<UserId, UserName> {
        let accounts = users.iter().filter_map(|user| self.records.account(user));
        accounts.map(|account| (account.user, account.name.clone())).collect()
    }

    fn stats(&self) -> Stats {
        Stats {
            accounts: self.records.account_count(),
            links: self.sessions.len(),
            online: self.presence.len(),
            ..self.stats
        }
    }

    fn make_invite(
        &mut self,
        request: u64,
        uses: u32,
        lifetime: Option<Duration>,
        now: Wall,
    ) -> Result<Step, AdminError> {
        let ended: Vec<String> = self
            .records
            .invites()
            .filter(|invite| !invite.serves(now))
            .map(|invite| invite.code.clone())
            .collect();
        if self.records.invites().count().saturating_sub(ended.len()) >= MAX_INVITES {
            return Err(AdminError::TooManyInvites);
        }
        let invite = self.new_invite(uses, lifetime, now);
        let made = InviteInfo { code: invite.code.clone(), uses: invite.uses, expires: invite.expires };
        let mut changes: Vec<Change> = ended.into_iter().map(Change::InviteGone).collect();
        changes.push(Change::Invite(invite));
        Ok(answer(request, changes, AdminResult::Invite(made)))
    }

    fn kick(&mut self, request: u64, name: &UserName, force: bool, now: Wall) -> Result<Step, AdminError> {
        let account = self.account_named(name)?;
        let user = account.user;
        let up_to_serial = self.records.newest_serial(now);
        let acts = self.acts(vec![Act::Kick { user, up_to_serial }], &user, force, now)?;
        let serial = vec![Change::Serial(up_to_serial)];
        Ok(Self::act_step(request, user, acts, serial, Some(Refusal::Revoked)))
    }

    fn ban(&mut self, request: u64, name: &UserName, force: bool, now: Wall) -> Result<Step, AdminError> {
        let account = self.account_named(name)?;
        let user = account.user;
        if self.records.revocations().is_banned(&user) {
            return Err(AdminError::AlreadyBanned(name.clone()));
        }
        // The kick outlives the ban: certificates from before stay revoked when it is lifted.
        let up_to_serial = self.records.newest_serial(now);
        let kick = Act::Kick { user, up_to_serial };
        let acts = self.acts(vec![kick, Act::Ban(user)], &user, force, now)?;
        let version = self.records.mark().version + 1;
        let profile = Change::Account(Box::new(Account { version, ..account }));
        let changes = vec![Change::Serial(up_to_serial), profile];
        Ok(Self::act_step(request, user, acts, changes, Some(Refusal::Banned)))
    }

    fn unban(&mut self, request: u64, name: &UserName, force: bool, now: Wall) -> Result<Step, AdminError> {
        let account = self.account_named(name)?;
        let user = account.user;
        if !self.records.revocations().is_banned(&user) {
            return Err(AdminError::NotBanned(name.clone()));
        }
        let acts = self.acts(vec![Act::Unban(user)], &user, force, now)?;
        let version = self.records.mark().version + 1;
        let profile = Change::Account(Box::new(Account { version, ..account }));
        Ok(Self::act_step(request, user, acts, vec![profile], None))
    }

    /// Acts are stored, told to all, and the user's sessions closed for this reason.
    fn act_step(
        request: u64,
        user: UserId,
        acts: Vec<Signed<Revocation>>,
        mut changes: Vec<Change>,
        reason: Option<Refusal>,
    ) -> Step {
        changes.extend(acts.iter().cloned().map(Change::Act));
        Step::new(Origin::Admin(request), changes, move |state, _| {
            state.push_acts(&acts);
            let closed = reason.map_or(0, |reason| state.expel(user, reason));
            let result = Ok(AdminResult::Done { closed });
            state.out.push_back(Output::AdminAnswer { request, result });
        })
    }

    /// Closes a user's sessions; its devices are off at once. Returns how many there were.
    fn expel(&mut self, user: UserId, reason: Refusal) -> usize {
        let of_user = self.presence.rows().filter(|online| online.row.user == user);
        let devices: Vec<DeviceId> = of_user.map(|online| online.row.device).collect();
        let links: Vec<LinkId> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.told.as_ref().is_some_and(|told| told.user == user))
            .map(|(link, _)| *link)
            .collect();
        for link in &links {
            self.refuse(*link, 0, reason, Duration::ZERO);
            self.close(*link, true);
        }
        devices.iter().for_each(|device| self.offline(device));
        links.len()
    }

    /// The next acts of our list. Claims of the user's own devices do not hold it up.
    pub(crate) fn acts(
        &self,
        acts: Vec<Act>,
        user: &UserId,
        force: bool,
        now: Wall,
    ) -> Result<Vec<Signed<Revocation>>, AdminError> {
        let foreign = |device: &&DeviceId| self.records.device(device).is_none_or(|row| row.user != *user);
        let claims = self.claims.keys().filter(foreign).count();
        if claims > 0 && !force {
            return Err(AdminError::Behind(claims));
        }
        let head = self.records.revocations().head(&self.keys.issuer());
        Ok(self.keys.act(head, acts, self.records.act_time(now))?)
    }

    /// Tells acts to all who are signed in, at once.
    pub(crate) fn push_acts(&mut self, acts: &[Signed<Revocation>]) {
        for acts in acts.chunks(lanchat_proto::limits::MAX_REVOCATIONS) {
            let frame = self.revocations_frame(acts);
            self.send_all(frame);
        }
    }

    /// Begins the list of a new issuing key with what the former lists still mean.
    pub(crate) fn restate(&mut self, acts: Vec<Act>, now: Now) -> Step {
        let head = self.records.revocations().head(&self.keys.issuer());
        let acts = self.keys.act(head, acts, self.records.act_time(now.wall)).unwrap_or_default();
        let changes = acts.into_iter().map(Change::Act).collect();
        Step::new(Origin::System, changes, |_, _| {})
    }

    fn announce(&mut self, request: u64, text: String, now: Wall) -> Result<Step, AdminError> {
        let characters = text.chars().count();
        let text = Text::new(text).map_err(|_| AdminError::Announcement)?;
        if !(1..=MAX_ANNOUNCEMENT).contains(&characters) {
            return Err(AdminError::Announcement);
        }
        let number = self.records.announcements().next_back().map_or(1, |last| last.number + 1);
        let announcement = Announcement { number, at: now, text };
        let kept = self.records.announcements().count();
        let old = self.records.announcements().take((kept + 1).saturating_sub(MAX_ANNOUNCEMENTS));
        let mut changes: Vec<Change> = old.map(|old| Change::AnnouncementGone(old.number)).collect();
        changes.push(Change::Announcement(announcement.clone()));
        Ok(Step::new(Origin::Admin(request), changes, move |state, _| {
            state.send_all(Frame::new(Kind::Announcement, &announcement));
            let result = Ok(AdminResult::Announced(number));
            state.out.push_back(Output::AdminAnswer { request, result });
        }))
    }
}

fn answer(request: u64, changes: Vec<Change>, result: AdminResult) -> Step {
    Step::new(Origin::Admin(request), changes, move |state, _| {
        state.out.push_back(Output::AdminAnswer { request, result: Ok(result) });
    })
}
