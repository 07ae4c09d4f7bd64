//! What the store answers to readers: plain rows, no SQL.

use lanchat_proto::entry::{Descriptor, FileBody};
use lanchat_proto::ids::{ConversationId, LogId, MessageId, UserId};
use lanchat_proto::time::Wall;

/// A message as history shows it.
#[derive(Clone, Debug)]
pub struct HistoryRow {
    /// The message.
    pub message: MessageId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// What the conversation is.
    pub descriptor: Descriptor,
    /// The author.
    pub author: UserId,
    /// Its log.
    pub log: LogId,
    /// Its number there.
    pub number: u64,
    /// The entry's kind number.
    pub kind: u16,
    /// The text, for a text that was not deleted; the name, for a file.
    pub text: Option<String>,
    /// What is offered, for a file that was not deleted.
    pub file: Option<FileBody>,
    /// The message that it answers.
    pub reply_to: Option<MessageId>,
    /// The author's stamp.
    pub sent_at: Wall,
    /// When it came to this disk.
    pub received_at: Wall,
    /// Whether the body was deleted.
    pub deleted: bool,
    /// Users with a device that has it, from receipts; the author is never in it.
    pub delivered_to: Vec<UserId>,
    /// Users who have seen it.
    pub read_by: Vec<UserId>,
}

/// A conversation as a list shows it.
#[derive(Clone, Debug)]
pub struct ConversationRow {
    /// The conversation.
    pub conversation: ConversationId,
    /// What it is.
    pub descriptor: Descriptor,
    /// Its newest message.
    pub newest: Option<HistoryRow>,
    /// Messages of others that the user has not seen.
    pub unread: u64,
}

/// How much the store holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreStats {
    /// Entries.
    pub events: u64,
    /// Bytes of the database's pages.
    pub bytes: u64,
}

/// Where a page of history ends.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Rows wanted, at most 1,000.
    pub limit: usize,
    /// Only what is shown before this message.
    pub before: Option<MessageId>,
}
