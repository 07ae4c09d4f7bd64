//! The JSON of files and transfers.

use crate::blobs::{Progress, SaveError};
use lanchat_node_core::boot::TransferState;
use lanchat_node_core::view::{FAILED_THERE, NO_ROOM, TransferView};
use lanchat_proto::entry::FileBody;
use lanchat_proto::wire::blob::BlobRefusal;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use utoipa::ToSchema;

/// Codes of what can go wrong with a transfer, for the languages' completeness.
pub const TRANSFER_CODES: &[&str] = &[
    "changed",
    "gone",
    "no_directory",
    "no_room",
    "not_offered",
    "not_writable",
    "other",
    "paused",
    "receiver_failed",
    "refused",
];

/// The code of what went wrong; what is kept of it is the line for people.
fn error_code(line: &str) -> Option<&'static str> {
    let is = |refusal: BlobRefusal| line == refusal.to_string();
    let here = |error: SaveError| line == error.to_string();
    match line {
        "" => None,
        NO_ROOM => Some("no_room"),
        FAILED_THERE => Some("receiver_failed"),
        _ if is(BlobRefusal::Paused) => Some("paused"),
        _ if is(BlobRefusal::NotOffered) => Some("not_offered"),
        _ if is(BlobRefusal::Gone) => Some("gone"),
        _ if is(BlobRefusal::Changed) => Some("changed"),
        _ if is(BlobRefusal::Other) => Some("refused"),
        _ if here(SaveError::NotAllowed) => Some("not_writable"),
        _ if here(SaveError::NoDirectory) => Some("no_directory"),
        _ => Some("other"),
    }
}

/// An offered file, as a message shows it.
#[derive(Serialize, ToSchema)]
pub struct FileJson {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of the content in hex, as `b3sum` prints it.
    pub blob: String,
    /// The media type; empty when its author did not say.
    pub media_type: String,
    /// Its transfer, whose id is the message's; null when this device knows none.
    pub transfer: Option<TransferJson>,
}

impl FileJson {
    /// From what is offered; the transfer is added by whoever knows it.
    #[must_use]
    pub fn new(file: &FileBody) -> Self {
        Self {
            name: file.name.to_string(),
            size: file.size,
            blob: file.hash.to_string(),
            media_type: file.media_type.to_string(),
            transfer: None,
        }
    }
}

/// What went wrong, for whoever reads it: to the one whose file it is, it is no file at some sender.
fn error_line(line: &str, outgoing: bool) -> String {
    let line = match error_code(line) {
        Some("changed") if outgoing => "the file was changed since it was offered",
        Some("gone") if outgoing => "the file is not there any more",
        _ => line,
    };
    line.to_owned()
}

/// Seconds for what is missing at a rate in bytes a second: none are left only when nothing is missing.
fn seconds_left(missing: u64, rate: u64) -> Option<u64> {
    (rate > 0).then(|| missing.div_ceil(rate))
}

/// A transfer.
#[derive(Clone, Serialize, ToSchema)]
pub struct TransferJson {
    /// The message that offers the file, hex.
    pub id: String,
    /// BLAKE3 of the content in hex, as `b3sum` prints it.
    pub blob: String,
    /// `in` or `out`.
    pub direction: &'static str,
    /// Its conversation, hex.
    pub conversation: String,
    /// The other user, hex.
    pub peer: String,
    /// The other user's login, empty when unknown.
    pub peer_name: String,
    /// The file's name.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Bytes that are there; of a file that is sent: up to where it was sent.
    pub done: u64,
    /// Bytes a second now.
    pub rate: u64,
    /// Seconds until all is there at that rate, rounded up; null when that is not known, and when it does not run.
    pub seconds_left: Option<u64>,
    /// `offered`, `waiting`, `running`, `paused`, `complete`, `failed`, `cancelled` or `rejected`.
    pub state: &'static str,
    /// What went wrong, in English; null for nothing.
    pub error: Option<String>,
    /// The same for programs: `no_room`, `paused`, `not_offered`, `gone`, `changed`, `refused` or `other`; null for nothing.
    pub error_code: Option<&'static str>,
    /// Where the file lies: the source of one that is sent, what came of one that is complete; null when not known.
    pub path: Option<String>,
    /// Streams in use.
    pub sources: u32,
}

