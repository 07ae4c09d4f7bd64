//! Tries that come back with time, by who tries.
//!
//! Keeps true: nobody gets more than the burst at once and one more for each refill; the map is bounded, and whoever was
//! quiet longest is forgotten for a new one.

use lanchat_proto::time::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// Tries that come back with time.
#[derive(Clone, Copy)]
pub(crate) struct Bucket {
    used: u32,
    since: Mono,
}

impl Bucket {
    /// Gives back what `refill` allows until now.
    fn refilled(self, refill: Duration, now: Mono) -> Self {
        let back = now.since(self.since).as_nanos() / refill.as_nanos().max(1);
        let back = u32::try_from(back).unwrap_or(u32::MAX);
        if back >= self.used {
            return Self { used: 0, since: now };
        }
        Self { used: self.used - back, since: self.since.plus(refill.saturating_mul(back)) }
    }
}

/// Buckets by key.
pub(crate) struct Buckets<K> {
    pub(crate) map: BTreeMap<K, Bucket>,
    burst: u32,
    refill: Duration,
    most: usize,
}

impl<K: Ord + Clone> Buckets<K> {
    /// At most `burst` tries at once, one more each `refill`, for `most` keys.
    pub(crate) fn new(burst: u32, refill: Duration, most: usize) -> Self {
        Self { map: BTreeMap::new(), burst, refill, most }
    }

    /// How long to wait for the next try; zero for now.
    pub(crate) fn wait(&self, key: &K, now: Mono) -> Duration {
        let Some(bucket) = self.map.get(key).map(|bucket| bucket.refilled(self.refill, now)) else {
            return Duration::ZERO;
        };
        if bucket.used < self.burst {
            Duration::ZERO
        } else {
            self.refill.saturating_sub(now.since(bucket.since))
        }
    }

    /// Counts a try, allowed or not.
    pub(crate) fn take(&mut self, key: &K, now: Mono) {
        make_room(&mut self.map, key, self.most, |bucket| bucket.since);
        let refill = self.refill;
        let bucket = self.map.entry(key.clone()).or_insert(Bucket { used: 0, since: now });
        *bucket = bucket.refilled(refill, now);
        bucket.used = bucket.used.saturating_add(1);
    }

    /// Counts a try if it is allowed, and says whether it is.
    pub(crate) fn try_take(&mut self, key: &K, now: Mono) -> bool {
        let allowed = self.wait(key, now) == Duration::ZERO;
        if allowed {
            self.take(key, now);
        }
        allowed
    }

    /// Drops what is too old to matter.
    pub(crate) fn forget(&mut self, now: Mono) {
        let refill = self.refill;
        self.map.retain(|_, bucket| bucket.refilled(refill, now).used > 0);
    }
}

/// Removes the entry that was quiet longest when the map holds `most` and `key` is new.
pub(crate) fn make_room<K: Ord + Clone, V>(
    map: &mut BTreeMap<K, V>,
    key: &K,
    most: usize,
    last: impl Fn(&V) -> Mono,
) {
    if map.len() < most || map.contains_key(key) {
        return;
    }
    if let Some(oldest) = map.iter().min_by_key(|(_, value)| last(value)).map(|(key, _)| key.clone()) {
        map.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_for_each_refill_and_the_quiet_one_makes_room() {
        let mut buckets = Buckets::new(2, Duration::from_secs(1), 2);
        let at = |millis| Mono(Duration::from_millis(millis));
        assert!(buckets.try_take(&"a", at(0)) && buckets.try_take(&"a", at(0)));
        assert!(!buckets.try_take(&"a", at(999)));
        assert!(buckets.try_take(&"a", at(1000)) && !buckets.try_take(&"a", at(1000)));
        assert!(buckets.try_take(&"b", at(1500)) && buckets.try_take(&"c", at(1600)));
        assert_eq!(buckets.map.keys().copied().collect::<Vec<_>>(), ["b", "c"]);
        buckets.forget(at(9000));
        assert!(buckets.map.is_empty());
    }
}
