//! Every bound of the plumbing, with what happens when it is reached.

use lanchat_proto::limits::HELLO_DEADLINE;
use std::time::Duration;

/// Addresses that one dial tries. Further ones are left out.
pub const MAX_DIAL_ADDRESSES: usize = 12;
/// Time that one address has to connect and to finish the handshake. Then it counts as failed.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time to agree on the control stream. Then the dial fails and the connection is closed.
pub const STREAM_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after which a stream of content is asked for anew, where the other side may not have admitted the link yet.
pub const STREAM_PAUSE: Duration = Duration::from_millis(50);
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

/// Time that an accepted connection has to be encrypted and to open its control stream. Later closes it, also where people may take longer than
/// this to say who they are ([`NetLimits::hello_deadline`]).
pub const FIRST_STREAM_DEADLINE: Duration = HELLO_DEADLINE;
/// Bytes that an accepted connection may send before it is admitted, everything included: handshake, identify, ping, streams
/// that nobody reads, the hello. More cuts it.
pub const MAX_UNPROVED_BYTES: usize = 16 * 1024;
/// Time that an accepted connection has its place for certain. Where places are short, the oldest one without a control
/// stream has to make room for a new one after that.
pub const PLACE_TIME: Duration = Duration::from_secs(1);
/// An address may fail (a connection that ended within [`PLACE_TIME`], not admitted) as many times in each [`PLACE_TIME`] as
/// it has places, and this time's worth of that at once. Beyond, it is refused, except on places that it has earned by its
/// links, so that whoever fails quickly does not come as often as the machine allows.
pub const FAILING_BURST: Duration = Duration::from_secs(4);
/// Where half of all places for connections that are not admitted are taken, a source address without admitted links has
/// this part of its usual share, at least one.
pub const CROWDED_PART: usize = 4;
/// Files that a program opens besides connections. Where the system permits fewer, connections give way.
pub const OTHER_FILES: u64 = 256;
/// Connections that there may be even where the system permits hardly any files.
pub const MIN_CONNECTIONS: usize = 64;

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
/// Streams of content that each end may have open at a time on a link, also such as wait for the reader of events. One more is
/// refused: the own before it is asked for, the other's when it asks.
pub const MAX_CONTENT_STREAMS: usize = 16;
/// Bytes that are read ahead of a stream of content while its frames are small.
pub const READ_AHEAD: usize = 64 * 1024;
/// Bytes from which on a frame is not small; behind one of these nothing is read ahead.
pub const READ_BULK: usize = 16 * 1024;
/// Bytes of small frames that wait to be written to a stream of content together. Beyond, they are written.
pub const WRITE_BUFFER: usize = 8 * 1024;
/// Bytes that the multiplexer sends of one stream before others have their turn. Beneath Noise, larger ones spare no
/// measurable time of the processor (64 to 256 KiB were tried) and keep control frames waiting longer.
pub const MUXER_FRAME: usize = 16 * 1024;
/// Bytes that each stream may leave unread in any case; the multiplexer's smallest window.
pub const MIN_WINDOW: usize = 256 * 1024;
/// Bytes that the streams of one connection may leave unread beyond that, all together. Windows do not grow beyond it.
pub const MAX_UNREAD: usize = 32 * 1024 * 1024;
/// Inbound streams of a connection that may be choosing their protocol at a time; others wait.
pub const MAX_NEGOTIATING: usize = 8;
/// Time after which a connection without any stream is closed.
pub const IDLE_TIME: Duration = Duration::from_secs(30);
/// Events that a connection may have waiting for the swarm's task, and the other way round.
pub const CONNECTION_BUFFER: usize = 64;

/// Streams that a connection may have at a time if there is a relay: each circuit takes one of those with the relay.
pub const MAX_STREAMS_RELAY: usize = MAX_STREAMS + MAX_CIRCUITS_PER_DEVICE;
/// Circuits of one device at a relay. A further one is denied.
pub const MAX_CIRCUITS_PER_DEVICE: usize = 256;
/// Circuits that a relay asks one device about at a time. Further ones wait.
pub const MAX_ASKED: usize = 8;
/// Circuits to one device that wait at a relay. A further one is denied.
pub const MAX_WAITING: usize = 256;
/// Time that a circuit waits at a relay for its turn. Then it is denied.
pub const CIRCUIT_PATIENCE: Duration = CONNECT_TIMEOUT;
/// Bytes that a relay reads from a circuit at a time.
pub const PACE_READ: usize = 16 * 1024;
/// Bytes that a relay reads before it paces itself. Beyond, reading waits.
pub const PACE_BURST: u64 = 64 * 1024;
/// Users whose relayed bytes are remembered. Beyond, those without a connection are forgotten.
pub const MAX_USERS: usize = 16_384;
/// Longest pause before the first attempt at a reservation on a new connection, and after the loss of one.
pub const RESERVE_FIRST: Duration = Duration::from_millis(200);
/// Pause after the first attempt at a reservation that failed; it doubles with each.
pub const RESERVE_MIN: Duration = Duration::from_millis(250);
/// Longest pause between attempts at a reservation, before up to half of it is added by chance.
pub const RESERVE_MAX: Duration = Duration::from_secs(15);
/// Users that [`crate::RelayStats`] names. The others are in the sums only.
pub const MAX_TOLD_USERS: usize = 256;
/// Least rate of a budget, in bytes a second.
pub const MIN_RATE: u64 = 1024;

