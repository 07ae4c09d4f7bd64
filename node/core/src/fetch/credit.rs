//! How much may be on its way from one source.
//!
//! Keeps true: the credit is what comes in [`QUEUE`] and a round trip at the measured rate, so that other traffic of the
//! link waits about that long behind a transfer, and no more than the limit of the route.

use crate::limits::{
    CREDIT_DIRECT, CREDIT_FIRST, CREDIT_LEAST, CREDIT_QUEUE as QUEUE, CREDIT_RELAYED, PIECE_LEAST,
    RATE_WINDOW,
};
use lanchat_proto::limits::MAX_PIECE;
use lanchat_proto::time::Mono;
use std::time::Duration;

/// The credit of one source.
#[derive(Clone, Debug)]
pub(super) struct Credit {
    most: u64,
    bytes: u64,
    /// Bytes a second.
    rate: u64,
    /// Shortest time between an ask and its piece.
    trip: Option<Duration>,
    /// Bytes since the beginning of the window.
    window: u64,
    since: Option<Mono>,
}

impl Credit {
    pub(super) fn new(relayed: bool) -> Self {
        let (most, bytes) =
            if relayed { (CREDIT_RELAYED, CREDIT_LEAST) } else { (CREDIT_DIRECT, CREDIT_FIRST) };
        Self { most, bytes, rate: 0, trip: None, window: 0, since: None }
    }

    /// Bytes that may be asked for and not yet written.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of one piece: several fit into the credit.
    pub(super) fn piece(&self) -> u64 {
        (self.bytes / 4).clamp(PIECE_LEAST, MAX_PIECE as u64) / PIECE_LEAST * PIECE_LEAST
    }

    /// Bytes came that had been asked for so long ago.
    pub(super) fn came(&mut self, len: u64, after: Duration, now: Mono) {
        let shortest = self.trip.map_or(after, |trip| trip.min(after));
        self.trip = Some(shortest);
        self.window += len;
        let since = *self.since.get_or_insert(now);
        let passed = now.since(since);
        if passed < RATE_WINDOW {
            return;
        }
        let micros = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX).max(1);
        let measured = self.window.saturating_mul(1_000_000) / micros;
        self.rate = if self.rate == 0 { measured } else { self.rate.midpoint(measured) };
        let wait = u64::try_from((QUEUE + shortest).as_micros()).unwrap_or(u64::MAX);
        let wanted = self.rate.saturating_mul(wait) / 1_000_000;
        self.bytes = wanted.clamp(CREDIT_LEAST, self.most);
        self.window = 0;
        self.since = Some(now);
    }
}
