//! A rate that is kept by telling whoever took something when to come again.
//!
//! Keeps true: over any time no more is taken than the rate allows and a burst beyond it, plus what was taken last; nothing
//! is refused, only later; what was not used is not saved up beyond the burst. Goes in: what was taken and when. Goes
//! out: when more may be taken. Pure.

use std::time::Duration;
use tokio::time::Instant;

/// What was taken and is not paid for by time.
#[derive(Debug, Clone, Copy)]
pub struct Debt {
    /// When all that was taken will be paid for.
    paid: Instant,
}

impl Debt {
    /// Nothing was taken so far.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { paid: now }
    }

    /// Takes what is worth so much time at the rate. Returns when more may be taken, `now` for at once, if so much time's
    /// worth may be owed.
    pub fn take(&mut self, cost: Duration, burst: Duration, now: Instant) -> Instant {
        let from = self.paid.max(now);
        self.paid = from.checked_add(cost).unwrap_or(from);
        self.paid.checked_sub(burst).map_or(now, |at| at.max(now))
    }
}

/// Time in which so many come at this rate, each second; a rate of zero counts as one.
#[must_use]
pub fn worth(units: u64, rate: u64) -> Duration {
    let nanos = u128::from(units) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
