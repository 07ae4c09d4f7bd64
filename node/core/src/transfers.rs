//! Offered files: who offers what to whom, how far each is, and from whom it is fetched.
//!
//! Keeps true: an offer is a transfer from the moment it is on disk; what is complete stays so; both sides come to the same
//! end, in whatever order their words come and whatever a crash kept of them; a file is fetched over one link at a time,
//! the best there is, and goes on by itself after whatever broke it. Goes in: offers, words, links, what the user wants,
//! ends of fetches. Goes out: orders to fetch, words, changes. The rules: `docs/protocol.md#transfer`.

use crate::boot::{AutoAccept, LinkId, RequestId, StoredTransfer, TransferState};
use crate::input::{FetchEnd, TransferAct};
use crate::limits::{MAX_FETCHES, MAX_OVER, MAX_TRANSFERS, TRANSFER_RETRY, TRANSFER_RETRY_MAX};
use crate::output::{Change, CommandError, Event, FetchOrder, Output, StoredEntry};
use crate::state::NodeState;
use crate::timers::Timer;
use crate::view::{NO_ROOM, TransferView};
use lanchat_proto::codec;
use lanchat_proto::entry::{Descriptor, EntryKind, FileBody};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{DeviceId, MessageId, UserId};
use lanchat_proto::state::{FileRecord, FileWord};
use lanchat_proto::wire::blob::{BlobOpen, BlobReady, BlobRefusal};
use std::collections::BTreeMap;

