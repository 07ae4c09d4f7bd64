//! Names of things: fixed-size byte strings that are never mixed up.
//!
//! Keeps true: an id has exactly one encoding (its bytes) and one spelling (lower-case hex). Goes in: raw bytes, hex.
//! Goes out: the same. Which bytes make an id is written in `docs/protocol.md#ids`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A string is not the lower-case hex spelling of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} hexadecimal digits")]
pub struct ParseIdError {
    /// Digits that the id has.
    pub expected: usize,
}

/// Parses exactly `N` bytes of hex, either case.
fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], ParseIdError> {
    let error = ParseIdError { expected: 2 * N };
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return Err(error);
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16).ok_or(error)?;
            *byte = (*byte << 4) | u8::try_from(value).map_err(|_| error)?;
        }
    }
    Ok(bytes)
}

/// Writes bytes as lower-case hex.
pub(crate) fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(
            /// The bytes.
            pub [u8; $len],
        );

        impl $name {
            /// Bytes of this id.
            pub const LEN: usize = $len;

            /// The id from a slice, when it has the right length.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The bytes as a slice.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }

            /// The first eight hex digits, for logs.
            #[must_use]
            pub fn short(&self) -> String {
                self.to_string().chars().take(8).collect()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex(text).map(Self)
            }
        }
    };
}

byte_id!(
    /// A realm: BLAKE3 of an organisation's root public key, or [`RealmId::OPEN`].
    RealmId,
    32
);
byte_id!(
    /// An account: 16 random bytes given once by the coordinator, or in the open LAN a hash of the device key.
    UserId,
    16
);
byte_id!(
    /// A device: its Ed25519 public key, which is also its libp2p peer id.
    DeviceId,
    32
);
byte_id!(
    /// A conversation: hash of its realm and descriptor.
    ConversationId,
    32
);
byte_id!(
    /// An entry: BLAKE3 of its header's bytes.
    EntryHash,
    32
);
byte_id!(
    /// A message, kept when its entry is issued again in another epoch, so that it is shown once.
    MessageId,
    16
);
byte_id!(
    /// One physical machine in one run (boot) and network namespace: only there are loopback addresses shared.
    HostId,
    16
);

impl RealmId {
    /// The LAN without a coordinator.
    pub const OPEN: Self = Self(*b"lanchat open realm, version one.");

    /// The realm of the organisation with this root key.
    #[must_use]
    pub fn of_root(root: &DeviceId) -> Self {
        Self(blake3::hash(&root.0).into())
    }

    /// 32 hex digits in groups of four: what two people compare, 128 bits of the id.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let hex: String = self.to_string().chars().take(32).collect();
        let groups: Vec<String> =
            hex.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
        groups.join("-")
    }

    /// Whether a fingerprint that somebody typed (hyphens, spaces and case do not matter) is this realm's; the
    /// whole id in hex counts too.
    #[must_use]
    pub fn matches_fingerprint(&self, typed: &str) -> bool {
        let digits: String =
            typed.chars().filter(char::is_ascii_hexdigit).map(|c| c.to_ascii_lowercase()).collect();
        let only_digits = typed.chars().all(|c| c.is_ascii_hexdigit() || c == '-' || c == ' ');
        let whole = self.to_string();
        only_digits && (digits == whole || digits.len() == 32 && whole.starts_with(&digits))
    }
}

impl UserId {
    /// The user of the open LAN that this device is.
    #[must_use]
    pub fn of_open_device(device: &DeviceId) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("lanchat/open-user/1");
        hasher.update(&device.0);
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        Self(bytes)
    }
}

impl EntryHash {
    /// What the first entry of a log names as the entry before it.
    pub const NONE: Self = Self([0; 32]);
}

/// An epoch of a device's logs: random, made with the database, new at every restore.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Epoch(
    /// The random number.
    pub u64,
);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A log: what one device wrote for one conversation in one epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct LogId {
    /// The conversation.
    pub conversation: ConversationId,
    /// The writing device.
    pub device: DeviceId,
    /// The device's epoch.
    pub epoch: Epoch,
}

impl LogId {
    /// The conversation-independent part, as digests and heads spell it: device, then epoch in big-endian.
    #[must_use]
    pub fn key(&self) -> [u8; 40] {
        let mut key = [0; 40];
        let (device, epoch) = key.split_at_mut(32);
        device.copy_from_slice(&self.device.0);
        epoch.copy_from_slice(&self.epoch.0.to_be_bytes());
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trips_and_refuses_other_lengths() {
        let id = UserId([0xab; 16]);
        assert_eq!(id.to_string().parse::<UserId>(), Ok(id));
        assert_eq!("ab".parse::<UserId>(), Err(ParseIdError { expected: 32 }));
        assert_eq!("zz".repeat(16).parse::<UserId>(), Err(ParseIdError { expected: 32 }));
        assert_eq!("é".repeat(16).parse::<UserId>(), Err(ParseIdError { expected: 32 }));
    }

    #[test]
    fn a_fingerprint_is_recognised_however_it_is_typed() {
        let realm = RealmId::of_root(&DeviceId([7; 32]));
        let print = realm.fingerprint();
        assert!(realm.matches_fingerprint(&print));
        assert!(realm.matches_fingerprint(&print.replace('-', " ").to_uppercase()));
        assert!(realm.matches_fingerprint(&realm.to_string()));
        assert!(!realm.matches_fingerprint(print.split_at(30).0));
        assert!(!realm.matches_fingerprint(&RealmId::OPEN.fingerprint()));
        assert!(!realm.matches_fingerprint(&format!("{print}x")));
    }
}
