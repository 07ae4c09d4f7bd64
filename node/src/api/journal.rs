//! The journal: the newest events as JSON, with their rising ids, for live listeners and for replay alike.
//!
//! Keeps true: bounded in events and bytes; a listener gets every event after its position once and in order, or is
//! told that some are gone.

use crate::api::limits::{JOURNAL, JOURNAL_BYTES};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

struct Ring {
    events: VecDeque<(u64, Arc<str>)>,
    bytes: usize,
    // Everything up to here, except what is in `events`, is gone.
    gone: u64,
}

/// What a listener gets next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The event after the position.
    Event(u64, Arc<str>),
    /// Nothing yet.
    Nothing,
    /// Some after the position are gone; go on from this id, after loading everything afresh.
    Resync(u64),
}

/// See the module.
pub struct Journal {
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
}

impl Default for Journal {
    fn default() -> Self {
        let ring = Ring { events: VecDeque::new(), bytes: 0, gone: 0 };
        Self { ring: Mutex::new(ring), newest: watch::Sender::new(0) }
    }
}

impl Journal {
    /// The newest event's id, 0 before the first.
    #[must_use]
    pub fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// Told at every event.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Adds an event; its id is larger than all before.
    pub fn push(&self, id: u64, json: String) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = ring.events.back().map_or(ring.gone, |(newest, _)| *newest);
        if id > newest + 1 {
            // The journal itself missed some: what is kept has no gap.
            ring.events.clear();
            ring.bytes = 0;
            ring.gone = id.saturating_sub(1);
        }
        ring.bytes += json.len();
        ring.events.push_back((id, json.into()));
        while ring.events.len() > JOURNAL || (ring.bytes > JOURNAL_BYTES && ring.events.len() > 1) {
            if let Some((id, json)) = ring.events.pop_front() {
                ring.bytes -= json.len();
                ring.gone = id;
            }
        }
        drop(ring);
        self.newest.send_replace(id);
    }

    /// Takes an event out that a newer one makes needless. The newest stays: its id is where listeners are.
    pub fn forget(&self, id: u64) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.events.back().is_some_and(|(newest, _)| *newest == id) {
            return;
        }
        if let Ok(at) = ring.events.binary_search_by_key(&id, |(known, _)| *known)
            && let Some((_, json)) = ring.events.remove(at)
        {
            ring.bytes -= json.len();
        }
    }

    /// What comes after a position.
    #[must_use]
    pub fn after(&self, position: u64) -> Next {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = ring.events.back().map_or(ring.gone, |(newest, _)| *newest);
        if position < ring.gone || position > newest {
            return Next::Resync(newest);
        }
        let at = ring.events.partition_point(|(id, _)| *id <= position);
        ring.events.get(at).map_or(Next::Nothing, |(id, json)| Next::Event(*id, json.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_gets_what_comes_after_its_position() {
        let journal = Journal::default();
        assert_eq!(journal.after(0), Next::Nothing);
        for id in 1..=3 {
            journal.push(id, id.to_string());
        }
        assert_eq!(journal.after(0), Next::Event(1, "1".into()));
        assert_eq!(journal.after(2), Next::Event(3, "3".into()));
        assert_eq!(journal.after(3), Next::Nothing);
        assert_eq!(journal.after(4), Next::Resync(3), "a position of another run");
    }

    #[test]
    fn who_is_too_far_behind_is_told() {
        let journal = Journal::default();
        for id in 1..=JOURNAL as u64 + 10 {
            journal.push(id, String::new());
        }
        assert_eq!(journal.after(9), Next::Resync(JOURNAL as u64 + 10));
        assert_eq!(journal.after(10), Next::Event(11, "".into()));
    }

    #[test]
    fn what_is_needless_is_left_out_and_no_gap() {
        let journal = Journal::default();
        for id in 1..=3 {
            journal.push(id, id.to_string());
        }
        journal.forget(2);
        journal.forget(9);
        assert_eq!(journal.after(1), Next::Event(3, "3".into()));
        assert_eq!(journal.after(2), Next::Event(3, "3".into()));
        journal.forget(3);
        assert_eq!(journal.after(2), Next::Event(3, "3".into()), "the newest stays");
        journal.push(4, "4".into());
        assert_eq!(journal.after(3), Next::Event(4, "4".into()));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let journal = Journal::default();
        for id in 1..=20 {
            journal.push(id, "x".repeat(JOURNAL_BYTES / 10));
        }
        assert_eq!(journal.after(5), Next::Resync(20));
        assert!(matches!(journal.after(15), Next::Event(16, _)));
    }

    #[test]
    fn a_gap_in_the_source_is_a_gap_for_the_listener() {
        let journal = Journal::default();
        journal.push(1, "1".into());
        journal.push(9, "9".into());
        assert_eq!(journal.after(1), Next::Resync(9));
        assert_eq!(journal.after(8), Next::Event(9, "9".into()));
    }
}
