//! Bounds of the local API, each with what happens when it is reached.

use std::time::Duration;

/// First port that is tried for the page and the API without an explicit one.
pub const DEFAULT_PORT: u16 = 7421;
/// Ports tried from [`DEFAULT_PORT`] on; when all are taken, the system picks one.
pub const PORTS_TRIED: u16 = 64;
/// Connections at a time. Further ones wait in the system's queue.
pub const CONNECTIONS: usize = 256;
/// WebSockets at a time. A further one is closed with the reason.
pub const SOCKETS: usize = 16;
/// WebSockets that have not proved who they are. A further one is closed.
pub const SOCKETS_PENDING: usize = 16;
/// Time for a WebSocket's first frame. Later closes it.
pub const SOCKET_TOKEN: Duration = Duration::from_secs(2);
/// Time that a frame may take to leave. Later closes the WebSocket.
pub const SOCKET_SEND: Duration = Duration::from_secs(10);
/// Silence after which a WebSocket gets a ping.
pub const SOCKET_PING: Duration = Duration::from_secs(20);
/// Bytes of a frame that a WebSocket takes. More closes it.
pub const SOCKET_FRAME: usize = 4 * 1024;

/// Bytes of a request's JSON. More is refused with 413.
pub const BODY: usize = 128 * 1024;
/// Bytes of a request with a text, so that one that is too long gets its own error. More is refused with 413.
pub const BODY_TEXT: usize = 2 * 1024 * 1024;
/// Bytes of a request with an avatar, so that one that is too large gets its own error. More is refused with 413.
pub const BODY_AVATAR: usize = 1024 * 1024;

/// Time that a one-time code lives. Later it is unknown.
pub const CODE_LIFE: Duration = Duration::from_secs(60);
/// Codes alive at a time. A further one replaces the oldest.
pub const CODES: usize = 32;
/// Sessions of pages. A further one replaces the oldest.
pub const SESSIONS: usize = 64;
/// Time that a ticket lives. Later it is unknown.
pub const TICKET_LIFE: Duration = Duration::from_secs(60);
/// Tickets alive at a time. A further one replaces the oldest.
pub const TICKETS: usize = 1024;

/// Events kept for replay. Whoever is further behind is told to start afresh.
pub const JOURNAL: usize = 4096;
/// Bytes of events kept for replay. Older ones go first.
pub const JOURNAL_BYTES: usize = 16 * 1024 * 1024;

/// Rows of history or search in one answer. A larger wish gets this many.
pub const PAGE: usize = 1000;
/// Rows without a wish.
pub const PAGE_DEFAULT: usize = 50;
/// Bytes of a search query. A longer one is refused.
pub const QUERY: usize = 1024;
/// Users named by an ambiguous name's error.
pub const CANDIDATES: usize = 32;
/// Starred people of one user. A further one is refused.
pub const CONTACTS: usize = 4096;

/// Digits of a transfer's id that have to be given. Fewer mean no transfer.
pub const ID_DIGITS: usize = 4;
/// Time between two events about the bytes of one transfer. What happens meanwhile is told with the next.
pub const PROGRESS: Duration = Duration::from_millis(200);

/// Longest wait for a message's delivery or a file's end, in seconds. A longer wish is shortened; with the offer of a file it is
/// refused.
pub const WAIT: u64 = 24 * 3600;
/// Wait without a wish, in seconds.
pub const WAIT_DEFAULT: u64 = 30;
/// Time that storing a message gets, however short the wait. Later it is an error.
pub const STORING: Duration = Duration::from_secs(2);
/// Time that the node may take for a request that is not a wait. Later it is an error.
pub const ANSWER: Duration = Duration::from_secs(60);
/// Time that open requests get when the API ends. Later they are cut.
pub const GOODBYE: Duration = Duration::from_millis(500);
