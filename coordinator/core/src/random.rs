//! Random numbers from a seed: BLAKE3 keyed by it over a counter.
//!
//! Keeps true: the same seed gives the same numbers, so a run can be replayed; without the seed nobody can tell the
//! next one.

/// The alphabet of invite codes: no letter in it is taken for another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// The generator.
pub(crate) struct Random {
    seed: [u8; 32],
    counter: u64,
}

impl Random {
    /// A generator with this secret seed.
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, counter: 0 }
    }

    /// The next bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut hasher = blake3::Hasher::new_keyed(&self.seed);
        hasher.update(&self.counter.to_le_bytes());
        self.counter = self.counter.wrapping_add(1);
        let mut bytes = [0; N];
        hasher.finalize_xof().fill(&mut bytes);
        bytes
    }

    /// A code of 26 letters and digits: 130 bits.
    pub(crate) fn code(&mut self) -> String {
        let bytes: [u8; 26] = self.bytes();
        bytes
            .iter()
            .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)))
            .map(|letter| char::from(*letter))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_from_the_seed_and_differ_from_draw_to_draw() {
        let (mut a, mut b, mut c) = (Random::new([1; 32]), Random::new([1; 32]), Random::new([2; 32]));
        let first: [u8; 16] = a.bytes();
        assert_eq!(first, b.bytes());
        assert_ne!(first, a.bytes());
        assert_ne!(first, c.bytes());
        assert_eq!(a.code().len(), 26);
        assert_ne!(a.code(), a.code());
    }
}
