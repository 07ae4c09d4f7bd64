//! Offered files: who offers what to whom, how far each is, and from whom it is fetched.
//!
//! Keeps true: an offer is a transfer from the moment it is on disk; what is complete stays so; both sides come to the same
//! end, in whatever order their words come and whatever a crash kept of them; a file is fetched over one link at a time,
//! the best there is, and goes on by itself after whatever broke it. Goes in: offers, words, links, what the user wants,
//! ends of fetches. Goes out: orders to fetch, words, changes. The rules: `docs/protocol.md#transfer`.

mod agreement;
mod fetching;

use crate::boot::{AutoAccept, LinkId, RequestId, StoredTransfer, TransferState};
use crate::input::TransferAct;
use crate::limits::{MAX_OVER, MAX_TRANSFERS, TRANSFER_RETRY};
use crate::output::{Change, CommandError, Event, Output, StoredEntry};
use crate::state::NodeState;
use crate::timers::Timer;
use crate::view::TransferView;
use lanchat_proto::codec;
use lanchat_proto::entry::{EntryKind, FileBody};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{MessageId, UserId};
use lanchat_proto::state::{FileRecord, FileWord};
use lanchat_proto::wire::blob::BlobReady;
use std::collections::BTreeMap;

/// What is under way for a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum UnderWay {
    /// It is being fetched over a link.
    Fetch(LinkId),
    /// It is being saved.
    Save,
}

/// A transfer and what is under way for it.
#[derive(Clone, Debug)]
struct Transfer {
    stored: StoredTransfer,
    /// Whether the offer is on disk.
    known: bool,
    /// What is under way.
    under_way: Option<UnderWay>,
    /// All of it is here, and only its final name is missing.
    whole: bool,
    /// Fetches in a row that broke.
    failures: u32,
    /// Paused here, by the user; not stored apart from the state.
    held: bool,
    /// Its author does not offer it any more; the author's word for that is what is stored.
    withdrawn: bool,
}

impl Transfer {
    fn new(stored: StoredTransfer, known: bool) -> Self {
        let held = stored.state == TransferState::Paused && stored.error.is_empty();
        Self { stored, known, under_way: None, whole: false, failures: 0, held, withdrawn: false }
    }

    /// Whether it is to be fetched when there is a link and a place.
    fn waits(&self) -> bool {
        use TransferState as S;
        let wanted = matches!(self.stored.state, S::Waiting | S::Running);
        self.known && (wanted || (self.stored.state == S::Paused && !self.held))
    }
}

/// All transfers.
#[derive(Clone, Default)]
pub(crate) struct Transfers {
    all: BTreeMap<MessageId, Transfer>,
}

impl Transfers {
    pub(crate) fn new(stored: Vec<StoredTransfer>) -> Self {
        let transfer = |mut stored: StoredTransfer| {
            if stored.state == TransferState::Running {
                stored.state = TransferState::Waiting;
            }
            (stored.offer, Transfer::new(stored, true))
        };
        Self { all: stored.into_iter().map(transfer).collect() }
    }

    /// A transfer as it is to be stored now.
    pub(crate) fn row(&self, offer: &MessageId) -> Option<&StoredTransfer> {
        self.all.get(offer).map(|transfer| &transfer.stored)
    }

    /// An offer did not get to the disk.
    pub(crate) fn not_written(&mut self, offer: &MessageId) {
        if self.all.get(offer).is_some_and(|transfer| !transfer.known) {
            self.all.remove(offer);
        }
    }

    /// How many of an author's are not over.
    fn open_of(&self, author: &UserId) -> usize {
        let open = |row: &StoredTransfer| row.author == *author && !row.state.is_over();
        self.all.values().filter(|transfer| open(&transfer.stored)).count()
    }

    /// Of an author's that are over, one to forget if there are too many, but not this one.
    fn surplus_of(&self, author: &UserId, but: &MessageId) -> Option<MessageId> {
        let over = |row: &&StoredTransfer| row.author == *author && row.state.is_over();
        let rows = || self.all.values().map(|transfer| &transfer.stored).filter(over);
        let surplus = rows().map(|row| row.offer).find(|offer| offer != but);
        surplus.filter(|_| rows().count() > MAX_OVER)
    }
}

impl NodeState {
    /// Offers a file; the answer comes when the offer is on disk.
    pub(crate) fn offer_file(
        &mut self,
        request: RequestId,
        to: UserId,
        file: &FileBody,
    ) -> Result<(), CommandError> {
        self.check_recipient(&to)?;
        if self.transfers.open_of(&self.me.user) >= MAX_TRANSFERS {
            return Err(CommandError::Busy);
        }
        let content = codec::encode(file).map_err(|error| CommandError::Store(error.to_string()))?;
        self.say(request, to, EntryKind::File, content)
    }

