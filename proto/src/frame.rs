//! The outer frame of every control stream, parsed by hand, and the one table of frame kinds.
//!
//! Layout, little-endian: version `u8` (1), flags `u8`, kind `u16`, length `u32`, then that many bytes of payload.
//! Keeps true: a number means one thing for ever; a frame longer than the reader allows is refused from its header
//! alone. Evolution lives here: new data is a new kind. An unknown kind is skipped and counted, unless its `critical`
//! flag is set (`docs/protocol.md#frames`).

use crate::codec::{self, DecodeError, EncodeError};
use crate::limits::MAX_FRAME;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Version of the frame layout.
pub const FRAME_VERSION: u8 = 1;
/// Bytes of a header.
pub const HEADER_LEN: usize = 8;
/// Flag: a reader that does not know the kind must close the link.
pub const FLAG_CRITICAL: u8 = 1;
/// Flags that a reader must understand; an unknown one of these closes the link. The upper four may be ignored.
const MUST_UNDERSTAND: u8 = 0x0f;

/// A frame cannot be read; the link is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Another layout.
    #[error("frame version {0}, expected {FRAME_VERSION}")]
    Version(u8),
    /// A flag that must be understood and is not.
    #[error("unknown frame flags {0:#x}")]
    Flags(u8),
    /// Longer than allowed at this point of the link.
    #[error("frame of {len} bytes where {max} are allowed")]
    TooLong {
        /// Length that the header claims.
        len: usize,
        /// Length allowed.
        max: usize,
    },
    /// An unknown kind that may not be skipped.
    #[error("unknown critical frame kind {0:#06x}")]
    Critical(u16),
}

/// A parsed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Flags, see [`FLAG_CRITICAL`].
    pub flags: u8,
    /// Kind, known or not.
    pub kind: u16,
    /// Bytes of payload that follow.
    pub len: usize,
}

impl FrameHeader {
    /// Reads a header and refuses a payload of more than `max` bytes.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn parse(bytes: [u8; HEADER_LEN], max: usize) -> Result<Self, FrameError> {
        let [version, flags, k0, k1, l0, l1, l2, l3] = bytes;
        if version != FRAME_VERSION {
            return Err(FrameError::Version(version));
        }
        if flags & MUST_UNDERSTAND & !FLAG_CRITICAL != 0 {
            return Err(FrameError::Flags(flags));
        }
        let kind = u16::from_le_bytes([k0, k1]);
        let len = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        if len > max {
            return Err(FrameError::TooLong { len, max });
        }
        if flags & FLAG_CRITICAL != 0 && Kind::from_number(kind).is_none() {
            return Err(FrameError::Critical(kind));
        }
        Ok(Self { flags, kind, len })
    }

    /// The header as it goes onto the stream, for whoever writes the payload by itself.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let [k0, k1] = self.kind.to_le_bytes();
        let [l0, l1, l2, l3] = u32::try_from(self.len).unwrap_or(u32::MAX).to_le_bytes();
        [FRAME_VERSION, self.flags, k0, k1, l0, l1, l2, l3]
    }
}

/// A whole frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// Kind, known or not.
    pub kind: u16,
    /// Payload, at most [`MAX_FRAME`] bytes.
    pub payload: Vec<u8>,
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Kind::from_number(self.kind) {
            Some(kind) => write!(f, "{kind:?}[{}]", self.payload.len()),
            None => write!(f, "{:#06x}[{}]", self.kind, self.payload.len()),
        }
    }
}

impl Frame {
    /// A frame of this kind with this value.
    ///
    /// # Errors
    /// When the value does not fit into [`MAX_FRAME`].
    pub fn new<T: Serialize>(kind: Kind, value: &T) -> Result<Self, EncodeError> {
        let payload = codec::encode(value)?;
        if payload.len() > MAX_FRAME {
            return Err(EncodeError(format!("{} bytes in a frame", payload.len())));
        }
        Ok(Self { kind: kind.number(), payload })
    }

