//! Random numbers from the seed of the start: BLAKE3 keyed with the seed, over a counter.
//!
//! Keeps true: the same seed gives the same numbers, so a run can be repeated; without the seed they cannot be guessed.

use std::time::Duration;

/// The source.
#[derive(Clone)]
pub(crate) struct Rng {
    seed: [u8; 32],
    counter: u64,
}

impl Rng {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, counter: 0 }
    }

    /// Fresh bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        self.counter = self.counter.wrapping_add(1);
        let mut bytes = [0; N];
        let mut hasher = blake3::Hasher::new_keyed(&self.seed);
        hasher.update(&self.counter.to_le_bytes());
        hasher.finalize_xof().fill(&mut bytes);
        bytes
    }

    pub(crate) fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// A duration from `low` to `high`, both included, in whole milliseconds.
    pub(crate) fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = u64::try_from(high.saturating_sub(low).as_millis()).unwrap_or(u64::MAX);
        low + Duration::from_millis(self.number() % span.saturating_add(1).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_durations_stay_between() {
        let (mut a, mut b) = (Rng::new([1; 32]), Rng::new([1; 32]));
        assert_eq!(a.bytes::<16>(), b.bytes::<16>());
        assert_ne!(a.bytes::<16>(), a.bytes::<16>());
        let (low, high) = (Duration::from_millis(3), Duration::from_millis(5));
        assert!((0..100).all(|_| (low..=high).contains(&a.between(low, high))));
        assert_eq!(a.between(low, low), low);
    }
}
