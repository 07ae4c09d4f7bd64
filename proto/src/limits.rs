//! Every bound that two programs share, with what happens when it is reached.
//!
//! Bounds of one program only stand in that program's own `limits.rs`.

use std::time::Duration;

/// Bytes of a frame's payload. A longer one closes the link.
pub const MAX_FRAME: usize = 256 * 1024;
/// Bytes that a link may carry in one direction before its hello was accepted. More closes it.
pub const MAX_BEFORE_HELLO: usize = 4 * 1024;
/// Time from a connection's start to its accepted hello. Later closes it.
pub const HELLO_DEADLINE: Duration = Duration::from_millis(2500);
/// Most that a decoder may claim while reading one frame (bincode counts claimed, not read, bytes).
pub const MAX_DECODE: usize = 1024 * 1024;

/// Bytes of a text, UTF-8. A longer one is refused at the author and invalid from a peer.
pub const MAX_TEXT: usize = 64 * 1024;
/// Bytes of an entry's body with its 16 random bytes. A longer one makes the entry invalid.
pub const MAX_BODY: usize = 80 * 1024;
/// Bytes of an entry's header. A longer one makes the entry invalid.
pub const MAX_HEADER: usize = 4 * 1024;
/// Group changes that an entry may name in `after`. More make it invalid.
pub const MAX_AFTER: usize = 64;
/// Entries in one frame. More are refused.
pub const MAX_BATCH: usize = 128;
/// Bytes of entries that a sender puts into one frame, beyond the first entry.
pub const MAX_BATCH_BYTES: usize = 96 * 1024;
/// Heads or digests in one frame. More are refused.
pub const MAX_HEADS: usize = 512;
/// State records in one frame. More are refused.
pub const MAX_STATES: usize = 64;
/// Buckets of a conversation's digest.
pub const DIGEST_BUCKETS: usize = 256;
/// Bytes of a state record. A longer one is refused.
pub const MAX_STATE: usize = 1536;

/// Bytes of a signed certificate, endorsement or revocation. A longer one cannot be signed, nor read.
pub const MAX_SIGNED: usize = 512;
/// Bytes of what an act of a revocation list says. More cannot be signed, nor read.
pub const MAX_ACT: usize = 128;
/// Endorsements from a user's first device to the one that presents itself. A longer chain is refused.
pub const MAX_DEVICE_CHAIN: usize = 8;
/// Revocation lists of one organisation that a node keeps and a hello names: the root's, and those of issuing keys now and
/// before. Further ones are not taken.
pub const MAX_ISSUERS: usize = 8;
/// Protocol versions that a hello may offer. More are refused.
pub const MAX_VERSIONS: usize = 8;
/// Revocation acts in one frame. More are refused; a longer list goes in several frames.
pub const MAX_REVOCATIONS: usize = 128;
/// Slack that certificates get at both ends of their validity (`docs/protocol.md#certificates`).
pub const CERTIFICATE_SLACK: Duration = Duration::from_secs(24 * 3600);
/// Validity of a membership certificate.
pub const CERTIFICATE_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// Age at which a certificate is renewed at the next contact with the coordinator.
pub const CERTIFICATE_RENEWAL: Duration = Duration::from_secs(24 * 3600);

/// A stamp further ahead than this is shown in place but not adopted (`docs/protocol.md#time`).
pub const MAX_CLOCK_AHEAD: Duration = Duration::from_secs(5 * 60);

/// Silence after which a heartbeat is sent on a link.
pub const HEARTBEAT: Duration = Duration::from_secs(4);
/// Silence after which a link is suspect: it is asked for a sign of life.
pub const LINK_SUSPECT: Duration = Duration::from_secs(8);
/// Silence after which a link is dead and closed.
pub const LINK_DEAD: Duration = Duration::from_secs(15);
/// Silence after which the coordinator announces a device offline.
pub const LEASE: Duration = Duration::from_secs(15);
/// Time that a device with a link has to answer when the coordinator says that it is offline.
pub const PROBE: Duration = Duration::from_secs(3);

/// Bytes of the smallest unit in which content is verified.
pub const MIN_UNIT: u64 = 1024 * 1024;
/// Units of one file. A larger file has larger units.
pub const MAX_UNITS: usize = 65_536;

/// Bytes of content in one piece. A longer one ends the stream.
pub const MAX_PIECE: usize = 128 * 1024;
/// Chaining values in one frame. More are refused; a longer list goes in several frames.
pub const MAX_VALUES: usize = 4096;
/// Bytes of the bits that say which units a holder has.
pub const MAX_HELD: usize = MAX_UNITS / 8;
/// Bytes of a file's name, UTF-8. A longer one is shortened by its sender and invalid from a peer.
pub const MAX_FILE_NAME: usize = 255;
/// Bytes of a name under which a received file is saved, UTF-8: so much that every platform takes it, with a number.
pub const MAX_SAVED_NAME: usize = 200;
/// Bytes of a file's media type. A longer one is left out by its sender and invalid from a peer.
pub const MAX_MEDIA_TYPE: usize = 127;

/// Characters of a display name, department, title. A longer one is refused.
pub const MAX_DISPLAY_NAME: usize = 64;
/// Characters of a note. A longer one is refused.
pub const MAX_NOTE: usize = 256;
/// Bytes of an avatar. A larger one is refused.
pub const MAX_AVATAR: usize = 64 * 1024;
/// Addresses that a device may tell, and that are handed out for one. Further ones are left out.
pub const MAX_ENDPOINTS: usize = 16;
/// Ports of the own that a device may ask another to dial. More are refused.
pub const MAX_TRIED_PORTS: usize = 4;
/// Devices of one user. A further sign-in is refused until one is logged out.
pub const MAX_DEVICES: usize = 16;
/// Users of one organisation. A further registration is refused.
pub const MAX_USERS: usize = 100_000;
/// Rows in one page of a snapshot or search answer. A snapshot goes on in the next page, a search ends there.
pub const MAX_PAGE: usize = 128;
/// Changes in one presence delta. More in one tick are split.
pub const MAX_DELTA: usize = 256;
/// Bytes of an organisation's name. A longer one is refused.
pub const MAX_ORG_NAME: usize = 64;
/// Characters of an announcement. A longer one is refused.
pub const MAX_ANNOUNCEMENT: usize = 4096;
/// Bytes of an invite code. A longer one is refused.
pub const MAX_INVITE: usize = 64;
