//! Every bound on files, with what happens when it is reached.

use std::time::Duration;

/// Messages to the event loop that may wait. Whoever has one more waits.
pub const TO_LOOP: usize = 64;
/// Files that are read for an offer at a time. Further ones wait.
pub const HASHING: usize = 2;
/// Threads that hash one file.
pub const HASH_THREADS: usize = 4;
/// Bytes that are read and hashed at a time.
pub const HASH_BLOCK: usize = 256 * 1024;
/// Bytes of a record beside a file (a path, a stamp). A longer one is not read.
pub const MAX_RECORD: usize = 40 * 1024;
/// Bytes of a path that is kept. A longer one is refused.
pub const MAX_PATH: usize = 32 * 1024;
/// Places that are remembered for one content that is offered. With one more, one where it lies no more is forgotten,
/// or else the oldest.
pub const PLACES: usize = 8;
/// Streams that are served at a time. One more gets the place of one that does not move, or of a conversation that has
/// more of them than its own; otherwise it is told that this side is busy.
pub const SERVED: usize = 64;
/// Streams of one conversation that are served at a time. One more gets the place of one that does not move, or is told
/// that this side is busy.
pub const SERVED_EACH: usize = 16;
/// Bytes that have to be sent on a stream within [`LAGGING`] for it to count as moving: a kilobyte a second.
pub const MOVES: u64 = 64 * 1024;
/// Time without moving after which a stream gives its place up when another needs it.
pub const LAGGING: Duration = Duration::from_secs(60);
/// Streams that have not said what they want. One more is told that this side is busy.
pub const OPENING: usize = 256;
/// Such streams of one link.
pub const OPENING_LINK: usize = 8;
/// Time in which the other side has to say what it wants. Then its stream ends.
pub const OPEN_IDLE: Duration = Duration::from_secs(10);
/// Time in which it has to take a piece that it asked for: enough for half a kilobyte a second. Then its stream ends.
pub const STREAM_IDLE: Duration = Duration::from_secs(120);
/// Time between two asks on a served stream. Then it ends. The other side may read slowly what it asked for because its
/// user wants it so; a place that others need it loses before.
pub const ASK_IDLE: Duration = Duration::from_secs(600);
/// Asks of one stream that wait to be read from the disk. The other side's asks are read no faster than that.
pub const ASKS: usize = 64;
/// Pieces of one stream that are read ahead of the network.
pub const READ_AHEAD: usize = 8;
/// Orders to one fetch that wait for it. They come from the core, a few for each change of a link; one more is dropped
/// and told as broken.
pub const ORDERS: usize = 64;
/// Frames of one source that wait for their fetch. The source is read no faster than that.
pub const FRAMES: usize = 16;
/// Streams that one fetch has at a time, draining ones included. The oldest of more is dropped.
pub const SOURCES: usize = 4;
/// Asks that wait to be sent on one stream. A holder that takes no more of them is dropped.
pub const ASKS_OUT: usize = 1024;
/// Pieces that may wait for the disk or come back from it. The credit of all sources is far below that.
pub const JOBS: usize = 4096;
/// Times that an offer's holder sends something else than the file, after which the fetch has failed.
pub const FAULTS: u32 = 5;
/// Bytes verified after which a fetch syncs the disk: so little that whatever else is synced meanwhile (messages) does
/// not wait long behind it.
pub const SYNC_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes verified after which it also writes down what it has.
pub const CLAIM_BYTES: u64 = 256 * 1024 * 1024;
/// Time after which it does so with less.
pub const CLAIM_AFTER: Duration = Duration::from_secs(2);
/// Units around the last one written down that are hashed again when a fetch goes on: so many that were claimed, and so
/// many that may be there.
pub const REHASH_UNITS: u32 = 64;
/// Bytes of those, each way.
pub const REHASH_BYTES: u64 = 256 * 1024 * 1024;
/// Parts of files of which it is remembered that they were looked at since the start of the program. Further ones are
/// looked at whenever their fetch goes on.
pub const KNOWN_PARTS: usize = 256;
/// Bytes that stay free on a disk, or a hundredth of it if that is less. With less room a fetch waits.
pub const ROOM_LEFT: u64 = 256 * 1024 * 1024;
/// Time in which a holder has to send something of what it was asked for, or to take an ask: enough for half a kilobyte
/// a second. Then its stream is given up; so are all when there is nothing to ask of any for so long. Time in which
/// nothing is read here, for the sake of a limit in the settings or of the disk, does not count.
pub const SOURCE_IDLE: Duration = Duration::from_secs(120);
/// How often the shown progress is brought up to date.
pub const PROGRESS: Duration = Duration::from_millis(200);
/// Numbers that are tried for a name that is taken: `name (9999).ext`. Then the file cannot be saved.
pub const MAX_NUMBER: u32 = 9999;
/// How often what is left over is looked for.
pub const COLLECT: Duration = Duration::from_secs(3600);
/// Time that a part of a file is kept without being added to.
pub const IDLE: Duration = Duration::from_secs(24 * 3600);
/// Time that files of an offer which is not known (yet) are kept.
pub const UNKNOWN: Duration = Duration::from_secs(3600);
/// Time that fetches get to write down what they have when the program ends.
pub const STOP: Duration = Duration::from_millis(800);

/// How long others are waited for; tests wait less.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// [`SOURCE_IDLE`].
    pub(super) source: Duration,
    /// [`LAGGING`].
    pub(super) lagging: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self { source: SOURCE_IDLE, lagging: LAGGING }
    }
}
