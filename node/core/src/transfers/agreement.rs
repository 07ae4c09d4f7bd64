//! What the devices of both sides say of an offer, and what follows from all of it together.
//!
//! Keeps true: both sides come to the same end, in whatever order words come and whatever a crash kept of them. Goes in:
//! words, rows and words as they were stored. Goes out: states of transfers, words that were not said. The rules:
//! `docs/protocol.md#transfer`.

use crate::boot::{StoredTransfer, TransferState};
use crate::state::NodeState;
use crate::view::FAILED_THERE;
use lanchat_proto::ids::MessageId;
use lanchat_proto::state::{FileRecord, FileWord};

impl NodeState {
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
    /// others cannot have it or do not want it. That it is being sent from here is seen before the word that it is wanted,
    /// and may be all of it.
    pub(super) fn weigh_words(&mut self, offer: MessageId) {
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
            S::Failed if said(FileWord::Accepted) && row.error == FAILED_THERE => S::Waiting,
            _ if said(FileWord::Accepted) => return,
            // The own reason says more.
            S::Failed if said(FileWord::Failed) => return,
            _ if said(FileWord::Failed) => {
                return self.set_transfer(offer, S::Failed, FAILED_THERE);
            }
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
            (Some(FileWord::Accepted | FileWord::Failed), S::Offered | S::Rejected) => S::Waiting,
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
            S::Waiting | S::Running | S::Paused => FileWord::Accepted,
            S::Failed => FileWord::Failed,
            S::Complete => FileWord::Complete,
            S::Rejected => FileWord::Rejected,
            S::Cancelled if !withdrawn => FileWord::Cancelled,
            S::Offered | S::Cancelled => return,
        };
        self.say_of_file(row.conversation, row.offer, word, Vec::new());
    }
}
