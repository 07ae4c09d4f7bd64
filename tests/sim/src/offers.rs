//! Offered files: what people do with them in a schedule, and what has to hold of it.
//!
//! At each moment: nothing that is over comes back to life, in what a person is shown and on the disk. In the end: both
//! sides say the same of each offer, and what was accepted and is held by nobody's pause is complete. What a fetch has to
//! keep to is checked in [`crate::files`]. The rules: `docs/protocol.md#transfer`.

use crate::net::At;
use crate::pc::{Pc, Standing};
use crate::world::World;
use lanchat_node_core::Command;
use lanchat_node_core::boot::{AutoAccept, RequestId, StoredTransfer, TransferState};
use lanchat_node_core::input::TransferAct;
use lanchat_node_core::output::{Answer, Change, CommandError};
use lanchat_node_core::view::TransferView;
use lanchat_proto::blob::BlobHash;
use lanchat_proto::codec::Text;
use lanchat_proto::entry::FileBody;
use lanchat_proto::ids::{MessageId, UserId};
use lanchat_proto::state::FileWord;
use lanchat_proto::time::Wall;

/// Bytes of the largest file that is fetched unasked, where people want that.
pub const UNASKED: u64 = 100;
/// Bytes of the largest file in a schedule.
pub const MAX_SIZE: u64 = 125;

/// An offer that was shown as sent.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// From which machine.
    pub from: At,
    /// By whom.
    pub author: UserId,
    /// To whom.
    pub to: UserId,
}

impl World {
    /// Decides whether people offer files in this schedule, and whose are fetched unasked.
    pub(crate) fn draw_files(&mut self) {
        self.files.on = self.files.rng.chance(40);
        if !self.files.on {
            return;
        }
        let users: Vec<UserId> = self.pcs.iter().map(|pc| pc.person.user).collect();
        for index in 0..self.pcs.len() {
            let rule = match self.files.rng.below(6) {
                0 => AutoAccept::All,
                1 => AutoAccept::From(self.files.rng.pick(&users).into_iter().collect()),
                _ => AutoAccept::Never,
            };
            if let Some(pc) = self.pcs.get_mut(index) {
                pc.rule = rule;
            }
        }
    }

    /// Perhaps somebody offers a file, or does something about one.
    pub(crate) fn act_on_files(&mut self) {
        if !self.files.on || !self.files.rng.chance(35) {
            return;
        }
        let at = self.files.rng.index(self.pcs.len()) + 1;
        if self.files.rng.chance(30) {
            let to = self.files.rng.index(self.pcs.len()) + 1;
            let burst = if self.files.rng.chance(8) { self.files.rng.range(4, 7) } else { 1 };
            return (0..burst).for_each(|_| self.offers_file(at, to));
        }
        let views =
            self.pc(at).and_then(|pc| pc.core.as_ref()).map_or_else(Vec::new, |core| core.transfers());
        let open: Vec<MessageId> =
            views.iter().filter(|view| acted_on(view)).map(|view| view.stored.offer).collect();
        let many = if self.files.rng.chance(30) { open.len() } else { 1 };
        for _ in 0..many {
            let Some(offer) = self.files.rng.pick(&open) else { return };
            let act = match self.files.rng.below(100) {
                0..55 => TransferAct::Accept,
                55..63 => TransferAct::Reject,
                63..73 => TransferAct::Pause,
                73..88 => TransferAct::Resume,
                _ => TransferAct::Cancel,
            };
            self.trace.say(self.now, || format!("{at} wants {act:?} of {}", offer.short()));
            self.command(at, Command::Transfer { offer, act });
        }
    }

