//! Every bound of the plumbing, with what happens when it is reached.

use lanchat_proto::limits::HELLO_DEADLINE;
use std::time::Duration;

/// Addresses that one dial tries. Further ones are left out.
pub const MAX_DIAL_ADDRESSES: usize = 12;
/// Time that one address has to connect and to finish the handshake. Then it counts as failed.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time to agree on the control stream. Then the dial fails and the connection is closed.
pub const STREAM_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause between the addresses of a dial; a failure starts the next at once.
pub const STAGGER: Duration = Duration::from_millis(200);
/// Addresses being tried at a time, of all dials together. Further ones wait until one of these has ended.
pub const MAX_ATTEMPTS: usize = 256;
/// Dials under way. A further one fails at once.
pub const MAX_DIALS: usize = 512;
/// Dials and commands that wait for the swarm's task. A further dial is refused as busy, a further command waits.
pub const COMMAND_QUEUE: usize = 64;
/// Results of dials and listeners that wait for the reader of events. While there are more, no new dial is started.
pub const OUTBOX: usize = 256;

/// Connections with one device. A further one is refused.
pub const MAX_PER_DEVICE: usize = 4;
/// Devices that are refused on sight. Beyond, a refused device loses its links but is left to the hello later.
pub const MAX_REFUSED: usize = 65_536;
/// Source addresses whose share is remembered. Beyond, the one that was heard of longest ago is forgotten.
pub const MAX_SOURCES: usize = 4096;
/// Time that a source address keeps the share that its links earned after the last of them closed.
pub const SHARE_MEMORY: Duration = Duration::from_secs(600);

/// Bytes of queued frames that go into one write, beyond the first frame.
pub const WRITE_BATCH: usize = 64 * 1024;
/// Time that a link has to write what is queued once it is closed in order, and to see the other side close. Then it
/// is cut.
pub const FLUSH_TIME: Duration = Duration::from_secs(2);
/// Time that the multiplexer has to say goodbye. Then the connection is dropped.
pub const CLOSE_TIME: Duration = Duration::from_secs(2);
/// Time that a shutdown gives to links to flush and close. Then they are dropped.
pub const SHUTDOWN_TIME: Duration = Duration::from_millis(1800);
/// Time that a write may be blocked while nothing arrives either. Then the connection is in error.
pub const STALL_TIME: Duration = Duration::from_secs(20);

/// Streams that a connection may have at a time; one more from the other side ends the connection.
pub const MAX_STREAMS: usize = 64;
/// Inbound streams of a connection that may be choosing their protocol at a time; others wait.
pub const MAX_NEGOTIATING: usize = 8;
/// Time after which a connection without any stream is closed.
pub const IDLE_TIME: Duration = Duration::from_secs(30);
/// Events that a connection may have waiting for the swarm's task, and the other way round.
pub const CONNECTION_BUFFER: usize = 64;

/// Idle time after which TCP asks for a sign of life, and the time between two such questions.
pub const KEEPALIVE: Duration = Duration::from_secs(5);
/// Time that sent bytes may stay unacknowledged before TCP gives up (Linux).
pub const USER_TIMEOUT: Duration = Duration::from_secs(15);
/// Connections that may wait in the kernel to be accepted.
pub const BACKLOG: i32 = 1024;
/// Pause after an accept failed for want of a resource, so that the task does not spin.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time between two looks at the interfaces, for a listener on all of them.
pub const INTERFACES: Duration = Duration::from_secs(3);

/// Bounds that an owner may change: a coordinator has many more links than a node, a load test many from one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetLimits {
    /// Time from a connection's start to [`crate::Link::admit`]. Later closes it.
    pub hello_deadline: Duration,
    /// Inbound connections not yet admitted, from one source address (IPv4 address, IPv6 /64) without any admitted
    /// link. Further ones are refused. Each admitted link of that address adds one.
    pub unproved_per_source: usize,
    /// Inbound connections not yet admitted, in total. Further ones are refused.
    pub unproved: usize,
    /// Connections established or being established by others, in total. Further ones are refused.
    pub connections: usize,
    /// Bytes of frames that may wait to be written on one link. Beyond, [`crate::SendError::Full`].
    pub queue_bytes: usize,
    /// Events that may wait for the reader. Beyond, links stop reading, and TCP slows the senders down.
    pub events: usize,
}

impl Default for NetLimits {
    fn default() -> Self {
        Self {
            hello_deadline: HELLO_DEADLINE,
            unproved_per_source: 8,
            unproved: 256,
            connections: 2048,
            queue_bytes: 4 * 1024 * 1024,
            events: 256,
        }
    }
}