/// A transfer and what is under way for it.
#[derive(Clone, Debug)]
struct Transfer {
    stored: StoredTransfer,
    /// Whether the offer is on disk.
    known: bool,
    /// The link over which it is being fetched.
    fetching: Option<LinkId>,
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
        Self { stored, known, fetching: None, failures: 0, held, withdrawn: false }
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
        let conversation = self.transfers.row(&offer).map(|row| row.conversation);
        let changes = self.move_on(offer, state, "");
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
            TransferAct::Accept if !mine && matches!(row.state, S::Offered | S::Failed | S::Rejected) => {
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
                self.set_transfer(offer, S::Waiting, "");
                self.weigh_words(offer);
                self.transfer_due(offer);
                if outgoing {
                    self.say_ready(&row);
                }
            }
            TransferAct::Cancel
                if (outgoing || !mine) && (!row.state.is_over() || row.state == S::Failed) =>
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
        if from == Some(transfer.stored.device) && transfer.fetching.is_none() && transfer.waits() {
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
            transfer.fetching = None;
        }
        self.out.push_back(Output::StopFile { offer, discard });
        self.fetch_next();
    }

    fn withdraw(&mut self, offer: MessageId, withdrawn: bool) {
        if let Some(transfer) = self.transfers.all.get_mut(&offer) {
            transfer.withdrawn |= withdrawn;
        }
    }

    /// Another device's word about an offer counts now, that of one's own user's included.
    pub(crate) fn file_word(&mut self, record: &FileRecord) {
        let Some(transfer) = self.transfers.all.get(&record.offer).filter(|transfer| transfer.known) else {
            return;
        };
        let row = &transfer.stored;
        if row.conversation != record.conversation || record.device == self.me.device {
            return;
        }
        let by_holder = record.device == row.device && record.user == row.author;
        if by_holder && record.word == FileWord::Withdrawn {
            self.withdrawn(record.offer);
        } else {
            self.weigh_words(record.offer);
        }
    }

    /// Its author does not offer a file any more. It may be complete all the same; one that was rejected or that failed can
    /// never be had again.
    fn withdrawn(&mut self, offer: MessageId) {
        self.withdraw(offer, true);
        let state = self.transfers.row(&offer).map(|row| row.state);
        if !matches!(state, None | Some(TransferState::Complete | TransferState::Cancelled)) {
            self.set_transfer(offer, TransferState::Cancelled, "");
            self.stop_file(offer, true);
        }
    }

    /// What the receiver's devices say of an offer of the own user, taken together: the same in whatever order it came.
    /// That one of them has the file outweighs all, also a withdrawal that it crossed; that one wants it outweighs that
    /// others do not. That it is being sent from here is seen before the word that it is wanted, and may be all of it.
    fn weigh_words(&mut self, offer: MessageId) {
        let Some(transfer) = self.transfers.all.get(&offer) else { return };
        let row = &transfer.stored;
        if row.author != self.me.user {
            return;
        }
        let theirs = self.words.about(&row.conversation, &offer).filter(|record| record.user != row.author);
        let words: Vec<FileWord> = theirs.map(|record| record.word).collect();
        let said = |word: FileWord| words.contains(&word);
        use TransferState as S;
        let to = match row.state {
            S::Complete => return,
            _ if said(FileWord::Complete) => S::Complete,
            _ if transfer.withdrawn => S::Cancelled,
            S::Offered | S::Rejected | S::Cancelled if said(FileWord::Accepted) => S::Waiting,
            _ if said(FileWord::Accepted) => return,
            _ if said(FileWord::Cancelled) => S::Cancelled,
            S::Running | S::Failed => return,
            _ if said(FileWord::Rejected) => S::Rejected,
            S::Paused => return,
            _ => S::Offered,
        };
        self.set_transfer(offer, to, "");
    }

    /// At the start: a word that is on disk counts, and what was decided is said, whichever of both a crash left out.
    pub(crate) fn rejoin_words(&mut self) {
        let rows: Vec<StoredTransfer> =
            self.transfers.all.values().map(|transfer| transfer.stored.clone()).collect();
        for row in rows {
            let words: Vec<FileRecord> = self.words.about(&row.conversation, &row.offer).cloned().collect();
            let own = words.iter().find(|record| record.device == self.me.device);
            self.own_word(&row, own.map(|record| record.word), &words);
            words.iter().for_each(|record| self.file_word(record));
            self.weigh_words(row.offer);
            self.say_decided(&row.offer);
        }
    }

    /// What this device said of an offer before.
    fn own_word(&mut self, row: &StoredTransfer, own: Option<FileWord>, words: &[FileRecord]) {
        use TransferState as S;
        let cancelled = words.iter().any(|record| record.word == FileWord::Cancelled);
        let unsaid = row.device == self.me.device && row.state == S::Cancelled && !cancelled;
        self.withdraw(row.offer, unsaid || own == Some(FileWord::Withdrawn));
        let to = match (own, row.state) {
            (_, S::Complete) | (None, _) => return,
            (Some(FileWord::Complete), _) => S::Complete,
            (Some(FileWord::Withdrawn | FileWord::Cancelled), _) => S::Cancelled,
            (Some(FileWord::Rejected), S::Offered) => S::Rejected,
            (Some(FileWord::Accepted), S::Offered | S::Rejected) => S::Waiting,
            _ => return,
        };
        self.set_transfer(row.offer, to, "");
    }

    /// Says what this device decided about an offer, unless that was said.
    fn say_decided(&mut self, offer: &MessageId) {
        let Some(transfer) = self.transfers.all.get(offer) else { return };
        let (row, withdrawn) = (transfer.stored.clone(), transfer.withdrawn);
        use TransferState as S;
        let word = match row.state {
            S::Cancelled if row.device == self.me.device && withdrawn => FileWord::Withdrawn,
            _ if row.author == self.me.user => return,
            S::Waiting | S::Running | S::Paused | S::Failed => FileWord::Accepted,
            S::Complete => FileWord::Complete,
            S::Rejected => FileWord::Rejected,
            S::Cancelled if !withdrawn => FileWord::Cancelled,
            S::Offered | S::Cancelled => return,
        };
        self.say_of_file(row.conversation, row.offer, word, Vec::new());
    }

    /// Fetches a transfer that waits, if there is a link to its holder and few others are being fetched.
    pub(crate) fn transfer_due(&mut self, offer: MessageId) {
        let Some(transfer) = self.transfers.all.get(&offer) else { return };
        let row = transfer.stored.clone();
        if !transfer.waits() || row.author == self.me.user {
            return;
        }
        let Some(link) = self.peers.link_of(&row.device) else {
            self.set_transfer(offer, TransferState::Waiting, "");
            return;
        };
        let others = self.transfers.all.values();
        let busy = others.filter(|other| other.fetching.is_some() && other.stored.offer != offer).count();
        if transfer.fetching == Some(link) || busy >= MAX_FETCHES {
            return;
        }
        let relayed = self.links.get(link).is_some_and(|link| link.relayed);
        if let Some(transfer) = self.transfers.all.get_mut(&offer) {
            transfer.fetching = Some(link);
        }
        let open = BlobOpen { conversation: row.conversation, offer: row.entry, hash: row.file.hash };
        let order = FetchOrder { offer, open, file: row.file, link, relayed };
        self.out.push_back(Output::Fetch(order));
        // One that had to pause is only looked at again: it runs once something comes.
        if row.state != TransferState::Paused {
            self.set_transfer(offer, TransferState::Running, "");
        }
    }

    /// A place is free: whatever waits for one.
    fn fetch_next(&mut self) {
        let offers: Vec<MessageId> = self
            .transfers
            .all
            .values()
            .filter(|transfer| {
                transfer.fetching.is_none()
                    && transfer.waits()
                    && !self.timers.is_set(Timer::Transfer(transfer.stored.offer))
            })
            .map(|transfer| transfer.stored.offer)
            .collect();
        offers.into_iter().for_each(|offer| self.transfer_due(offer));
    }

    /// Another link carries what goes to a device, or none does.
    pub(crate) fn move_transfers(&mut self, device: &DeviceId) {
        let offers: Vec<MessageId> = self
            .transfers
            .all
            .values()
            .filter(|transfer| transfer.stored.device == *device && !transfer.stored.state.is_over())
            .map(|transfer| transfer.stored.offer)
            .collect();
        let link = self.peers.link_of(device);
        for offer in offers {
            if link.is_none()
                && let Some(transfer) = self.transfers.all.get_mut(&offer)
            {
                transfer.fetching = None;
            }
            self.transfer_due(offer);
        }
        self.fetch_next();
    }

    /// A fetch ended.
    pub(crate) fn fetch_ended(&mut self, offer: MessageId, link: LinkId, end: FetchEnd) {
        let Some(transfer) = self.transfers.all.get_mut(&offer) else { return };
        if transfer.fetching != Some(link) && end != FetchEnd::Complete {
            return;
        }
        transfer.fetching = None;
        transfer.failures = transfer.failures.saturating_add(1);
        let (failures, over) = (transfer.failures, transfer.stored.state.is_over());
        if over {
            return;
        }
        let again = TRANSFER_RETRY.saturating_mul(1 << failures.min(5)).min(TRANSFER_RETRY_MAX);
        use TransferState as S;
        match end {
            FetchEnd::Complete => {
                self.timers.cancel(Timer::Transfer(offer));
                self.decide(offer, S::Complete, FileWord::Complete);
            }
            FetchEnd::Broken => {
                self.set_transfer(offer, S::Waiting, "");
                self.timers.set(Timer::Transfer(offer), self.after(again));
            }
            FetchEnd::NoRoom => {
                self.set_transfer(offer, S::Paused, NO_ROOM);
                self.timers.set(Timer::Transfer(offer), self.after(TRANSFER_RETRY_MAX));
            }
            FetchEnd::Refused(BlobRefusal::Paused) => {
                self.set_transfer(offer, S::Paused, &BlobRefusal::Paused.to_string());
                self.timers.set(Timer::Transfer(offer), self.after(again));
            }
            FetchEnd::Refused(BlobRefusal::Busy | BlobRefusal::NotHeld | BlobRefusal::Other) => {
                self.set_transfer(offer, S::Waiting, "");
                self.timers.set(Timer::Transfer(offer), self.after(TRANSFER_RETRY_MAX));
            }
            FetchEnd::Refused(reason) => self.set_transfer(offer, S::Failed, &reason.to_string()),
            FetchEnd::Failed(reason) => self.set_transfer(offer, S::Failed, &reason),
        }
        self.fetch_next();
    }

    /// An offered file is being sent, or no more. Its bytes may be asked for before the word comes that it was accepted.
    pub(crate) fn serving(&mut self, offer: MessageId, now: bool) {
        let Some(transfer) = self.transfers.all.get(&offer) else { return };
        let own = transfer.stored.device == self.me.device;
        use TransferState as S;
        let to = match (now, transfer.stored.state) {
            // One whose source was lost may have it again.
            (true, S::Offered | S::Waiting | S::Failed) => S::Running,
            (false, S::Running) => S::Waiting,
            _ => return,
        };
        if own {
            self.set_transfer(offer, to, "");
            self.weigh_words(offer);
        }
    }

    /// What is offered from here cannot be sent: the user is told, as whoever asked for it is.
    pub(crate) fn source_lost(&mut self, offer: MessageId, reason: BlobRefusal) {
        let Some(transfer) = self.transfers.all.get(&offer) else { return };
        let own = transfer.stored.device == self.me.device;
        if own && !transfer.stored.state.is_over() {
            self.set_transfer(offer, TransferState::Failed, &reason.to_string());
        }
    }

    /// More of a file was verified and written: it runs, and failures in a row are over.
    pub fn fetch_goes_on(&mut self, offer: &MessageId) {
        let Some(transfer) = self.transfers.all.get_mut(offer) else { return };
        transfer.failures = 0;
        let shown = matches!(transfer.stored.state, TransferState::Paused | TransferState::Waiting);
        if transfer.fetching.is_some() && shown {
            self.set_transfer(*offer, TransferState::Running, "");
        }
    }

    /// Whether the device at the other end of a link may fetch what it asks for.
    ///
    /// # Errors
    /// [`BlobRefusal`]: what it is told.
    pub fn may_fetch(&self, link: LinkId, open: &BlobOpen) -> Result<StoredTransfer, BlobRefusal> {
        let refused = BlobRefusal::NotOffered;
        let user = self.user_of_link(link).filter(|_| !self.is_barred_link(link)).ok_or(refused)?;
        let mut all = self.transfers.all.values();
        let transfer = all.find(|transfer| transfer.stored.entry == open.offer && transfer.known);
        let transfer = transfer.ok_or(refused)?;
        let row = &transfer.stored;
        let fits = row.conversation == open.conversation && row.file.hash == open.hash;
        let member = match self.shared(&row.conversation, &user) {
            Some(Descriptor::Direct(a, b)) => user == a || user == b,
            Some(Descriptor::Group(_) | Descriptor::Department(_) | Descriptor::Everyone) | None => false,
        };
        // Only the device that offers it serves it.
        if !fits || !member || row.device != self.me.device {
            return Err(refused);
        }
        if transfer.withdrawn {
            // Whoever hears that gives up: it is told once a crash here cannot bring the offer back.
            let mut words = self.words.about(&row.conversation, &row.offer);
            let said = words.any(|record| record.device == row.device && record.word == FileWord::Withdrawn);
            return Err(if said { refused } else { BlobRefusal::Other });
        }
        if transfer.held { Err(BlobRefusal::Paused) } else { Ok(row.clone()) }
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