    /// An entry is being written: if it offers a file, the transfer is written with it.
    pub(crate) fn offer_queued(&mut self, stored: &StoredEntry) -> Option<StoredTransfer> {
        let header = &stored.entry.header;
        let is_file = EntryKind::from_number(header.kind) == Some(EntryKind::File);
        let file: FileBody = is_file.then(|| stored.entry.body().ok().flatten()).flatten()?;
        if let Some(known) = self.transfers.all.get_mut(&header.message) {
            // Issued again, in another entry: who fetches has to name that one.
            known.stored.entry = stored.entry.hash;
            return Some(known.stored.clone());
        }
        if self.transfers.open_of(&stored.author) >= MAX_TRANSFERS {
            return None;
        }
        let wanted = stored.author != self.me.user && self.is_fetched_unasked(&stored.author, file.size);
        let row = StoredTransfer {
            offer: header.message,
            conversation: header.conversation,
            entry: stored.entry.hash,
            author: stored.author,
            device: header.device,
            file,
            state: if wanted { TransferState::Waiting } else { TransferState::Offered },
            error: String::new(),
        };
        self.transfers.all.insert(row.offer, Transfer::new(row.clone(), false));
        Some(row)
    }

    fn is_fetched_unasked(&self, author: &UserId, size: u64) -> bool {
        size <= self.settings.auto_accept_max
            && match &self.settings.auto_accept {
                AutoAccept::Never => false,
                AutoAccept::From(users) => users.contains(author),
                AutoAccept::All => true,
            }
    }

    /// An offer is on disk: it is shown, and fetched if it was taken unasked.
    pub(crate) fn offer_on_disk(&mut self, offer: MessageId) {
        let Some(transfer) = self.transfers.all.get_mut(&offer) else { return };
        if std::mem::replace(&mut transfer.known, true) {
            return;
        }
        let row = transfer.stored.clone();
        self.event(Event::Transfer { offer });
        let records: Vec<FileRecord> = self.words.about(&row.conversation, &offer).cloned().collect();
        records.iter().for_each(|record| self.file_word(record));
        let state = self.transfers.all.get(&offer).map(|transfer| transfer.stored.state);
        if row.author != self.me.user && state == Some(TransferState::Waiting) {
            self.say_of_file(row.conversation, offer, FileWord::Accepted, Vec::new());
            self.transfer_due(offer);
        }
    }

    /// Moves a transfer on. Returns what is to be written of that.
    fn move_on(&mut self, offer: MessageId, state: TransferState, error: &str) -> Vec<Change> {
        let Some(transfer) = self.transfers.all.get_mut(&offer) else { return Vec::new() };
        if transfer.stored.state == state && transfer.stored.error == error {
            return Vec::new();
        }
        transfer.stored.state = state;
        // A pause ends with the state: whatever made it go on, or end for one device, goes for all that fetch it.
        transfer.held &= state == TransferState::Paused;
        error.clone_into(&mut transfer.stored.error);
        let row = transfer.stored.clone();
        self.event(Event::Transfer { offer });
        let surplus = state.is_over().then(|| self.forget_surplus(&row)).flatten();
        std::iter::once(Change::Transfer(row)).chain(surplus).collect()
    }

    /// Another transfer of the same author may be one too many now.
    fn forget_surplus(&mut self, over: &StoredTransfer) -> Option<Change> {
        let offer = self.transfers.surplus_of(&over.author, &over.offer)?;
        let conversation = self.transfers.all.remove(&offer)?.stored.conversation;
        self.words.forget(&conversation, &offer);
        self.timers.cancel(Timer::Transfer(offer));
        Some(Change::ForgetTransfer { conversation, offer })
    }

    /// Moves a transfer on and writes that down.
    fn set_transfer(&mut self, offer: MessageId, state: TransferState, error: &str) {
        let changes = self.move_on(offer, state, error);
        self.save(changes);
    }

    /// Moves a transfer on by a decision that the others have to hear of: both are written at once, so that a crash
    /// does not leave the one without the other.
    fn decide(&mut self, offer: MessageId, state: TransferState, word: FileWord) {
        self.decide_for(offer, state, "", word);
    }

    /// The same, with a reason.
    fn decide_for(&mut self, offer: MessageId, state: TransferState, error: &str, word: FileWord) {
        let conversation = self.transfers.row(&offer).map(|row| row.conversation);
        let changes = self.move_on(offer, state, error);
        if let Some(conversation) = conversation {
            self.say_of_file(conversation, offer, word, changes);
        }
    }

