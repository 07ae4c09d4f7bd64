//! The one place that names bincode: fixed-width little-endian integers, a size limit, no left-over bytes.
//!
//! Keeps true: equal values have equal bytes (no variable-length integers), a decoder never claims more memory than
//! [`MAX_DECODE`], and bytes that are not entirely used are refused. Types on the wire hold no maps, no unit elements,
//! no recursion, and bounded lists only ([`BoundedVec`], [`Blob`], [`Text`]). Why: `docs/protocol.md#encoding`.

use crate::limits::MAX_DECODE;
use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

/// Bytes could not be read as the value they were said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than the caller allows.
    #[error("{len} bytes where at most {max} are allowed")]
    TooLong {
        /// Bytes given.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Bytes remain behind the value.
    #[error("{0} bytes left over")]
    LeftOver(usize),
    /// Not an encoding of the value.
    #[error("malformed: {0}")]
    Malformed(String),
}

/// A value breaks a bound of its own type or is too large to send.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot be encoded: {0}")]
pub struct EncodeError(
    /// What is wrong.
    pub String,
);

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_fixed_int_encoding().with_limit::<MAX_DECODE>()
}

/// Encodes a value.
///
/// # Errors
/// When it exceeds [`MAX_DECODE`] bytes.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let bytes =
        bincode::serde::encode_to_vec(value, config()).map_err(|error| EncodeError(error.to_string()))?;
    if bytes.len() > MAX_DECODE {
        return Err(EncodeError(format!("{} bytes", bytes.len())));
    }
    Ok(bytes)
}

/// Decodes a value from exactly these bytes, of which there may be at most `max`. Bytes and strings are borrowed until
/// their bound was checked, so that a length that lies costs nothing.
///
/// # Errors
/// [`DecodeError`]; nothing is ever half-read.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, DecodeError> {
    if bytes.len() > max {
        return Err(DecodeError::TooLong { len: bytes.len(), max });
    }
    let (value, used) = bincode::serde::borrow_decode_from_slice(bytes, config())
        .map_err(|error| DecodeError::Malformed(error.to_string()))?;
    match bytes.len().saturating_sub(used) {
        0 => Ok(value),
        left => Err(DecodeError::LeftOver(left)),
    }
}

/// A list of at most `N` elements; a longer one cannot be built, nor decoded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoundedVec<T, const N: usize>(Vec<T>);

/// More elements or bytes than a bound allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{len} where at most {max} are allowed")]
pub struct TooMany {
    /// What was given.
    pub len: usize,
    /// What is allowed.
    pub max: usize,
}

impl<T, const N: usize> BoundedVec<T, N> {
    /// The bound.
    pub const MAX: usize = N;

    /// The list, when it keeps the bound.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn new(items: Vec<T>) -> Result<Self, TooMany> {
        if items.len() > N { Err(TooMany { len: items.len(), max: N }) } else { Ok(Self(items)) }
    }

    /// The first `N` of an iterator; the rest is not looked at.
    pub fn first(items: impl IntoIterator<Item = T>) -> Self {
        Self(items.into_iter().take(N).collect())
    }

    /// An empty list.
    #[must_use]
    pub fn empty() -> Self {
        Self(Vec::new())
    }

    /// Appends, unless the bound is reached.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn push(&mut self, item: T) -> Result<(), TooMany> {
        if self.0.len() >= N {
            return Err(TooMany { len: N + 1, max: N });
        }
        self.0.push(item);
        Ok(())
    }

    /// The elements.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const N: usize> Default for BoundedVec<T, N> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T, const N: usize> Deref for BoundedVec<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const N: usize> IntoIterator for BoundedVec<T, N> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a BoundedVec<T, N> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for BoundedVec<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Serialize, const N: usize> Serialize for BoundedVec<T, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

struct BoundedVisitor<T, const N: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for BoundedVisitor<T, N> {
    type Value = BoundedVec<T, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {N} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        if let Some(len) = seq.size_hint()
            && len > N
        {
            return Err(A::Error::custom(TooMany { len, max: N }));
        }
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            if items.len() >= N {
                return Err(A::Error::custom(TooMany { len: N + 1, max: N }));
            }
            items.push(item);
        }
        Ok(BoundedVec(items))
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for BoundedVec<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BoundedVisitor(PhantomData))
    }
}

/// At most `N` bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Blob<const N: usize>(Vec<u8>);

impl<const N: usize> Blob<N> {
    /// The bytes, when they keep the bound.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn new(bytes: Vec<u8>) -> Result<Self, TooMany> {
        if bytes.len() > N { Err(TooMany { len: bytes.len(), max: N }) } else { Ok(Self(bytes)) }
    }

    /// The bytes.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<const N: usize> Deref for Blob<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> fmt::Debug for Blob<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<const N: usize> Serialize for Blob<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

struct BlobVisitor<const N: usize>;

impl<const N: usize> Visitor<'_> for BlobVisitor<N> {
    type Value = Blob<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {N} bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Blob<N>, E> {
        Blob::new(bytes.to_vec()).map_err(E::custom)
    }

    fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Blob<N>, E> {
        Blob::new(bytes).map_err(E::custom)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Blob<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(BlobVisitor)
    }
}

/// A string of at most `N` bytes of UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text<const N: usize>(String);

impl<const N: usize> Text<N> {
    /// The string, when it keeps the bound.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn new(text: impl Into<String>) -> Result<Self, TooMany> {
        let text = text.into();
        if text.len() > N { Err(TooMany { len: text.len(), max: N }) } else { Ok(Self(text)) }
    }

    /// The string.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<const N: usize> Deref for Text<N> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    /// The length only: what people write never reaches a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "text of {} bytes", self.0.len())
    }
}

impl<const N: usize> Serialize for Text<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

struct TextVisitor<const N: usize>;

impl<const N: usize> Visitor<'_> for TextVisitor<N> {
    type Value = Text<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string of at most {N} bytes")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text<N>, E> {
        Text::new(text).map_err(E::custom)
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Text<N>, E> {
        Text::new(text).map_err(E::custom)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Text<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_over_and_missing_bytes_are_refused() {
        let mut bytes = encode(&(7_u32, true)).unwrap();
        assert_eq!(decode::<(u32, bool)>(&bytes, 64), Ok((7, true)));
        bytes.push(0);
        assert_eq!(decode::<(u32, bool)>(&bytes, 64), Err(DecodeError::LeftOver(1)));
        bytes.truncate(4);
        assert!(matches!(decode::<(u32, bool)>(&bytes, 64), Err(DecodeError::Malformed(_))));
        assert_eq!(decode::<(u32, bool)>(&[0; 65], 64), Err(DecodeError::TooLong { len: 65, max: 64 }));
    }

    #[test]
    fn a_list_may_not_claim_more_than_its_bound() {
        let five = encode(&vec![1_u16; 5]).unwrap();
        assert!(decode::<BoundedVec<u16, 5>>(&five, 64).is_ok());
        assert!(decode::<BoundedVec<u16, 4>>(&five, 64).is_err());
        let bomb = encode(&(u64::MAX, 0_u8)).unwrap();
        assert!(decode::<BoundedVec<u16, 1000>>(&bomb, 64).is_err());
        assert!(decode::<Blob<1000>>(&bomb, 64).is_err());
        assert!(decode::<Text<1000>>(&bomb, 64).is_err());
    }

    #[test]
    fn a_text_hides_itself_in_debug_output() {
        let text = Text::<16>::new("secret").unwrap();
        assert!(!format!("{text:?}").contains("secret"));
        assert!(Text::<5>::new("secret").is_err());
    }
}
