//! Every bound of the node's rules, with what happens when it is reached. Bounds that two programs share stand in
//! `lanchat_proto::limits`.

use std::time::Duration;

/// Own entries waiting for the disk. More commands are answered with `Busy`.
pub const OUTSTANDING: usize = 1024;
/// Time between two nudges to one user. An earlier one is refused.
pub const NUDGE_EVERY: Duration = Duration::from_secs(10);
/// Message ids remembered so that a message which is issued again is told once; the oldest is forgotten.
pub const RECENT_MESSAGES: usize = 4096;
/// Changes of the store, other than entries, kept for another try after a failure; the oldest is dropped.
pub const MAX_RETRIES: usize = 1024;
/// Wait before a failed change is tried again, or the end of a log is read again.
pub const STORE_RETRY: Duration = Duration::from_secs(1);

/// Time after a device's goodbye within which the coordinator says that it is off: longer than `LEASE`. Otherwise its
/// word that the device is on counts again.
pub const GOODBYE_HOLDS: Duration = Duration::from_secs(20);
/// Links to one device, accepted or not. A further one is closed at once.
pub const MAX_LINKS_PER_DEVICE: usize = 4;
/// Links whose hello is not accepted yet. A further incoming one is closed at once.
pub const MAX_PENDING_LINKS: usize = 512;
/// Time that a link has to show that it lives when another came up beside it or the network changed, before others are
/// used and tried.
pub const LINK_ANSWER: Duration = Duration::from_secs(1);
/// Time that the device with the larger id leaves a duplicate link to be closed by the other.
pub const DUPLICATE_GRACE: Duration = Duration::from_secs(5);

/// Direct dials under way. Further ones wait for one to end.
pub const MAX_DIALS: usize = 32;
/// Time after which a dial that the shell never answered counts as failed.
pub const DIAL_DEADLINE: Duration = Duration::from_secs(20);
/// Head start of the device with the smaller id when both learn of each other.
pub const DIAL_HEAD_START: Duration = Duration::from_millis(1500);
/// Jitter on the dial that follows a lost link, and on the head start.
pub const DIAL_JITTER: Duration = Duration::from_millis(300);
/// Upper end of the first wait after a failed dial; doubled with each failure.
pub const DIAL_BACKOFF: Duration = Duration::from_millis(1000);
/// Lower end of every wait after a failed dial.
pub const DIAL_BACKOFF_MIN: Duration = Duration::from_millis(500);
/// Longest wait between two dials of one device.
pub const DIAL_BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Spread of the first dials after a start, when only the last good addresses are known.
pub const DIAL_AT_START: Duration = Duration::from_secs(2);

/// Time that a direct dial gets before the device is asked to dial back.
pub const DIAL_BACK_AFTER: Duration = Duration::from_millis(1500);
/// Time that direct ways get before a circuit is asked for.
pub const CIRCUIT_AFTER: Duration = Duration::from_secs(4);
/// Spread of circuits after the coordinator came back, or ended them: a relay drops what comes all at once.
pub const CIRCUIT_JITTER: Duration = Duration::from_secs(2);
/// Upper end of the first wait after a failed circuit; doubled with each failure.
pub const CIRCUIT_BACKOFF: Duration = Duration::from_secs(2);
/// Lower end of every wait after a failed circuit.
pub const CIRCUIT_BACKOFF_MIN: Duration = Duration::from_secs(1);
/// Longest wait between two circuits to one device.
pub const CIRCUIT_BACKOFF_MAX: Duration = Duration::from_secs(20);
/// Time that the coordinator has for an introduction. Then it is asked again.
pub const INTRODUCTION_DEADLINE: Duration = Duration::from_secs(5);
/// Longest wait that the coordinator may ask for before a circuit; a longer one is cut to it.
pub const MAX_INTRODUCTION_WAIT: Duration = Duration::from_secs(10);
/// Introductions under way. Further ones wait for the next try.
pub const MAX_INTRODUCTIONS: usize = 1024;
/// Devices remembered that announce themselves on the own network. Further ones are not dialled.
pub const MAX_ANNOUNCED: usize = 4096;
/// Addresses of a device whose last outcome is remembered; the oldest is forgotten.
pub const MAX_TRIED: usize = 24;
/// Devices that are being dialled because they asked whether they can be reached. Others are told that nothing was tried.
pub const MAX_PROBES: usize = 8;