    /// The user acts on a transfer.
    pub(crate) fn act_on(&mut self, offer: MessageId, act: TransferAct) -> Result<(), CommandError> {
        let transfer = self.transfers.all.get(&offer).filter(|transfer| transfer.known);
        let row = transfer.map(|transfer| transfer.stored.clone()).ok_or(CommandError::NoSuchTransfer)?;
        let outgoing = row.device == self.me.device;
        let mine = row.author == self.me.user;
        let impossible = Err(CommandError::TransferState(row.state));
        use TransferState as S;
        match act {
            // One that is paused may have to go elsewhere than it was to go.
            TransferAct::Accept
                if !mine && matches!(row.state, S::Offered | S::Paused | S::Failed | S::Rejected) =>
            {
                self.hold(offer, false);
                self.decide(offer, S::Waiting, FileWord::Accepted);
                self.transfer_due(offer);
            }
            TransferAct::Reject if !mine && row.state == S::Offered => {
                self.decide(offer, S::Rejected, FileWord::Rejected);
            }
            TransferAct::Pause if !row.state.is_over() && row.state != S::Offered => {
                self.hold(offer, true);
                self.set_transfer(offer, S::Paused, "");
                self.stop_file(offer, false);
            }
            // One that failed may be fetched again until it is withdrawn.
            TransferAct::Resume if row.state == S::Paused || (!mine && row.state == S::Failed) => {
                self.hold(offer, false);
                if mine {
                    self.set_transfer(offer, S::Waiting, "");
                } else {
                    self.decide(offer, S::Waiting, FileWord::Accepted);
                }
                self.weigh_words(offer);
                self.transfer_due(offer);
                if outgoing {
                    self.say_ready(&row);
                }
            }
            // What was rejected can be wanted after all, as long as it is offered.
            TransferAct::Cancel
                if (outgoing || !mine)
                    && (!row.state.is_over()
                        || row.state == S::Failed
                        || (outgoing && row.state == S::Rejected)) =>
            {
                self.withdraw(offer, outgoing);
                let word = if outgoing { FileWord::Withdrawn } else { FileWord::Cancelled };
                self.decide(offer, S::Cancelled, word);
                self.stop_file(offer, true);
            }
            _ => return impossible,
        }
        Ok(())
    }

    /// Whoever was refused because of a pause need not wait for its next try.
    fn say_ready(&mut self, row: &StoredTransfer) {
        let ready = BlobReady { offer: row.offer };
        for (_, link) in self.audience(&row.conversation) {
            self.post(link, Frame::new(Kind::BlobReady, &ready));
        }
    }

    /// Who offers a file says that it may be asked for again. A pause of the own user stays.
    pub(crate) fn ready_came(&mut self, id: LinkId, ready: &BlobReady) {
        let from = self.links.get(id).map(|link| link.device);
        let Some(transfer) = self.transfers.all.get_mut(&ready.offer) else { return };
        if from == Some(transfer.stored.device) && transfer.under_way.is_none() && transfer.waits() {
            transfer.failures = 0;
            // Not at once, however often it is said.
            self.timers.set_sooner(Timer::Transfer(ready.offer), self.after(TRANSFER_RETRY));
        }
    }

    fn hold(&mut self, offer: MessageId, held: bool) {
        if let Some(transfer) = self.transfers.all.get_mut(&offer) {
            transfer.held = held;
            transfer.failures = 0;
        }
    }

    /// Stops a transfer that is not to go on by itself any more, by its state: its place is free for others.
    fn stop_file(&mut self, offer: MessageId, discard: bool) {
        self.timers.cancel(Timer::Transfer(offer));
        if let Some(transfer) = self.transfers.all.get_mut(&offer) {
            transfer.under_way = None;
        }
        self.out.push_back(Output::StopFile { offer, discard });
        self.fetch_next();
    }

    fn withdraw(&mut self, offer: MessageId, withdrawn: bool) {
        if let Some(transfer) = self.transfers.all.get_mut(&offer) {
            transfer.withdrawn |= withdrawn;
        }
    }

    /// All transfers, in no order that means anything.
    #[must_use]
    pub fn transfers(&self) -> Vec<TransferView> {
        let known = self.transfers.all.values().filter(|transfer| transfer.known);
        known.map(|transfer| self.transfer_view(transfer)).collect()
    }

    /// One transfer.
    #[must_use]
    pub fn transfer(&self, offer: &MessageId) -> Option<TransferView> {
        let known = self.transfers.all.get(offer).filter(|transfer| transfer.known);
        known.map(|transfer| self.transfer_view(transfer))
    }

    fn transfer_view(&self, transfer: &Transfer) -> TransferView {
        let stored = transfer.stored.clone();
        let descriptor = self.logs.conversations.get(&stored.conversation);
        let peer = descriptor.and_then(|descriptor| descriptor.other(&self.me.user));
        let outgoing = stored.author == self.me.user;
        TransferView { peer: peer.unwrap_or(stored.author), stored, outgoing }
    }
}
