//! Content named by its BLAKE3 hash, cut into units that are verified one by one, in any order, from any holder.
//!
//! Keeps true: a unit is an aligned subtree of the content's BLAKE3 tree, so the chaining values of all units merge to
//! the very hash that `b3sum` prints; a list of values that does not is refused whole, and bytes that do not give their
//! unit's value are refused. Nothing here panics on sizes or lists from outside. The rules: `docs/protocol.md#blobs`.

use crate::limits::{MAX_UNITS, MIN_UNIT};
use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Names content: BLAKE3 of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobHash(
    /// The 32 bytes.
    pub [u8; 32],
);

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from_bytes(self.0).to_hex().as_str())
    }
}

impl fmt::Debug for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BlobHash {
    type Err = BlobError;

    fn from_str(text: &str) -> Result<Self, BlobError> {
        blake3::Hash::from_hex(text).map(|hash| Self(*hash.as_bytes())).map_err(|_| BlobError::NoHash)
    }
}

/// Why content, or what is said of it, is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// Not 64 hexadecimal digits.
    #[error("not a hash: 64 hexadecimal digits are expected")]
    NoHash,
    /// Larger than units can name.
    #[error("{0} bytes are too large for a file")]
    TooLarge(u64),
    /// The list of chaining values is not this content's.
    #[error("the list of chaining values does not give the file's hash")]
    List,
    /// No such unit.
    #[error("there is no unit {0}")]
    NoUnit(u32),
    /// The bytes are not the unit's.
    #[error("unit {0} is damaged")]
    Damaged(u32),
}

/// How content of a size is cut into units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Units {
    size: u64,
    log2: u32,
}

impl Units {
    /// The units of content with this many bytes: the smallest power of two, [`MIN_UNIT`] or more, of which
    /// [`MAX_UNITS`] are enough.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`] beyond 2^62 bytes.
    pub fn of(size: u64) -> Result<Self, BlobError> {
        if size > 1 << 62 {
            return Err(BlobError::TooLarge(size));
        }
        let mut log2 = MIN_UNIT.trailing_zeros();
        while size.div_ceil(1 << log2) > MAX_UNITS as u64 {
            log2 += 1;
        }
        Ok(Self { size, log2 })
    }

    /// Bytes of the content.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of every unit but the last.
    #[must_use]
    pub fn unit_len(&self) -> u64 {
        1 << self.log2
    }

    /// Number of units; 1 for empty content.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.size.div_ceil(self.unit_len())).unwrap_or(u32::MAX).max(1)
    }

    /// Where a unit begins and how many bytes it has.
    ///
    /// # Errors
    /// [`BlobError::NoUnit`].
    pub fn range(&self, unit: u32) -> Result<(u64, u64), BlobError> {
        if unit >= self.count() {
            return Err(BlobError::NoUnit(unit));
        }
        let start = u64::from(unit) << self.log2;
        Ok((start, self.unit_len().min(self.size - start)))
    }
}

/// Computes a unit's chaining value from its bytes in order.
#[derive(Clone)]
pub struct UnitHasher {
    hasher: blake3::Hasher,
    /// A single unit is the whole content: its value is the hash itself.
    whole: bool,
}

impl fmt::Debug for UnitHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnitHasher")
    }
}

impl UnitHasher {
    /// For this unit.
    ///
    /// # Errors
    /// [`BlobError::NoUnit`].
    pub fn new(units: &Units, unit: u32) -> Result<Self, BlobError> {
        let (start, _) = units.range(unit)?;
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(start);
        Ok(Self { hasher, whole: units.count() == 1 })
    }

    /// The next bytes of the unit. No more than the unit has are to be given.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// The unit's value. Nothing was given: the value of empty content.
    #[must_use]
    pub fn finish(&self) -> ChainingValue {
        if self.whole || self.hasher.count() == 0 {
            self.hasher.finalize().into()
        } else {
            self.hasher.finalize_non_root()
        }
    }
}

/// The chaining values of all units of content that is known to have them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnitList {
    units: Units,
    values: Vec<ChainingValue>,
}

impl UnitList {
    /// A list from outside.
    ///
    /// # Errors
    /// [`BlobError::List`] when it is not the list of the content with this hash.
    pub fn check(units: Units, values: Vec<ChainingValue>, hash: &BlobHash) -> Result<Self, BlobError> {
        let list = Self { units, values };
        if list.values.len() == units.count() as usize && list.hash() == Some(*hash) {
            Ok(list)
        } else {
            Err(BlobError::List)
        }
    }

    /// The list of content whose units were all hashed here.
    ///
    /// # Errors
    /// [`BlobError::List`] when the number of values is not that of the units.
    pub fn hashed(units: Units, values: Vec<ChainingValue>) -> Result<(Self, BlobHash), BlobError> {
        let list = Self { units, values };
        let hash = list.hash().filter(|_| list.values.len() == units.count() as usize);
        hash.map(|hash| (list, hash)).ok_or(BlobError::List)
    }

