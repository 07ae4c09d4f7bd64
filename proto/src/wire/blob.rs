//! Frames about content between two nodes that are linked, all but one on a stream of content. The order of things is in `docs/protocol.md#transfer`.
//!
//! Keeps true: who needs content asks for pieces, and what it has asked for and not yet got is the credit: a holder sends
//! nothing unasked. A piece is parsed by hand, since its bytes should not be copied more often than needed.

use crate::blob::BlobHash;
use crate::codec::{Blob, BoundedVec};
use crate::frame::{Frame, Kind};
use crate::ids::{ConversationId, EntryHash, MessageId};
use crate::limits::{MAX_HELD, MAX_PIECE, MAX_VALUES};
use serde::{Deserialize, Serialize};

/// The first frame of a stream of content: what is wanted, and by which right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlobOpen {
    /// The conversation in which it was offered.
    pub conversation: ConversationId,
    /// The entry that offers it: whoever may have that entry may have the content.
    pub offer: EntryHash,
    /// The content.
    pub hash: BlobHash,
}

/// What the holder has of it; also told anew when that changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlobHave {
    /// Bytes of the content.
    pub size: u64,
    /// A bit for each unit, lowest bit first; empty for all of them.
    pub units: Blob<MAX_HELD>,
}

/// Why content is not sent. A reason that this version does not know reads as [`BlobRefusal::Other`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error, Serialize, Deserialize)]
#[serde(from = "u32", into = "u32")]
pub enum BlobRefusal {
    /// Anything else.
    #[error("the other side does not send it")]
    Other,
    /// Not offered, not to this device, or not any more.
    #[error("the file is not offered any more")]
    NotOffered,
    /// The file that was offered is not there any more.
    #[error("the file is gone at the sender")]
    Gone,
    /// The file that was offered is another now.
    #[error("the file was changed at the sender")]
    Changed,
    /// Too many transfers at a time.
    #[error("the other side is busy")]
    Busy,
    /// The holder does not have that part.
    #[error("the other side does not have that part")]
    NotHeld,
    /// The user at the other side paused it.
    #[error("paused by the other side")]
    Paused,
}

impl BlobRefusal {
    const ALL: &'static [Self] =
        &[Self::Other, Self::NotOffered, Self::Gone, Self::Changed, Self::Busy, Self::NotHeld, Self::Paused];
}

impl From<u32> for BlobRefusal {
    fn from(number: u32) -> Self {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        Self::ALL.get(at).copied().unwrap_or(Self::Other)
    }
}

impl From<BlobRefusal> for u32 {
    fn from(refusal: BlobRefusal) -> Self {
        let at = BlobRefusal::ALL.iter().position(|other| *other == refusal);
        at.and_then(|at| Self::try_from(at).ok()).unwrap_or(0)
    }
}

/// The holder sends nothing more on this stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlobRefused {
    /// Why.
    pub reason: BlobRefusal,
}

/// Asks for chaining values of units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlobAskValues {
    /// The first unit.
    pub first: u32,
    /// How many, at most [`MAX_VALUES`].
    pub count: u32,
}

/// Chaining values of units.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlobValues {
    /// The first unit.
    pub first: u32,
    /// The values.
    pub values: BoundedVec<[u8; 32], MAX_VALUES>,
}

/// Asks for a piece of a unit. Pieces come in the order in which they were asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlobAsk {
    /// The unit.
    pub unit: u32,
    /// Where in the unit.
    pub offset: u64,
    /// How many bytes, at most [`MAX_PIECE`].
    pub len: u32,
}

/// The user of the device that offers a file lets it go on: what was refused as paused may be asked for again. Sent on the
/// control stream; whoever misses it asks again by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlobReady {
    /// The offer.
    pub offer: MessageId,
}

/// Bytes of a piece's payload in front of its content: unit `u32`, offset in the unit `u64`, little-endian.
pub const PIECE_HEADER: usize = 12;

/// A piece of a unit, read from a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece<'a> {
    /// The unit.
    pub unit: u32,
    /// Where in the unit.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl<'a> Piece<'a> {
    /// Reads a frame's payload; `None` when it is too short or too long.
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let (unit, rest) = payload.split_first_chunk::<4>()?;
        let (offset, bytes) = rest.split_first_chunk::<8>()?;
        let (unit, offset) = (u32::from_le_bytes(*unit), u64::from_le_bytes(*offset));
        (bytes.len() <= MAX_PIECE).then_some(Self { unit, offset, bytes })
    }

    /// What stands in front of the bytes in a payload.
    #[must_use]
    pub fn header(&self) -> [u8; PIECE_HEADER] {
        let mut header = [0; PIECE_HEADER];
        let (unit, offset) = header.split_at_mut(4);
        unit.copy_from_slice(&self.unit.to_le_bytes());
        offset.copy_from_slice(&self.offset.to_le_bytes());
        header
    }

    /// The piece as a frame.
    #[must_use]
    pub fn frame(&self) -> Frame {
        let payload = [&self.header(), self.bytes].concat();
        Frame { kind: Kind::BlobPiece.number(), payload }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_survives_the_trip_and_a_short_or_long_one_is_refused() {
        let piece = Piece { unit: 7, offset: 1 << 40, bytes: b"content" };
        let frame = piece.frame();
        assert_eq!(Piece::parse(&frame.payload), Some(piece));
        assert_eq!(Piece::parse(&[0; PIECE_HEADER - 1]), None);
        assert_eq!(Piece::parse(&vec![0; PIECE_HEADER + MAX_PIECE + 1]), None);
    }

    #[test]
    fn an_unknown_reason_is_read_as_the_plainest() {
        for refusal in BlobRefusal::ALL {
            assert_eq!(BlobRefusal::from(u32::from(*refusal)), *refusal);
        }
        assert_eq!(BlobRefusal::from(99), BlobRefusal::Other);
    }
}
