//! What a signed-in device may ask for, and the one place where requests are told apart.
//!
//! Keeps true: everything but asking for a salt, registering, logging in and signing in needs a signed-in device; what
//! cannot be read closes the link.

use crate::address::Source;
use crate::io::{LinkId, Output};
use crate::record::{Account, Change, Device, Secret, Verifier};
use crate::state::{CoordinatorState, Origin, Step};
use lanchat_proto::certificate::Act;
use lanchat_proto::codec::{Blob, BoundedVec};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::UserId;
use lanchat_proto::limits::MAX_PAGE;
use lanchat_proto::time::Now;
use lanchat_proto::wire::coordinator::{
    AskAvatar, Avatar, ChangePassword, Done, FindUsers, FoundUsers, Logout, Refusal, SetProfile,
};
use std::time::Duration;

impl CoordinatorState {
    /// A request, as a step.
    pub(crate) fn request(&mut self, link: LinkId, frame: &Frame, now: Now) -> Step {
        let bad = |_| Step::only(move |state: &mut Self, _| state.close(link, false));
        match frame.known() {
            Some(Kind::AskSalt) => frame.decode().map_or_else(bad, |ask| self.ask_salt(link, &ask)),
            Some(Kind::Register) => frame.decode().map_or_else(bad, |ask| self.register(link, ask, now)),
            Some(Kind::Login) => frame.decode().map_or_else(bad, |ask| self.login(link, &ask, now)),
            Some(Kind::SignIn) => frame.decode().map_or_else(bad, |ask| self.sign_in(link, ask, now)),
            other => match self.told(link).map(|told| told.user) {
                Some(user) => self.member_request(link, user, other, frame, now),
                None => Step::only(move |state, _| state.refuse_stranger(link, 0)),
            },
        }
    }

    fn member_request(
        &mut self,
        link: LinkId,
        user: UserId,
        kind: Option<Kind>,
        frame: &Frame,
        now: Now,
    ) -> Step {
        let bad = |_| Step::only(move |state: &mut Self, _| state.close(link, false));
        match kind {
            Some(Kind::SetProfile) => {
                frame.decode().map_or_else(bad, |ask| self.set_profile(link, user, ask))
            }
            Some(Kind::ChangePassword) => {
                frame.decode().map_or_else(bad, |ask| self.change_password(link, user, &ask, now))
            }
            Some(Kind::Logout) => frame.decode().map_or_else(bad, |ask| self.logout(link, ask, now)),
            Some(Kind::AskAvatar) => frame.decode().map_or_else(bad, |ask| self.ask_avatar(link, ask)),
            Some(Kind::FindUsers) => frame.decode().map_or_else(bad, |ask| self.find_users(link, &ask)),
            _ => Step::only(move |state, _| state.close(link, false)),
        }
    }

    fn set_profile(&mut self, link: LinkId, user: UserId, ask: SetProfile) -> Step {
        let request = ask.request;
        let Some(before) = self.records.account(&user).cloned() else {
            return Step::refuse(link, request, Refusal::NoSuchUser);
        };
        let mut changes = Vec::new();
        let mut avatar = before.avatar;
        if let Some(picture) = ask.avatar {
            avatar = if picture.is_empty() { [0; 32] } else { blake3::hash(&picture).into() };
            changes.push(Change::Avatar { user, picture: picture.into_vec() });
        }
        // An empty name to display would show nobody: it falls back to the login.
        let display_name = ask.display_name.map_or(before.display_name, |name| {
            if name.as_str().is_empty() { (&before.name).into() } else { name }
        });
        let account = Account {
            display_name,
            department: ask.department.unwrap_or(before.department),
            title: ask.title.unwrap_or(before.title),
            note: ask.note.unwrap_or(before.note),
            avatar,
            version: self.records.mark().version + 1,
            ..before
        };
        changes.push(Change::Account(Box::new(account)));
        done(link, request, changes)
    }