    /// Somebody offers somebody a file.
    pub fn offers_file(&mut self, from: At, to: At) {
        let users = (self.pc(from).map(|pc| pc.person.user), self.pc(to).map(|pc| pc.person.user));
        let (Some(author), Some(to)) = users else { return };
        let (size, number) = (self.draw_size(), self.files.draw_number());
        let Ok(name) = Text::new(format!("{number}.pdf")) else { return };
        let Ok(media_type) = Text::new("application/pdf") else { return };
        let hash = BlobHash(*blake3::hash(&number.to_le_bytes()).as_bytes());
        let file = FileBody { name, size, media_type, hash, changed: Wall(0) };
        if author != to {
            self.command(from, Command::OfferFile { to, file });
        }
    }

    pub(crate) fn before_file_command(&mut self, at: At, run: u32, request: RequestId, command: &Command) {
        match command {
            Command::OfferFile { to, .. } => drop(self.files.asked.insert((at, run, request.0), *to)),
            Command::Transfer { offer, act: TransferAct::Accept } => {
                self.files.wanted.insert((at, *offer));
            }
            _ => {}
        }
    }

    pub(crate) fn offer_answered(
        &mut self,
        asked: (At, u32, RequestId),
        result: &Result<Answer, CommandError>,
    ) {
        let (from, run, request) = asked;
        let Some(to) = self.files.asked.remove(&(from, run, request.0)) else { return };
        let Some(author) = self.pc(from).map(|pc| pc.person.user) else { return };
        if let Ok(Answer::Sent { message, .. }) = result {
            self.files.offers.insert(*message, Offer { from, author, to });
        }
    }

    /// Whether a machine fetches a file unasked.
    pub(crate) fn is_wanted_by_rule(&self, at: At, row: &StoredTransfer) -> bool {
        let rule = self.pc(at).map(|pc| &pc.rule);
        row.file.size <= UNASKED
            && match rule {
                Some(AutoAccept::All) => true,
                Some(AutoAccept::From(users)) => users.contains(&row.author),
                Some(AutoAccept::Never) | None => false,
            }
    }

    /// A program shows a transfer.
    pub(crate) fn hears_transfer(&mut self, at: At, offer: &MessageId) {
        let Some(pc) = self.pc_mut(at) else { return };
        let Some(view) = pc.core.as_ref().and_then(|core| core.transfer(offer)) else { return };
        let (state, outgoing) = (view.stored.state, view.outgoing);
        let before = pc.transfers.insert(*offer, state);
        self.trace.say(self.now, || format!("{at} shows {} as {state} {}", offer.short(), view.stored.error));
        if let Some(before) = before.filter(|before| !may_become(*before, state, outgoing)) {
            self.breaks(format!("{} shows what was {before} as {state}", self.name(at)));
        }
    }

    /// Rows of transfers are about to become durable.
    pub(crate) fn check_rows(&mut self, at: At, changes: &[Change]) {
        for change in changes {
            let Change::Transfer(row) = change else { continue };
            let Some(pc) = self.pc(at) else { return };
            let outgoing = row.author == pc.person.user;
            let before = pc.disk.transfers.get(&row.offer).map(|row| row.state);
            if let Some(before) = before.filter(|before| !may_become(*before, row.state, outgoing)) {
                self.breaks(format!("{} stores what was {before} as {}", self.name(at), row.state));
            }
            let Some(pc) = self.pc(at) else { return };
            let said = pc.disk.words.get(&(row.offer, pc.device()));
            let withdrawn = said.is_some_and(|(record, _)| record.word == FileWord::Withdrawn);
            if withdrawn && !matches!(row.state, TransferState::Cancelled | TransferState::Complete) {
                self.breaks(format!("{} stores what it withdrew as {}", self.name(at), row.state));
            }
        }
    }