impl TransferJson {
    /// From what the node knows.
    #[must_use]
    pub fn new(view: &TransferView, progress: Progress, path: Option<PathBuf>, peer_name: String) -> Self {
        let stored = &view.stored;
        let running = stored.state == TransferState::Running;
        let complete = stored.state == TransferState::Complete;
        let done = if complete { stored.file.size } else { progress.done.min(stored.file.size) };
        let rate = if running { progress.rate } else { 0 };
        Self {
            id: stored.offer.to_string(),
            blob: stored.file.hash.to_string(),
            direction: if view.outgoing { "out" } else { "in" },
            conversation: stored.conversation.to_string(),
            peer: view.peer.to_string(),
            peer_name,
            name: stored.file.name.to_string(),
            size: stored.file.size,
            done,
            rate,
            seconds_left: seconds_left(stored.file.size.saturating_sub(done), rate),
            state: stored.state.name(),
            error: (!stored.error.is_empty()).then(|| error_line(&stored.error, view.outgoing)),
            error_code: error_code(&stored.error),
            path: path.map(|path| path.display().to_string()),
            sources: if running { progress.sources } else { 0 },
        }
    }

    /// Whether nothing more happens to it by itself.
    #[must_use]
    pub fn is_over(&self) -> bool {
        TransferState::from_name(self.state).is_some_and(TransferState::is_over)
    }
}

/// How long an offer waits.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OfferWait {
    /// Until the offer is on this disk.
    #[default]
    Offered,
    /// Until the receiver has the file, or never will.
    Complete,
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanchat_node_core::boot::StoredTransfer;
    use lanchat_proto::blob::BlobHash;
    use lanchat_proto::codec::Text;
    use lanchat_proto::ids::{ConversationId, DeviceId, EntryHash, MessageId, UserId};
    use lanchat_proto::time::Wall;

    #[test]
    fn time_left_is_rounded_up_and_unknown_without_a_rate() {
        for (missing, rate, left) in
            [(1, 0, None), (0, 10, Some(0)), (1, 10, Some(1)), (10, 10, Some(1)), (11, 10, Some(2))]
        {
            assert_eq!(seconds_left(missing, rate), left, "{missing} at {rate}");
        }
    }

    #[test]
    fn time_left_is_told_while_it_runs_only() {
        let file = FileBody {
            name: Text::new("a".to_owned()).unwrap(),
            size: 1000,
            media_type: Text::default(),
            hash: BlobHash([7; 32]),
            changed: Wall::default(),
        };
        let progress = Progress { done: 399, rate: 100, sources: 1 };
        for (state, left) in [
            (TransferState::Running, Some(7)),
            (TransferState::Waiting, None),
            (TransferState::Paused, None),
            (TransferState::Complete, None),
        ] {
            let stored = StoredTransfer {
                offer: MessageId([1; 16]),
                conversation: ConversationId([1; 32]),
                entry: EntryHash([2; 32]),
                author: UserId([3; 16]),
                device: DeviceId([4; 32]),
                file: file.clone(),
                state,
                error: String::new(),
            };
            let view = TransferView { stored, peer: UserId([3; 16]), outgoing: false };
            assert_eq!(
                TransferJson::new(&view, progress, None, String::new()).seconds_left,
                left,
                "{state:?}"
            );
        }
    }

    #[test]
    fn its_own_file_is_not_one_at_a_sender() {
        let (changed, gone) = (BlobRefusal::Changed.to_string(), BlobRefusal::Gone.to_string());
        assert_eq!(error_line(&changed, true), "the file was changed since it was offered");
        assert_eq!(error_line(&gone, true), "the file is not there any more");
        assert_eq!((error_line(&changed, false), error_line(&gone, false)), (changed, gone));
        assert_eq!(error_line(NO_ROOM, true), NO_ROOM);
    }

    #[test]
    fn every_code_of_a_failure_is_listed() {
        let here = [SaveError::NotAllowed, SaveError::NoDirectory, SaveError::Other("whatever".to_owned())];
        let lines = here
            .map(|error| error.to_string())
            .into_iter()
            .chain([NO_ROOM.to_owned(), FAILED_THERE.to_owned()])
            .chain(
                [
                    BlobRefusal::Paused,
                    BlobRefusal::NotOffered,
                    BlobRefusal::Gone,
                    BlobRefusal::Changed,
                    BlobRefusal::Other,
                ]
                .map(|refusal| refusal.to_string()),
            );
        let mut codes: Vec<&str> = lines.filter_map(|line| error_code(&line)).collect();
        codes.sort_unstable();
        assert_eq!(codes, TRANSFER_CODES);
        assert_eq!(error_code(""), None);
    }
}
