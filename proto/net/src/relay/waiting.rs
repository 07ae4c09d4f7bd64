//! Circuit requests that wait for their turn at one device. Pure.
//!
//! Keeps true: a device is asked about at most [`MAX_ASKED`] circuits at a time (libp2p drops what is beyond ten without a word,
//! and never forgets it); those beyond wait in order, boundedly many and boundedly long, and are then denied.

use crate::limits::{CIRCUIT_PATIENCE, MAX_ASKED, MAX_WAITING};
use std::collections::VecDeque;
use tokio::time::Instant;

/// The requests of one device.
pub(crate) struct Waiting<T> {
    asked: usize,
    queue: VecDeque<(Instant, T)>,
}

/// What is to be done with a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn<T> {
    /// Ask the device.
    Ask(T),
    /// Tell whoever asked that it cannot be.
    Deny(T),
    /// Nothing yet.
    Later,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { asked: 0, queue: VecDeque::new() }
    }
}

impl<T> Waiting<T> {
    /// A request came.
    pub(crate) fn came(&mut self, request: T, now: Instant) -> Turn<T> {
        if self.asked < MAX_ASKED {
            self.asked += 1;
            return Turn::Ask(request);
        }
        if self.queue.len() >= MAX_WAITING {
            return Turn::Deny(request);
        }
        self.queue.push_back((now + CIRCUIT_PATIENCE, request));
        Turn::Later
    }

    /// A request was answered; the next one to ask about.
    pub(crate) fn answered(&mut self) -> Option<T> {
        let next = self.queue.pop_front();
        if next.is_none() {
            self.asked = self.asked.saturating_sub(1);
        }
        next.map(|(_, request)| request)
    }

    /// A request that has waited for too long.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<T> {
        self.due().filter(|until| *until <= now)?;
        self.queue.pop_front().map(|(_, request)| request)
    }

    /// When the next one will have.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.queue.front().map(|(until, _)| *until)
    }

    /// All that wait.
    pub(crate) fn into_all(self) -> impl Iterator<Item = T> {
        self.queue.into_iter().map(|(_, request)| request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_take_turns_and_do_not_wait_for_ever() {
        let now = Instant::now();
        let mut waiting = Waiting::default();
        for number in 0..MAX_ASKED {
            assert_eq!(waiting.came(number, now), Turn::Ask(number));
        }
        for number in 0..MAX_WAITING {
            assert_eq!(waiting.came(number, now), Turn::Later);
        }
        assert_eq!(waiting.came(7, now), Turn::Deny(7));
        assert_eq!(waiting.answered(), Some(0));
        assert_eq!((waiting.overdue(now), waiting.due()), (None, Some(now + CIRCUIT_PATIENCE)));
        assert_eq!(waiting.overdue(now + CIRCUIT_PATIENCE), Some(1));
        for number in 2..MAX_WAITING {
            assert_eq!(waiting.answered(), Some(number));
        }
        for _ in 0..MAX_ASKED {
            assert_eq!(waiting.answered(), None);
        }
        assert_eq!(waiting.came(8, now), Turn::Ask(8));
    }
}