    /// The payload as a value.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, DecodeError> {
        codec::decode(&self.payload, MAX_FRAME)
    }

    /// The known kind, or `None` for one to be skipped.
    #[must_use]
    pub fn known(&self) -> Option<Kind> {
        Kind::from_number(self.kind)
    }

    /// Header and payload as they go onto the stream.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = FrameHeader { flags: 0, kind: self.kind, len: self.payload.len() };
        let mut bytes = Vec::with_capacity(HEADER_LEN + self.payload.len());
        bytes.extend_from_slice(&header.to_bytes());
        bytes.extend_from_slice(&self.payload);
        bytes
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// Kinds of frames. Numbers are never reused; `docs/protocol.md#kinds` repeats this table and a test compares.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$doc])* $name,)*
        }

        impl Kind {
            /// Every kind, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self {
                    $(Self::$name => $number,)*
                }
            }

            /// The kind with this number.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    // Node to node, 0x01xx: `wire::link`.
    /// First frame of the dialler: `Hello`.
    Hello = 0x0101,
    /// First frame of the listener, when it accepts: `HelloAnswer`.
    HelloAnswer = 0x0102,
    /// A sign of life; asks for one when the field says so: `Heartbeat`.
    Heartbeat = 0x0103,
    /// The device leaves: `Goodbye`.
    Goodbye = 0x0104,
    /// Digests of shared conversations: `Digests`.
    Digests = 0x0105,
    /// Heads of the buckets that differ: `Heads`.
    Heads = 0x0106,
    /// Entries, oldest first within a log: `Entries`.
    Entries = 0x0107,
    /// What is on disk now, or what the sender really has: `Acknowledge`.
    Acknowledge = 0x0108,
    /// Signed state records: `States`.
    States = 0x0109,
    /// Revocation acts that the other lacks: `Revocations`.
    Revocations = 0x010a,
    /// A renewed certificate: `Renewed`.
    Renewed = 0x010b,
    /// Asks the other end to dial the sender and to tell what happened; on both channels: `DialMe`.
    DialMe = 0x010c,
    /// What happened: `DialledYou`.
    DialledYou = 0x010d,

    // Node to coordinator, 0x02xx: `wire::coordinator`.
    /// First frame of the coordinator: `Welcome`.
    Welcome = 0x0201,
    /// Asks for a user's salt: `AskSalt`.
    AskSalt = 0x0202,
    /// The salt: `Salt`.
    Salt = 0x0203,
    /// Creates an account and enrols this device: `Register`.
    Register = 0x0204,
    /// Enrols this device: `Login`.
    Login = 0x0205,
    /// The device is enrolled: `Enrolled`.
    Enrolled = 0x0206,
    /// The device signs in with its certificate: `SignIn`.
    SignIn = 0x0207,
    /// Signed in: `SignedIn`.
    SignedIn = 0x0208,
    /// A page of the presence snapshot: `Snapshot`.
    Snapshot = 0x0209,
    /// Numbered presence changes: `Delta`.
    Delta = 0x020a,
    /// Asks for a fresh snapshot: `AskSnapshot`.
    AskSnapshot = 0x020b,
    /// A page of profiles newer than the node's: `Directory`.
    Directory = 0x020c,
    /// New addresses or presence of this device: `Report`.
    Report = 0x020d,
    /// Changes the own profile: `SetProfile`.
    SetProfile = 0x020e,
    /// Changes the password: `ChangePassword`.
    ChangePassword = 0x020f,
    /// Signs this device out for good: `Logout`.
    Logout = 0x0210,
    /// Asks for somebody's avatar: `AskAvatar`.
    AskAvatar = 0x0211,
    /// The avatar: `Avatar`.
    Avatar = 0x0212,
    /// A request was carried out: `Done`.
    Done = 0x0213,
    /// A request was refused: `Refused`.
    Refused = 0x0214,
    /// The organisation speaks to all: `Announcement`.
    Announcement = 0x0215,
    /// Searches accounts: `FindUsers`.
    FindUsers = 0x0216,
    /// Accounts found: `FoundUsers`.
    FoundUsers = 0x0217,
    /// Asks for an introduction to a device: `Introduce`.
    Introduce = 0x0218,
    /// What became of it: `Introduction`.
    Introduction = 0x0219,
    /// A device wants to be dialled: `Knock`.
    Knock = 0x021a,
    /// Circuits are carried for this device: `RelayTerms`.
    RelayTerms = 0x021b,

    // Content between two nodes, on streams of its own, 0x03xx: `wire::blob`.
    /// What is wanted: `BlobOpen`.
    BlobOpen = 0x0301,
    /// What the holder has: `BlobHave`.
    BlobHave = 0x0302,
    /// The holder sends nothing more: `BlobRefused`.
    BlobRefused = 0x0303,
    /// Asks for chaining values: `BlobAskValues`.
    BlobAskValues = 0x0304,
    /// Chaining values: `BlobValues`.
    BlobValues = 0x0305,
    /// Asks for a piece: `BlobAsk`.
    BlobAsk = 0x0306,
    /// A piece, parsed by hand: `wire::blob::Piece`.
    BlobPiece = 0x0307,
    /// On the control stream: what was paused may be asked for again: `BlobReady`.
    BlobReady = 0x0308,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(bytes: &[u8]) -> [u8; HEADER_LEN] {
        bytes.split_at(HEADER_LEN).0.try_into().unwrap()
    }

    #[test]
    fn a_header_survives_the_trip() {
        let frame = Frame::new(Kind::Heartbeat, &5_u64).unwrap();
        let bytes = frame.to_bytes();
        let parsed = FrameHeader::parse(header(&bytes), MAX_FRAME).unwrap();
        assert_eq!(parsed, FrameHeader { flags: 0, kind: 0x0103, len: 8 });
        assert_eq!(frame.decode::<u64>(), Ok(5));
    }

    #[test]
    fn what_must_be_understood_and_is_not_is_refused() {
        let good = header(&Frame { kind: 0xfff0, payload: vec![0; 9] }.to_bytes());
        assert!(FrameHeader::parse(good, 9).is_ok());
        assert_eq!(FrameHeader::parse(good, 8), Err(FrameError::TooLong { len: 9, max: 8 }));
        let with = |at: usize, value: u8| {
            let mut bytes = good;
            bytes[at] = value;
            FrameHeader::parse(bytes, 9)
        };
        assert_eq!(with(0, 2), Err(FrameError::Version(2)));
        assert_eq!(with(1, 2), Err(FrameError::Flags(2)));
        assert_eq!(with(1, FLAG_CRITICAL), Err(FrameError::Critical(0xfff0)));
        assert!(with(1, 0x80).is_ok());
    }

    #[test]
    fn no_two_kinds_share_a_number() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_number(kind.number()), Some(*kind));
        }
    }
}
