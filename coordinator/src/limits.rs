//! Every bound of the coordinator's program, with what happens when it is reached. The rules' own are in
//! `core/src/limits.rs`.

use std::time::Duration;

/// Ports tried from the usual one on, where none was asked for. Then the start fails.
pub const PORTS_TRIED: u16 = 20;
/// Avatars that may be waiting to be read. A link that asks for one more is closed.
pub const MAX_READS: usize = 128;
/// Commands that may wait for the store's thread: avatars, one transaction, one backup.
pub const STORE_QUEUE: usize = MAX_READS + 8;
/// Admin requests that wait for the loop. A further one waits in its connection.
pub const ADMIN_QUEUE: usize = 64;
/// Network events taken in one turn of the loop before timers and the admin have theirs.
pub const EVENTS_IN_TURN: usize = 256;
/// Time that the admin waits for an answer. Then the request has failed.
pub const ADMIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a request to the administration. A longer one is refused.
pub const MAX_ADMIN_BODY: usize = 64 * 1024;
/// Validity of a code in the fragment of the administration's URL. It also serves once only.
pub const CODE_LIFETIME: Duration = Duration::from_secs(60);
/// Codes that are valid at a time; the oldest ends with a further one.
pub const MAX_CODES: usize = 16;
/// Tokens of open administration pages; the oldest ends with a further one.
pub const MAX_PAGES: usize = 32;
/// Time for the last transaction at a stop.
pub const STOP_TIME: Duration = Duration::from_millis(1500);
/// Log files kept, one a day.
pub const LOG_FILES: usize = 14;
/// Connections of devices. Further ones are refused.
pub const CONNECTIONS: usize = 8192;
/// Files that the program may need to open, with a connection for each device. Where the system permits fewer, a line in
/// the log says so, and connections beyond are refused.
pub const OPEN_FILES: u64 = CONNECTIONS as u64 + 256;
/// Connections that have not signed in, in total: a whole office comes back at once after a restart. Further ones are
/// refused and come again.
pub const UNPROVED: usize = 1024;
/// The same from one address without any signed-in device: a terminal server, an office behind one router.
pub const UNPROVED_PER_SOURCE: usize = 32;
/// Bytes of `config.toml` and `org.key`. Longer ones are refused.
pub const MAX_FILE: u64 = 64 * 1024;
/// Most that a budget of the relay may be, in bytes a second. More is refused.
pub const MAX_RATE: u64 = 1_000_000_000_000;
/// Time for the figures of the relay. Then the request has failed.
pub const FIGURES_TIME: Duration = Duration::from_secs(5);
