//! From whom an offered file is fetched, and when; who may fetch one from here.
//!
//! Keeps true: at most [`MAX_FETCHES`] at a time, each over one link, the best there is to the device that offers the file;
//! what is all here is saved over no link; what broke is tried again, what waits takes the next free place. Goes in:
//! links, ends of fetches, requests of others. Goes out: orders to fetch and to save, states of transfers.

use super::UnderWay;
use crate::boot::{LinkId, StoredTransfer, TransferState};
use crate::input::FetchEnd;
use crate::limits::{MAX_FETCHES, TRANSFER_RETRY, TRANSFER_RETRY_MAX};
use crate::output::{FetchOrder, Output};
use crate::state::NodeState;
use crate::timers::Timer;
use crate::view::NO_ROOM;
use lanchat_proto::entry::Descriptor;
use lanchat_proto::ids::{DeviceId, MessageId};
use lanchat_proto::state::FileWord;
use lanchat_proto::wire::blob::{BlobOpen, BlobRefusal};

impl NodeState {
    /// Saves a transfer that waits and is all here, or fetches it if there is a link to its holder; both only while few
    /// others are under way.
    pub(crate) fn transfer_due(&mut self, offer: MessageId) {
        let Some(transfer) = self.transfers.all.get(&offer) else { return };
        let row = transfer.stored.clone();
        if !transfer.waits() || row.author == self.me.user {
            return;
        }
        let (whole, under_way) = (transfer.whole, transfer.under_way);
        let others = self.transfers.all.values();
        let busy = others.filter(|other| other.under_way.is_some() && other.stored.offer != offer).count();
        let next = match self.peers.link_of(&row.device) {
            _ if whole => UnderWay::Save,
            Some(link) => UnderWay::Fetch(link),
            None => return self.set_transfer(offer, TransferState::Waiting, ""),
        };
        // What is being saved needs no link, and a fetch that runs saves what it brought itself.
        let same = under_way == Some(next) || under_way == Some(UnderWay::Save);
        if same || (under_way.is_some() && whole) || busy >= MAX_FETCHES {
            return;
        }
        if let Some(transfer) = self.transfers.all.get_mut(&offer) {
            transfer.under_way = Some(next);
        }
        let shown = row.state;
        self.out.push_back(match next {
            UnderWay::Save => Output::SaveFile { offer, file: row.file },
            UnderWay::Fetch(link) => self.order(row, link),
        });
        // One that had to pause is only looked at again: it runs once something comes.
        if shown != TransferState::Paused {
            self.set_transfer(offer, TransferState::Running, "");
        }
    }

    fn order(&self, row: StoredTransfer, link: LinkId) -> Output {
        let relayed = self.links.get(link).is_some_and(|link| link.relayed);
        let open = BlobOpen { conversation: row.conversation, offer: row.entry, hash: row.file.hash };
        Output::Fetch(FetchOrder { offer: row.offer, open, file: row.file, link, relayed })
    }

    /// A place is free: whatever waits for one.
    pub(super) fn fetch_next(&mut self) {
        let offers: Vec<MessageId> = self
            .transfers
            .all
            .values()
            .filter(|transfer| {
                transfer.under_way.is_none()
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
                && transfer.under_way != Some(UnderWay::Save)
            {
                transfer.under_way = None;
            }
            self.transfer_due(offer);
        }
        self.fetch_next();
    }

    /// All of a file is here. A fetch that runs saves it itself.
    pub(crate) fn file_whole(&mut self, offer: MessageId) {
        if let Some(transfer) = self.transfers.all.get_mut(&offer) {
            transfer.whole = true;
            if transfer.under_way.is_none() && !self.timers.is_set(Timer::Transfer(offer)) {
                self.transfer_due(offer);
            }
        }
    }

    /// What was all here was saved, or could not be.
    pub(crate) fn save_ended(&mut self, offer: MessageId, end: FetchEnd) {
        if let Some(transfer) = self.transfers.all.get_mut(&offer) {
            // What is damaged or was never there has to come again.
            transfer.whole &= end != FetchEnd::Broken;
            self.ended(offer, UnderWay::Save, end);
        }
    }

    /// A fetch ended.
    pub(crate) fn fetch_ended(&mut self, offer: MessageId, link: LinkId, end: FetchEnd) {
        self.ended(offer, UnderWay::Fetch(link), end);
    }

    fn ended(&mut self, offer: MessageId, what: UnderWay, end: FetchEnd) {
        let Some(transfer) = self.transfers.all.get_mut(&offer) else { return };
        if transfer.under_way != Some(what) && end != FetchEnd::Complete {
            return;
        }
        transfer.under_way = None;
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
            FetchEnd::Refused(reason) => {
                self.decide_for(offer, S::Failed, &reason.to_string(), FileWord::Failed);
            }
            FetchEnd::Failed(reason) => self.decide_for(offer, S::Failed, &reason, FileWord::Failed),
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
        if transfer.under_way.is_some() && shown {
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
}
