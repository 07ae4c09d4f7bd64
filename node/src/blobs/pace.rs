//! How fast bytes move: measured for people, and held back where the settings say so.
//!
//! Keeps true: over any second no more passes than the limit and a tenth of a second's worth of it.

use super::limits::PROGRESS;
use lanchat_net::debt::{Debt, worth};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::sleep_until;

/// Measures a rate.
#[derive(Debug)]
pub(super) struct Meter {
    since: Instant,
    bytes: u64,
    rate: u64,
}

impl Default for Meter {
    fn default() -> Self {
        Self { since: Instant::now(), bytes: 0, rate: 0 }
    }
}

impl Meter {
    /// Bytes moved. The rate in bytes a second, whenever it is time to show it.
    pub(super) fn count(&mut self, bytes: usize) -> Option<u64> {
        self.bytes += bytes as u64;
        let passed = self.since.elapsed();
        if passed < PROGRESS {
            return None;
        }
        let micros = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX).max(1);
        let now = self.bytes.saturating_mul(1_000_000) / micros;
        self.rate = if self.rate == 0 { now } else { self.rate.midpoint(now) };
        (self.since, self.bytes) = (Instant::now(), 0);
        Some(self.rate)
    }
}

/// Lets so many bytes a second pass, for all transfers together.
#[derive(Debug)]
pub(super) struct Gate {
    debt: Mutex<Debt>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { debt: Mutex::new(Debt::new(tokio::time::Instant::now())) }
    }
}

/// What may pass at once after a quiet time.
const BURST: Duration = Duration::from_millis(100);

impl Gate {
    /// Waits until so many bytes may pass at this rate. 0: there is no limit.
    pub(super) async fn pass(&self, bytes: usize, rate: u64) {
        if rate == 0 {
            return;
        }
        let until = {
            let mut debt = self.debt.lock().unwrap_or_else(PoisonError::into_inner);
            debt.take(worth(bytes as u64, rate), BURST, tokio::time::Instant::now())
        };
        sleep_until(until).await;
    }
}
