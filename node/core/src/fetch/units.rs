//! A set of units.

/// Which units of some content are meant. Bounded by the number of units, at most `MAX_UNITS`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnitSet {
    bits: Vec<u8>,
    count: u32,
    len: u32,
}

impl UnitSet {
    /// No unit of so many.
    #[must_use]
    pub fn none(count: u32) -> Self {
        Self { bits: vec![0; count.div_ceil(8) as usize], count, len: 0 }
    }

    /// Every unit of so many.
    #[must_use]
    pub fn all(count: u32) -> Self {
        let mut set = Self::none(count);
        (0..count).for_each(|unit| set.add(unit));
        set
    }

    /// A set as it travels and is stored: a bit for each unit, lowest first. `None` when it has another length, or names
    /// units that do not exist.
    #[must_use]
    pub fn from_bytes(count: u32, bytes: &[u8]) -> Option<Self> {
        let spare = count.div_ceil(8) * 8 - count;
        let clean = bytes.last().is_none_or(|last| spare == 0 || last.leading_zeros() >= spare);
        let len = bytes.iter().map(|byte| byte.count_ones()).sum();
        let fits = bytes.len() == count.div_ceil(8) as usize && clean;
        fits.then(|| Self { bits: bytes.to_vec(), count, len })
    }

    /// The set as it travels and is stored.
    #[must_use]
    pub fn to_bytes(&self) -> &[u8] {
        &self.bits
    }

    /// How many units there are in all.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// How many are in the set.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a unit is in the set.
    #[must_use]
    pub fn has(&self, unit: u32) -> bool {
        self.bits.get(unit as usize / 8).is_some_and(|byte| byte & (1 << (unit % 8)) != 0)
    }

    /// Adds a unit; one that does not exist is ignored.
    pub fn add(&mut self, unit: u32) {
        if unit < self.count
            && !self.has(unit)
            && let Some(byte) = self.bits.get_mut(unit as usize / 8)
        {
            *byte |= 1 << (unit % 8);
            self.len += 1;
        }
    }

    /// Takes a unit out.
    pub fn remove(&mut self, unit: u32) {
        if self.has(unit)
            && let Some(byte) = self.bits.get_mut(unit as usize / 8)
        {
            *byte &= !(1 << (unit % 8));
            self.len -= 1;
        }
    }

    /// The units in the set, rising.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.count).filter(|unit| self.has(*unit))
    }
}
