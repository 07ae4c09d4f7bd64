//! What becomes of files in the scripted node: their names say it.

use crate::stage::{ALICE, BOB, Events, direct_conversation};
use lanchat_node_core::boot::{StoredTransfer, TransferState};
use lanchat_node_core::input::TransferAct;
use lanchat_node_core::output::{Answer, CommandError, Event};
use lanchat_node_core::view::TransferView;
use lanchat_proto::blob::BlobHash;
use lanchat_proto::codec::Text;
use lanchat_proto::entry::FileBody;
use lanchat_proto::ids::{DeviceId, EntryHash, MessageId, UserId};
use lanchat_proto::time::Wall;
use std::collections::BTreeMap;

/// Offers of bob's that are there from the beginning; their ids have the first six digits in common.
pub(crate) const REPORT: MessageId = MessageId([0xab, 0xcd, 0xef, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
pub(crate) const PLAN: MessageId = MessageId([0xab, 0xcd, 0xef, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]);

pub(crate) struct Script {
    transfers: BTreeMap<MessageId, TransferView>,
    count: u8,
}

fn view(offer: MessageId, author: UserId, file: FileBody) -> TransferView {
    let stored = StoredTransfer {
        offer,
        conversation: direct_conversation(),
        entry: EntryHash([7; 32]),
        author,
        device: DeviceId([author.0[0]; 32]),
        file,
        state: TransferState::Offered,
        error: String::new(),
    };
    TransferView { stored, outgoing: author == ALICE, peer: BOB }
}

fn file(name: &str) -> FileBody {
    FileBody {
        name: Text::new(name).unwrap(),
        size: 3 << 20,
        media_type: Text::default(),
        hash: BlobHash([7; 32]),
        changed: Wall(1),
    }
}

impl Script {
    pub(crate) fn new() -> Self {
        let known = [(REPORT, "报告.pdf"), (PLAN, "plan.txt")];
        let transfers = known.map(|(offer, name)| (offer, view(offer, BOB, file(name))));
        Self { transfers: transfers.into(), count: 100 }
    }

    pub(crate) fn all(&self) -> Vec<TransferView> {
        self.transfers.values().cloned().collect()
    }

    pub(crate) fn one(&self, offer: &MessageId) -> Option<TransferView> {
        self.transfers.get(offer).cloned()
    }

    /// `whole…` is there at once, `refused…` and `broken…` never, all else stays offered.
    pub(crate) fn offer(&mut self, to: UserId, file: FileBody, events: &Events) -> Answer {
        self.count += 1;
        let offer = MessageId([self.count; 16]);
        let mut view = view(offer, ALICE, file);
        let name = view.stored.file.name.to_string();
        let starts = |with: &str| name.starts_with(with);
        if starts("whole") {
            view.stored.state = TransferState::Complete;
        } else if starts("refused") {
            view.stored.state = TransferState::Rejected;
        } else if starts("broken") {
            view.stored.state = TransferState::Failed;
            view.stored.error = "the source changed".into();
        }
        self.transfers.insert(offer, view);
        events.tell(Event::Transfer { offer });
        let conversation = direct_conversation();
        Answer::Sent { message: offer, conversation, sent_at: Wall(1), recipients: vec![to] }
    }

    pub(crate) fn act(
        &mut self,
        offer: MessageId,
        act: TransferAct,
        events: &Events,
    ) -> Result<Answer, CommandError> {
        let view = self.transfers.get_mut(&offer).ok_or(CommandError::NoSuchTransfer)?;
        use TransferState as S;
        let state = view.stored.state;
        view.stored.state = match act {
            TransferAct::Accept if state == S::Offered => S::Running,
            TransferAct::Reject if state == S::Offered => S::Rejected,
            TransferAct::Pause if state == S::Running => S::Paused,
            TransferAct::Resume if state == S::Paused => S::Complete,
            TransferAct::Cancel if !state.is_over() => S::Cancelled,
            _ => return Err(CommandError::TransferState(state)),
        };
        events.tell(Event::Transfer { offer });
        Ok(Answer::Done)
    }
}
