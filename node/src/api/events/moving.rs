//! Transfers whose bytes move: told a few times a second, however fast they are.
//!
//! Keeps true: what does not move is not told again; at most one event about the bytes of a transfer is kept for replay.

use crate::api::Shared;
use crate::blobs::Progress;
use lanchat_proto::ids::MessageId;
use std::collections::BTreeMap;

/// A transfer that runs.
struct Running {
    /// The newest event that says so.
    event: u64,
    /// What was told last.
    progress: Option<Progress>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Moving {
    running: BTreeMap<MessageId, Running>,
}

impl Moving {
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// An event tells that a transfer runs, or does not. Returns the event that it replaces.
    pub(super) fn note(&mut self, offer: MessageId, runs: bool, event: u64) -> Option<u64> {
        if !runs {
            self.running.remove(&offer);
            return None;
        }
        let progress = self.running.get(&offer).and_then(|known| known.progress);
        self.running.insert(offer, Running { event, progress }).map(|known| known.event)
    }

    /// Lets the node tell of those that moved.
    pub(super) async fn look(&mut self, api: &Shared) {
        let Some(files) = api.handle.files() else { return };
        for (offer, running) in &mut self.running {
            let progress = files.progress(offer);
            if progress != running.progress {
                running.progress = progress;
                api.handle.transfer_moved(*offer).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_transfer_replaces_its_own_events_only() {
        let mut moving = Moving::default();
        let (one, other) = (MessageId([1; 16]), MessageId([2; 16]));
        assert_eq!(moving.note(one, true, 5), None);
        assert_eq!(moving.note(other, true, 6), None);
        assert_eq!(moving.note(one, true, 7), Some(5));
        assert_eq!(moving.note(one, false, 8), None, "the last word on the bytes stays");
        assert_eq!(moving.note(one, true, 9), None, "what paused between stays");
        moving.note(one, false, 10);
        moving.note(other, false, 11);
        assert!(moving.is_empty());
    }
}