/// Idle time after which TCP asks for a sign of life, and the time between two such questions.
pub const KEEPALIVE: Duration = Duration::from_secs(5);
/// Time that sent bytes may stay unacknowledged before TCP gives up (Linux).
pub const USER_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes that the kernel holds of a connection beyond what it has sent (Linux). More waits in the multiplexer, where
/// what others say does not wait behind a file; less than this saves nothing more, and costs nothing either.
pub const UNSENT: u32 = 32 * 1024;
/// Connections that may wait in the kernel to be accepted.
pub const BACKLOG: i32 = 1024;
/// Pause after an accept failed for want of a resource, so that the task does not spin.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time between two looks at the interfaces, for a listener on all of them.
pub const INTERFACES: Duration = Duration::from_secs(3);

/// Devices that are remembered from their announcements in the local network. Further ones are left out until one goes.
pub const MAX_DISCOVERED: usize = 1024;
/// Announcements that are remembered of one device in one realm. Further ones are left out.
pub const MAX_INSTANCES: usize = 4;
/// Ports that a device announces. Further ones are left out.
pub const MAX_ANNOUNCED_PORTS: usize = 4;
/// News of the local network that wait for their reader. Beyond, later news of a device replace its earlier ones.
pub const DISCOVERY_EVENTS: usize = 64;
/// Records of others that mDNS may hold. Beyond, it is ended, and begins anew after a pause.
pub const MDNS_RECORDS: i64 = 16_384;
/// Timers that mDNS may hold, two for each record heard. Beyond, it is ended, and begins anew after a pause.
pub const MDNS_TIMERS: i64 = 1_000_000;
/// Instances that mDNS may hear of in one run. Beyond, it is ended, and begins anew after a pause.
pub const MDNS_FOUND: usize = 65_536;
/// Instances up to which mDNS can be asked to tell again what it knows; beyond, its own channel would overflow.
pub const MDNS_REPLAY: i64 = 400;
/// Time between two looks at how much mDNS holds.
pub const MDNS_CHECK: Duration = Duration::from_secs(1);
/// Looks in a row that mDNS may leave unanswered. Then it counts as flooded.
pub const MDNS_UNANSWERED: u32 = 15;
/// Seconds between two looks of mDNS at the interfaces.
pub const MDNS_INTERFACES: u32 = 2;
/// Time after which the network is asked anew who is there, since mDNS by itself asks ever more seldom.
pub const MDNS_ASK: Duration = Duration::from_secs(600);
/// Pause before mDNS is tried again, at first; it doubles up to [`MDNS_RETRY_MAX`], except for want of an adapter.
pub const MDNS_RETRY: Duration = Duration::from_secs(2);
/// Longest pause before mDNS is tried again.
pub const MDNS_RETRY_MAX: Duration = Duration::from_secs(300);
/// Time after a new start of mDNS at which a device that has not been heard of again counts as gone.
pub const MDNS_STALE: Duration = Duration::from_secs(15);
/// Time between the two goodbyes to the local network.
pub const MDNS_GOODBYE: Duration = Duration::from_millis(150);
/// Time that the end of mDNS may take, goodbyes included. Then it is left to itself.
pub const MDNS_STOP: Duration = Duration::from_millis(300);

/// Bounds that an owner may change: a coordinator has many more links than a node, a load test many from one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetLimits {
    /// Time from a connection's start to [`crate::Link::admit`], of an accepted one from its acceptance, of a dialled one
    /// and of a circuit from the end of its handshake. Later closes it.
    pub hello_deadline: Duration,
    /// Inbound connections not yet admitted, from one source address (IPv4 address, IPv6 /64) without any admitted
    /// link. Further ones are refused, or an older one makes room ([`PLACE_TIME`]). Each admitted link of that address
    /// adds one.
    pub unproved_per_source: usize,
    /// Inbound connections not yet admitted, in total. Further ones are refused, or an older one makes room. Places that an
    /// address has by its admitted links are not counted.
    pub unproved: usize,
    /// Inbound connections through relays not yet admitted, in total. Further ones are refused.
    pub unproved_relayed: usize,
    /// Connections established or being established by others, in total. Further ones are refused. Less where the system
    /// does not permit so many open files.
    pub connections: usize,
    /// Bytes of frames that may wait to be written on one link. Beyond, [`crate::SendError::Full`].
    pub queue_bytes: usize,
    /// Frames a second that are read of one admitted link, and a second's worth at once. While there are more, it is not
    /// read, and TCP slows the sender down; nothing is cut.
    pub frames_per_second: u64,
    /// Bytes of frames a second, likewise.
    pub bytes_per_second: u64,
    /// Events that may wait for the reader. Beyond, links stop reading, and TCP slows the senders down.
    pub events: usize,
}

impl Default for NetLimits {
    fn default() -> Self {
        Self {
            hello_deadline: HELLO_DEADLINE,
            unproved_per_source: 8,
            unproved: 256,
            unproved_relayed: 64,
            connections: 2048,
            queue_bytes: 4 * 1024 * 1024,
            frames_per_second: 4000,
            bytes_per_second: 64 * 1024 * 1024,
            events: 256,
        }
    }
}

/// Bounds of a relay that an owner may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayLimits {
    /// Bytes a second that are relayed for one user, all devices together, counted where they come in. More slows that user's
    /// circuits down; nothing is cut. Less than [`MIN_RATE`] counts as that.
    pub per_user: u64,
    /// Bytes a second that are relayed in total. More slows all circuits down. Less than [`MIN_RATE`] counts as that.
    pub total: u64,
    /// Reservations. A further one is denied; those that exist are renewed all the same.
    pub reservations: usize,
    /// Circuits in total. A further one is denied.
    pub circuits: usize,
    /// Time that a reservation holds without being renewed (clients renew at three quarters of it).
    pub reservation_time: Duration,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            per_user: 2_000_000,
            total: 20_000_000,
            reservations: 16_384,
            circuits: 8192,
            reservation_time: Duration::from_secs(12 * 3600),
        }
    }
}
