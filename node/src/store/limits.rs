//! Every bound of the store, with what happens when it is reached.

use std::time::Duration;

/// Jobs that wait for the writer. A caller beyond that waits for its turn.
pub const QUEUE: usize = 1024;
/// Jobs in one commit. The rest goes into the next.
pub const GROUP: usize = 256;
/// Answers that the writer keeps while nobody takes them. Beyond that it stops writing until somebody does.
pub const ANSWERS: usize = 4096;
/// Time after which the writer offers a kept answer again.
pub const ANSWER_RETRY: Duration = Duration::from_millis(5);
/// Most entries of one load. Fewer are answered, and the core asks for the rest.
pub const LOAD_ENTRIES: usize = 4096;
/// Most bytes of one load, beyond the first entry.
pub const LOAD_BYTES: usize = 4 * 1024 * 1024;

/// Entries that are added to the search index in one step, between two looks at the queue.
pub const INDEX_SLICE: usize = 64;
/// Entries that may wait for the index while the writer is never idle. Beyond that, every commit is followed by a step.
pub const INDEX_BACKLOG: u64 = 8192;

/// Connections for reading. A reader beyond that waits for one.
pub const READERS: usize = 2;
/// Time that a reader waits for a connection before it gives up.
pub const READER_WAIT: Duration = Duration::from_secs(10);
/// Most rows of a page of history or of a search. More are cut off.
pub const PAGE: usize = 1000;
/// Most unread messages that are counted for one conversation.
pub const UNREAD: u64 = 1000;
/// Entries that one search looks at before it answers with what it found.
pub const SEARCH_LOOKED_AT: usize = 200_000;
/// Different words of one query that count. The rest is ignored.
pub const QUERY_WORDS: usize = 32;
/// Answers that may be moved behind what they answer by one entry. The rest stays where its stamp puts it.
pub const MOVED_ANSWERS: usize = 256;

/// Time to wait for a lock that another process holds on the database.
pub const LOCK_WAIT: Duration = Duration::from_secs(5);
/// Size to which the write-ahead log is cut after a checkpoint.
pub const WAL_BYTES: i64 = 64 * 1024 * 1024;
/// Most bytes of one value that is decoded from a row.
pub const ROW_BYTES: usize = lanchat_proto::limits::MAX_DECODE;
