//! Requests of the user that the coordinator answers.
//!
//! Keeps true: every request is answered exactly once: by the coordinator, by its deadline, or by the end of the session.

use crate::boot::RequestId;
use crate::input::Command;
use crate::limits::{MAX_REQUESTS, REQUEST_DEADLINE};
use crate::output::{Answer, CommandError, Output};
use crate::state::NodeState;
use crate::timers::Timer;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::wire::coordinator::{
    AskAvatar, AskSalt, Avatar, ChangePassword, Done, Logout, Refusal, Salt, SetProfile,
};

impl NodeState {
    pub(crate) fn ask_coordinator(
        &mut self,
        request: RequestId,
        command: Command,
    ) -> Result<(), CommandError> {
        if !self.in_organisation() {
            return Err(CommandError::NoOrganisation);
        }
        let link = self.session.on().ok_or(CommandError::NoCoordinator)?;
        if self.session.requests.len() >= MAX_REQUESTS {
            return Err(CommandError::Busy);
        }
        let id = self.session.request_id();
        let frame = match command {
            Command::SetProfile { display_name, department, title, note, avatar } => Frame::new(
                Kind::SetProfile,
                &SetProfile { request: id, display_name, department, title, note, avatar },
            ),
            Command::AskSalt { user } => Frame::new(Kind::AskSalt, &AskSalt { request: id, user }),
            Command::ChangePassword { old, new } => {
                Frame::new(Kind::ChangePassword, &ChangePassword { request: id, old, new })
            }
            Command::Logout => Frame::new(Kind::Logout, &Logout { request: id }),
            Command::AskAvatar { user } => Frame::new(Kind::AskAvatar, &AskAvatar { request: id, user }),
            Command::SendText { .. }
            | Command::Nudge { .. }
            | Command::MarkRead { .. }
            | Command::SetPresence { .. }
            | Command::AskToBeDialled
            | Command::OfferFile { .. }
            | Command::SetAutoAccept { .. }
            | Command::Transfer { .. }
            | Command::Endorse { .. }
            | Command::AcceptDevice { .. }
            | Command::AskSafetyCode { .. }
            | Command::ConfirmSafetyCode { .. }
            | Command::ForgetSafetyCode { .. } => return Err(CommandError::NoCoordinator),
        };
        self.session.requests.insert(id, request);
        self.timers.set(Timer::Request(request), self.after(REQUEST_DEADLINE));
        self.post(link, frame);
        Ok(())
    }

    /// Answers the request with this id. Returns whether there is one.
    pub(crate) fn finish(&mut self, id: u64, result: Result<Answer, CommandError>) -> bool {
        let Some(request) = self.session.requests.remove(&id) else { return false };
        self.timers.cancel(Timer::Request(request));
        self.out.push_back(Output::Answer { request, result });
        true
    }

    pub(crate) fn answer_done(&mut self, done: &Done) {
        self.finish(done.request, Ok(Answer::Done));
    }

    pub(crate) fn answer_salt(&mut self, salt: &Salt) {
        self.finish(salt.request, Ok(Answer::Salt(salt.salt)));
    }

    pub(crate) fn answer_avatar(&mut self, avatar: Avatar) {
        self.finish(avatar.request, Ok(Answer::Avatar(avatar.picture.into_vec())));
    }

    pub(crate) fn answer_refused(&mut self, id: u64, refusal: Refusal) -> bool {
        self.finish(id, Err(CommandError::Refused(refusal)))
    }

    pub(crate) fn request_timed_out(&mut self, request: RequestId) {
        let id = self.session.requests.iter().find(|(_, other)| **other == request).map(|(id, _)| *id);
        if let Some(id) = id {
            self.finish(id, Err(CommandError::TimedOut));
        }
    }

    /// The session ended: what was asked may or may not have been done.
    pub(crate) fn fail_requests(&mut self) {
        let ids: Vec<u64> = self.session.requests.keys().copied().collect();
        for id in ids {
            self.finish(id, Err(CommandError::NoCoordinator));
        }
    }
}