    fn change_password(&mut self, link: LinkId, user: UserId, ask: &ChangePassword, now: Now) -> Step {
        let request = ask.request;
        let source = self.sessions.get(&link).map(|session| Source::of(session.remote));
        let (Some(before), Some(source)) = (self.records.account(&user).cloned(), source) else {
            return Step::refuse(link, request, Refusal::NoSuchUser);
        };
        let wait = self.guesses.wait(&before.name, source, now.mono);
        if wait > Duration::ZERO {
            return Step::only(move |state, _| state.refuse(link, request, Refusal::TooManyTries, wait));
        }
        if !before.password.matches(&ask.old) {
            self.guesses.wrong(&before.name, source, now.mono);
            return Step::refuse(link, request, Refusal::WrongPassword);
        }
        if before.password.matches(&ask.new) {
            return Step::refuse(link, request, Refusal::BadPassword);
        }
        let password = Verifier::of(&ask.new, &mut self.random);
        let account = Account { password, secret: Secret::Chosen, ..before };
        done(link, request, vec![Change::Account(Box::new(account))])
    }

    fn logout(&mut self, link: LinkId, ask: Logout, now: Now) -> Step {
        let request = ask.request;
        let device = self.sessions.get(&link).map(|session| session.device);
        let row = device.and_then(|device| self.records.device(&device)).cloned();
        let account = row.as_ref().and_then(|row| self.records.account(&row.user)).cloned();
        let (Some(row), Some(account)) = (row, account) else {
            return Step::refuse(link, request, Refusal::NoSuchUser);
        };
        let device = row.device;
        let up_to_serial = self.records.newest_serial(now.wall);
        let Ok(acts) =
            self.acts(vec![Act::RevokeDevice { device, up_to_serial }], &row.user, false, now.wall)
        else {
            return Step::refuse(link, request, Refusal::Unavailable);
        };
        let version = self.records.mark().version + 1;
        let mut changes: Vec<Change> = acts.iter().cloned().map(Change::Act).collect();
        changes.push(Change::Serial(up_to_serial));
        changes.push(Change::Device(Box::new(Device { active: false, ..row })));
        changes.push(Change::Account(Box::new(Account { version, ..account })));
        Step::new(Origin::Link(link, request), changes, move |state, _| {
            state.push_acts(&acts);
            state.send(link, Frame::new(Kind::Done, &Done { request }));
            state.goodbye(link);
            state.close(link, true);
        })
    }

    fn ask_avatar(&mut self, link: LinkId, ask: AskAvatar) -> Step {
        let (request, user) = (ask.request, ask.user);
        if self.records.account(&user).is_none() {
            return Step::refuse(link, request, Refusal::NoSuchUser);
        }
        Step::read(link, request, move |state| {
            state.out.push_back(Output::ReadAvatar { link, request, user })
        })
    }

    pub(crate) fn avatar_read(&mut self, link: LinkId, request: u64, user: UserId, picture: Vec<u8>) {
        if self.told(link).is_some() {
            let picture = Blob::new(picture).unwrap_or_default();
            self.send(link, Frame::new(Kind::Avatar, &Avatar { request, user, picture }));
        }
    }

    fn find_users(&mut self, link: LinkId, ask: &FindUsers) -> Step {
        let query = ask.query.as_str().to_lowercase();
        let matches = |account: &&Account| {
            let has = |text: &str| text.to_lowercase().contains(&query);
            let shown = !self.records.revocations().is_banned(&account.user);
            let found = has(account.name.as_str())
                || has(account.display_name.as_str())
                || has(account.department.as_str());
            shown && found
        };
        let users: Vec<UserId> =
            self.records.by_name().filter(matches).take(MAX_PAGE).map(|account| account.user).collect();
        let found = FoundUsers { request: ask.request, users: BoundedVec::first(users) };
        Step::read(link, ask.request, move |state| state.send(link, Frame::new(Kind::FoundUsers, &found)))
    }
}

fn done(link: LinkId, request: u64, changes: Vec<Change>) -> Step {
    Step::new(Origin::Link(link, request), changes, move |state, _| {
        state.send(link, Frame::new(Kind::Done, &Done { request }));
    })
}