    /// What is not yet as it should be of the offers.
    pub(crate) fn open_offers(&self, open: &mut Vec<String>) {
        for (message, offer) in &self.files.offers {
            let of = |user: UserId| self.pcs.iter().filter(move |pc| pc.person.user == user);
            let all: Vec<&Pc> = of(offer.author).chain(of(offer.to)).collect();
            // Who is not let in hears nothing; an old copy of a disk knows of nothing that came after it.
            if all.iter().any(|pc| pc.standing != Standing::Member || pc.rolled_back) {
                continue;
            }
            let mut views = Vec::new();
            for pc in all {
                match pc.core.as_ref().and_then(|core| core.transfer(message)) {
                    Some(view) => views.push((pc.at, view)),
                    None => open.push(format!("{} lacks the offer {}", self.name(pc.at), message.short())),
                }
            }
            if let Some(wrong) = self.disagree(message, offer, &views) {
                let states: Vec<String> = views
                    .iter()
                    .map(|(at, view)| format!("{at} {} {}", view.stored.state, view.stored.error))
                    .collect();
                open.push(format!(
                    "{} of {}: {wrong} ({})",
                    message.short(),
                    self.name(offer.from),
                    states.join(", ")
                ));
            }
        }
    }

    /// What does not fit together in the ends of one offer.
    fn disagree(
        &self,
        message: &MessageId,
        offer: &Offer,
        views: &[(At, TransferView)],
    ) -> Option<&'static str> {
        use TransferState as S;
        let state_at =
            |at: At| views.iter().find(|(other, _)| *other == at).map(|(_, view)| view.stored.state);
        let holder = state_at(offer.from)?;
        let failed = |at: At| self.files.failed.contains(&(at, *message));
        let withdrawn = self.pc(offer.from).is_some_and(|pc| {
            let said = pc.disk.words.get(&(*message, pc.device()));
            said.is_some_and(|(record, _)| record.word == FileWord::Withdrawn)
        });
        let theirs = || views.iter().filter(|(_, view)| !view.outgoing);
        let mut told = S::Offered;
        for (at, view) in theirs() {
            let own_pause = view.stored.error.is_empty();
            let fine = match view.stored.state {
                S::Waiting | S::Running => false,
                S::Paused => !withdrawn && (own_pause || holder == S::Paused),
                S::Failed => !withdrawn && (failed(*at) || self.files.lost.contains(message)),
                S::Offered | S::Rejected => !withdrawn,
                S::Complete | S::Cancelled => true,
            };
            if !fine {
                return Some("it is not over, and nobody holds it");
            }
            told = weightier(told, view.stored.state);
        }
        for (at, view) in views.iter().filter(|(_, view)| view.outgoing) {
            let state = view.stored.state;
            let fine = match told {
                S::Complete => state == S::Complete,
                _ if withdrawn => state == S::Cancelled,
                // Whoever sends does not learn why it does not go on, but for its own pause and its own source. It may have
                // been asked for the file by somebody who forgot in a crash.
                S::Waiting | S::Offered | S::Failed if state == S::Paused => true,
                S::Waiting | S::Offered | S::Rejected if state == S::Failed => failed(*at),
                told => state == told,
            };
            if !fine {
                return Some("its author is told otherwise");
            }
        }
        None
    }
}

/// What an author is told of two devices of the same user.
fn weightier(a: TransferState, b: TransferState) -> TransferState {
    use TransferState as S;
    let weight = |state| match state {
        S::Complete => 5,
        S::Waiting | S::Running | S::Paused => 4,
        S::Failed => 3,
        S::Cancelled => 2,
        S::Rejected => 1,
        S::Offered => 0,
    };
    match (weight(a).max(weight(b)), weight(a) > weight(b)) {
        (4, _) => S::Waiting,
        (_, true) => a,
        (_, false) => b,
    }
}

/// Whether a transfer in one state may be seen in another one later. Who offers it follows the words of others, which may
/// outweigh each other; only what is there is so for ever.
fn may_become(before: TransferState, after: TransferState, outgoing: bool) -> bool {
    use TransferState as S;
    match before {
        S::Complete => after == S::Complete,
        _ if outgoing => true,
        S::Cancelled => after == S::Cancelled,
        // Who rejected it may think otherwise.
        _ => after != S::Offered || before == S::Offered,
    }
}

/// Whether people do something about a transfer in a schedule.
fn acted_on(view: &TransferView) -> bool {
    view.stored.state != TransferState::Complete
}