/// Lower end of the wait before the coordinator is tried again.
pub const SESSION_RETRY_MIN: Duration = Duration::from_millis(300);
/// Upper end of the first wait before the coordinator is tried again; doubled up to [`SESSION_RETRY_MAX`].
pub const SESSION_RETRY: Duration = Duration::from_secs(1);
/// Longest wait between two tries of the coordinator.
pub const SESSION_RETRY_MAX: Duration = Duration::from_secs(5);
/// Wait between two tries of the coordinator while the account is banned or a copy of this device is on.
pub const BANNED_RETRY: Duration = Duration::from_secs(60);
/// Wait after the first time that the coordinator says that a copy of this device is on: longer than `LINK_SUSPECT`, so
/// that a run of this device that has crashed does not count any more.
pub const COPY_RETRY: Duration = Duration::from_secs(10);
/// Time that the coordinator has for its welcome, and again for the answer to a sign-in.
pub const SIGN_IN_DEADLINE: Duration = Duration::from_secs(10);
/// Time that the coordinator has for the answer to a request. Later it has timed out.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// Requests to the coordinator under way. Further ones are answered with `Busy`.
pub const MAX_REQUESTS: usize = 64;
/// Profiles of a directory that is being received, before it is complete; more close the session.
pub const MAX_DIRECTORY: usize = 120_000;
/// Devices of a snapshot that is being received; more close the session.
pub const MAX_SNAPSHOT: usize = 200_000;

/// Frames of entries on a link that are not acknowledged yet, those being read from disk included.
pub const BATCHES_IN_FLIGHT: usize = 4;
/// State records that go out on a link at once. The rest follows after [`STATES_PAUSE`], so that they never fill its queue.
pub const STATES_AT_ONCE: usize = 512;
/// Pause between two such parts.
pub const STATES_PAUSE: Duration = Duration::from_millis(100);
/// Times in a row that a log may make no progress on a link before nothing more of it is sent there for [`UNSTICK`].
pub const MAX_STUCK: u8 = 2;
/// Wait after which entries that were not taken are offered again.
pub const UNSTICK: Duration = Duration::from_secs(5);
/// Bytes of digests in one frame.
pub const DIGEST_BYTES: usize = 96 * 1024;
/// Earliest moment at which another's entry is passed on.
pub const PASS_ON_MIN: Duration = Duration::from_millis(200);
/// Latest moment at which another's entry is passed on.
pub const PASS_ON_MAX: Duration = Duration::from_millis(1000);
/// Frames of one link that wait for the disk before they are acknowledged; more close the link.
pub const MAX_UNACKNOWLEDGED: usize = 64;
/// Epochs that one run may open because peers say that this copy is old. Further claims are ignored.
pub const MAX_NEW_EPOCHS: u32 = 8;

/// Transfers of one author that are offered, waiting, running or paused. A further offer of another's is not shown as a
/// transfer, nor fetched; one of the own user's is refused.
pub const MAX_TRANSFERS: usize = 1024;
/// Transfers of one author that are over and still shown. With one more, another of them is forgotten; the message that
/// offered it stays.
pub const MAX_OVER: usize = 1024;
/// Words of one device in a conversation about offers that are not known here (yet: words may come before the offers that they
/// are about), as many as there can be of transfers of both users. Further ones are dropped.
pub const MAX_UNKNOWN_WORDS: usize = 2 * (MAX_TRANSFERS + MAX_OVER);
/// Wait before a fetch that broke is tried again; doubled with each failure in a row.
pub const TRANSFER_RETRY: Duration = Duration::from_secs(1);
/// Longest wait before a fetch is tried again, also after want of room or a pause by the holder.
pub const TRANSFER_RETRY_MAX: Duration = Duration::from_secs(15);
/// Files fetched at a time. Further ones wait for one to end.
pub const MAX_FETCHES: usize = 4;

/// Most that may be on its way from one holder of content by a direct link, in bytes.
pub const CREDIT_DIRECT: u64 = 4 * 1024 * 1024;
/// The same through the coordinator.
pub const CREDIT_RELAYED: u64 = 1024 * 1024;
/// What may be on its way before the rate of a direct link is known, in bytes.
pub const CREDIT_FIRST: u64 = 256 * 1024;
/// Least that may be on its way, in bytes, however slow the link.
pub const CREDIT_LEAST: u64 = 64 * 1024;
/// Time that the credit may keep a link busy, beyond the round trip: so long does other traffic wait behind content.
pub const CREDIT_QUEUE: Duration = Duration::from_millis(20);
/// Bytes of the smallest piece, but for the end of a unit.
pub const PIECE_LEAST: u64 = 16 * 1024;
/// Time over which a rate is measured.
pub const RATE_WINDOW: Duration = Duration::from_millis(50);

/// Difference of the clock's correction worth storing, in milliseconds.
pub const OFFSET_STEP: u64 = 1000;
/// Difference between the steps of wall and monotonic clock, in milliseconds, beyond which the wall clock was set.
pub const CLOCK_JUMP: u64 = 2000;
/// Peers whose clocks are remembered; further ones do not count.
pub const MAX_CLOCKS: usize = 64;
