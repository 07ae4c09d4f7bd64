//! Offered files: who offers what to whom, how far each is, and from whom it is fetched.
//!
//! Keeps true: an offer is a transfer from the moment it is on disk; a transfer that is over stays so; a file is fetched over
//! one link at a time, the best there is, and goes on by itself after whatever broke it. Goes in: offers, words, links,
//! what the user wants, ends of fetches. Goes out: orders to fetch, words, changes. The rules: `docs/protocol.md#transfer`.

use crate::boot::{AutoAccept, LinkId, RequestId, StoredTransfer, TransferState};
use crate::input::{FetchEnd, TransferAct};
use crate::limits::{MAX_FETCHES, MAX_TRANSFERS, TRANSFER_RETRY, TRANSFER_RETRY_MAX};
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
            let held = stored.state == TransferState::Paused && stored.error.is_empty();
            (stored.offer, Transfer { stored, known: true, fetching: None, failures: 0, held })
        };
        Self { all: stored.into_iter().map(transfer).collect() }
    }

    fn open(&self) -> usize {
        self.all.values().filter(|transfer| !transfer.stored.state.is_over()).count()
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
        if self.transfers.open() >= MAX_TRANSFERS {
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
        if self.transfers.open() >= MAX_TRANSFERS {
            return None;
        }
        let row = StoredTransfer {
            offer: header.message,
            conversation: header.conversation,
            entry: stored.entry.hash,
            author: stored.author,
            device: header.device,
            file,
            state: TransferState::Offered,
            error: String::new(),
        };
        let transfer =
            Transfer { stored: row.clone(), known: false, fetching: None, failures: 0, held: false };
        self.transfers.all.insert(row.offer, transfer);
        Some(row)
    }

    /// An offer is on disk: it is shown, and fetched if the user wants that without being asked.
    pub(crate) fn offer_on_disk(&mut self, offer: MessageId) {
        let Some(transfer) = self.transfers.all.get_mut(&offer) else { return };
        if std::mem::replace(&mut transfer.known, true) {
            return;
        }
        let row = transfer.stored.clone();
        self.event(Event::Transfer { offer });
        let records: Vec<FileRecord> = self.words.about(&row.conversation, &offer).cloned().collect();
        records.iter().for_each(|record| self.file_word(record));
        let wanted = row.file.size <= self.settings.auto_accept_max
            && match &self.settings.auto_accept {
                AutoAccept::Never => false,
                AutoAccept::From(users) => users.contains(&row.author),
                AutoAccept::All => true,
            };
        let state = self.transfers.all.get(&offer).map(|transfer| transfer.stored.state);
        if wanted && row.author != self.me.user && state == Some(TransferState::Offered) {
            drop(self.act_on(offer, TransferAct::Accept));
        }
    }

    /// Moves a transfer on and writes that down.
    fn set_transfer(&mut self, offer: MessageId, state: TransferState, error: &str) {
        let Some(transfer) = self.transfers.all.get_mut(&offer) else { return };
        if transfer.stored.state == state && transfer.stored.error == error {
            return;
        }
        transfer.stored.state = state;
        error.clone_into(&mut transfer.stored.error);
        let row = transfer.stored.clone();
        self.save(vec![Change::Transfer(row)]);
        self.event(Event::Transfer { offer });
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
                self.set_transfer(offer, S::Waiting, "");
                self.say_of_file(row.conversation, offer, FileWord::Accepted);
                self.transfer_due(offer);
            }
            TransferAct::Reject if !mine && row.state == S::Offered => {
                self.set_transfer(offer, S::Rejected, "");
                self.say_of_file(row.conversation, offer, FileWord::Rejected);
            }
            TransferAct::Pause if !row.state.is_over() && row.state != S::Offered => {
                self.hold(offer, true);
                self.stop_file(offer, false);
                self.set_transfer(offer, S::Paused, "");
            }
            // One that failed may be fetched again until it is withdrawn.
            TransferAct::Resume if row.state == S::Paused || (!mine && row.state == S::Failed) => {
                self.hold(offer, false);
                self.set_transfer(offer, S::Waiting, "");
                self.transfer_due(offer);
                if outgoing {
                    self.say_ready(&row);
                }
            }
            TransferAct::Cancel
                if (outgoing || !mine) && (!row.state.is_over() || row.state == S::Failed) =>
            {
                self.stop_file(offer, true);
                self.set_transfer(offer, S::Cancelled, "");
                let word = if outgoing { FileWord::Withdrawn } else { FileWord::Cancelled };
                self.say_of_file(row.conversation, offer, word);
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
        if from == Some(transfer.stored.device) && transfer.fetching.is_none() {
            transfer.failures = 0;
            self.timers.cancel(Timer::Transfer(ready.offer));
            self.transfer_due(ready.offer);
        }
    }

    fn hold(&mut self, offer: MessageId, held: bool) {
        if let Some(transfer) = self.transfers.all.get_mut(&offer) {
            transfer.held = held;
            transfer.failures = 0;
        }
    }

    fn stop_file(&mut self, offer: MessageId, discard: bool) {
        self.timers.cancel(Timer::Transfer(offer));
        if let Some(transfer) = self.transfers.all.get_mut(&offer) {
            transfer.fetching = None;
        }
        self.out.push_back(Output::StopFile { offer, discard });
        self.fetch_next();
    }

    /// A word about an offer counts now, one's own other devices' words included.
    pub(crate) fn file_word(&mut self, record: &FileRecord) {
        let Some(transfer) = self.transfers.all.get(&record.offer).filter(|transfer| transfer.known) else {
            return;
        };
        let row = transfer.stored.clone();
        use TransferState as S;
        // One that failed may turn out to be withdrawn: the holder's refusal may come before the word that explains it.
        let over = row.state.is_over() && row.state != S::Failed;
        if row.conversation != record.conversation || over || record.device == self.me.device {
            return;
        }
        let by_author = record.user == row.author;
        let outgoing = row.author == self.me.user;
        match record.word {
            FileWord::Withdrawn if by_author && record.device == row.device => {
                self.stop_file(record.offer, true);
                self.set_transfer(record.offer, S::Cancelled, "");
            }
            FileWord::Accepted if outgoing && row.state == S::Offered => {
                self.set_transfer(record.offer, S::Waiting, "");
            }
            FileWord::Complete if outgoing => self.set_transfer(record.offer, S::Complete, ""),
            FileWord::Rejected if outgoing && row.state == S::Offered => {
                self.set_transfer(record.offer, S::Rejected, "");
            }
            FileWord::Cancelled if outgoing => self.set_transfer(record.offer, S::Cancelled, ""),
            _ => {}
        }
    }

    /// Fetches a transfer that waits, if there is a link to its holder and few others are being fetched.
    pub(crate) fn transfer_due(&mut self, offer: MessageId) {
        let Some(transfer) = self.transfers.all.get(&offer) else { return };
        let row = transfer.stored.clone();
        let waits = matches!(row.state, TransferState::Waiting | TransferState::Running)
            || (row.state == TransferState::Paused && !transfer.held);
        if !waits || row.author == self.me.user {
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
        self.set_transfer(offer, TransferState::Running, "");
    }

    /// A place is free: whatever waits for one.
    fn fetch_next(&mut self) {
        let waiting = |transfer: &Transfer| {
            transfer.fetching.is_none() && transfer.stored.state == TransferState::Waiting
        };
        let offers: Vec<MessageId> = self
            .transfers
            .all
            .values()
            .filter(|transfer| {
                waiting(transfer) && !self.timers.is_set(Timer::Transfer(transfer.stored.offer))
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
    }

    /// A fetch ended.
    pub(crate) fn fetch_ended(&mut self, offer: MessageId, link: LinkId, end: FetchEnd) {
        let Some(transfer) = self.transfers.all.get_mut(&offer) else { return };
        if transfer.fetching != Some(link) && end != FetchEnd::Complete {
            return;
        }
        transfer.fetching = None;
        transfer.failures = transfer.failures.saturating_add(1);
        let (conversation, failures, over) =
            (transfer.stored.conversation, transfer.failures, transfer.stored.state.is_over());
        if over {
            return;
        }
        let again = TRANSFER_RETRY.saturating_mul(1 << failures.min(5)).min(TRANSFER_RETRY_MAX);
        use TransferState as S;
        match end {
            FetchEnd::Complete => {
                self.set_transfer(offer, S::Complete, "");
                self.say_of_file(conversation, offer, FileWord::Complete);
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

    /// A piece of a running fetch was written: failures in a row are over.
    pub fn fetch_goes_on(&mut self, offer: &MessageId) {
        if let Some(transfer) = self.transfers.all.get_mut(offer) {
            transfer.failures = 0;
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
        if !fits || !member || row.device != self.me.device || row.state == TransferState::Cancelled {
            return Err(refused);
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