    /// The hash that the values merge to; `None` for an empty list.
    fn hash(&self) -> Option<BlobHash> {
        // Units in order, merged as a binary counter does: two subtrees of one size become one of twice the size. What is
        // left at the end is merged from the right, which is BLAKE3's tree for a size that is no power of two.
        let mut stack: Vec<(ChainingValue, u32)> = Vec::new();
        let last = self.values.len().checked_sub(1)?;
        if last == 0 {
            return self.values.first().map(|value| BlobHash(*value));
        }
        for (at, value) in self.values.iter().enumerate() {
            let mut merged = (*value, 0);
            // The last unit stays apart, so that the final merge is the root's.
            while at < last
                && let Some((left, _)) = stack.pop_if(|(_, level)| *level == merged.1)
            {
                merged = (merge_subtrees_non_root(&left, &merged.0, Mode::Hash), merged.1 + 1);
            }
            stack.push(merged);
        }
        let (mut right, _) = stack.pop()?;
        while let Some((left, _)) = stack.pop() {
            if stack.is_empty() {
                return Some(BlobHash(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes()));
            }
            right = merge_subtrees_non_root(&left, &right, Mode::Hash);
        }
        None
    }

    /// How the content is cut.
    #[must_use]
    pub fn units(&self) -> Units {
        self.units
    }

    /// The values, in order.
    #[must_use]
    pub fn values(&self) -> &[ChainingValue] {
        &self.values
    }

    /// Whether a hasher that was given a unit's bytes found the unit's value.
    ///
    /// # Errors
    /// [`BlobError::NoUnit`], [`BlobError::Damaged`].
    pub fn verify(&self, unit: u32, hasher: &UnitHasher) -> Result<(), BlobError> {
        let expected = self.values.get(unit as usize).ok_or(BlobError::NoUnit(unit))?;
        if hasher.finish() == *expected { Ok(()) } else { Err(BlobError::Damaged(unit)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|at| u8::try_from(at.wrapping_mul(2_654_435_761) >> 13 & 0xff).unwrap()).collect()
    }

    fn listed(bytes: &[u8]) -> (UnitList, BlobHash) {
        let units = Units::of(bytes.len() as u64).unwrap();
        let values = (0..units.count()).map(|unit| hashed(&units, unit, bytes).finish()).collect();
        UnitList::hashed(units, values).unwrap()
    }

    fn hashed(units: &Units, unit: u32, bytes: &[u8]) -> UnitHasher {
        let (start, len) = units.range(unit).unwrap();
        let (start, len) = (usize::try_from(start).unwrap(), usize::try_from(len).unwrap());
        let mut hasher = UnitHasher::new(units, unit).unwrap();
        bytes[start..start + len].chunks(100_000).for_each(|part| hasher.update(part));
        hasher
    }

    const UNIT: usize = MIN_UNIT as usize;

    #[test]
    fn the_units_merge_to_the_hash_that_b3sum_prints() {
        for len in
            [0, 1, 1024, UNIT - 1, UNIT, UNIT + 1, 2 * UNIT, 3 * UNIT - 7, 5 * UNIT, 7 * UNIT + 1, 8 * UNIT]
        {
            let bytes = content(len);
            let (list, hash) = listed(&bytes);
            assert_eq!(hash.to_string(), blake3::hash(&bytes).to_hex().to_string(), "{len}");
            assert_eq!(UnitList::check(list.units(), list.values().to_vec(), &hash), Ok(list));
        }
    }

    #[test]
    fn a_damaged_unit_a_swapped_one_and_a_false_list_are_refused() {
        let bytes = content(3 * UNIT + 5);
        let (list, hash) = listed(&bytes);
        let units = list.units();
        for unit in 0..units.count() {
            assert_eq!(list.verify(unit, &hashed(&units, unit, &bytes)), Ok(()));
        }
        let mut damaged = bytes.clone();
        damaged[UNIT + 17] ^= 1;
        assert_eq!(list.verify(1, &hashed(&units, 1, &damaged)), Err(BlobError::Damaged(1)));
        assert_eq!(list.verify(0, &hashed(&units, 1, &bytes)), Err(BlobError::Damaged(0)));
        assert_eq!(list.verify(9, &hashed(&units, 1, &bytes)), Err(BlobError::NoUnit(9)));
        let mut values = list.values().to_vec();
        values.swap(0, 1);
        assert_eq!(UnitList::check(units, values.clone(), &hash), Err(BlobError::List));
        values.swap(0, 1);
        values.pop();
        assert_eq!(UnitList::check(units, values, &hash), Err(BlobError::List));
        assert_eq!(UnitList::check(units, Vec::new(), &hash), Err(BlobError::List));
    }

    #[test]
    fn any_size_has_units_that_cover_it_once() {
        for size in [0, 1, 1 << 20, (1 << 36) - 1, 1 << 36, (1 << 36) + 1, 100 << 30, 1 << 62] {
            let units = Units::of(size).unwrap();
            assert!(units.count() as usize <= MAX_UNITS && units.unit_len() >= MIN_UNIT);
            let (start, len) = units.range(units.count() - 1).unwrap();
            assert_eq!(start + len, size);
            assert_eq!(units.range(units.count()), Err(BlobError::NoUnit(units.count())));
        }
        assert_eq!(Units::of(u64::MAX), Err(BlobError::TooLarge(u64::MAX)));
        assert_eq!(Units::of(1 << 36).unwrap().unit_len(), MIN_UNIT);
    }

    #[test]
    fn a_hash_is_read_as_it_is_printed() {
        let hash = BlobHash(*blake3::hash(b"x").as_bytes());
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!("12".parse::<BlobHash>(), Err(BlobError::NoHash));
    }
}
