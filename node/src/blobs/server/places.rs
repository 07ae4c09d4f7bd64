//! Who is sent to at a time: streams that have not said what they want, and the places of those that may have it.
//!
//! Keeps true: few streams wait with nothing said, of one link and in all; there are at most [`limits::SERVED`] places, at
//! most [`limits::SERVED_EACH`] of them of one conversation. When there is none left, one that does not move gives its
//! place up, or else the newest of the conversation that has the most, if it has at least two more than the newcomer's:
//! so nobody keeps others out, and nobody who is as modest as others is sent away for them. Whoever has a place can be
//! stopped. Goes in: streams, what was sent on them. Goes out: places, stops.

use super::{Files, limits};
use crate::blobs::State;
use lanchat_net::LinkId as NetLink;
use lanchat_node_core::boot::StoredTransfer;
use lanchat_proto::ids::{ConversationId, MessageId};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A stream that has not said what it wants, until this is dropped.
pub(super) struct Opening {
    files: Files,
    link: NetLink,
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut state = self.files.0.state();
        if let Some(streams) = state.opening.get_mut(&self.link) {
            *streams = streams.saturating_sub(1);
            if *streams == 0 {
                state.opening.remove(&self.link);
            }
        }
    }
}

/// What is known of a stream that has a place.
#[derive(Debug)]
pub(in crate::blobs) struct Place {
    offer: MessageId,
    conversation: ConversationId,
    stop: CancellationToken,
    /// Whether somebody else has its place now.
    given_up: AtomicBool,
    /// Whether what it was to be sent waits for the limit in the settings.
    held: AtomicBool,
    moved: Mutex<Moved>,
}

#[derive(Clone, Copy, Debug)]
struct Moved {
    /// When last [`limits::MOVES`] bytes were sent.
    at: Instant,
    /// Bytes since.
    bytes: u64,
}

impl Place {
    fn moved(&self) -> Moved {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long it has not moved, if that is long.
    fn lag(&self, lagging: Duration) -> Option<Duration> {
        let lag = self.moved().at.elapsed();
        (!self.held.load(Ordering::Relaxed) && lag > lagging).then_some(lag)
    }
}

/// A place, until this is dropped.
pub(super) struct Taken {
    files: Files,
    place: Arc<Place>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.files.0.state().served.retain(|place| !Arc::ptr_eq(place, &self.place));
    }
}

impl Taken {
    pub(super) fn offer(&self) -> MessageId {
        self.place.offer
    }

    /// Whether it was stopped because somebody else has the place now.
    pub(super) fn was_given_up(&self) -> bool {
        self.place.given_up.load(Ordering::Relaxed)
    }

    pub(super) async fn stopped(&self) {
        self.place.stop.cancelled().await;
    }

    /// Sends something. Once the stream is stopped, what is on its way gets a little time, so that the other side can be
    /// told why. `None`: it did not get through.
    pub(super) async fn sending<T>(&self, sending: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(sending);
        tokio::select! {
            biased;
            sent = &mut sending => Some(sent),
            () = self.stopped() => timeout(limits::OPEN_IDLE, sending).await.ok(),
        }
    }

    /// Waits for a limit in the own settings, which is not held against the other side. `false`: stopped meanwhile.
    pub(super) async fn held(&self, waiting: impl Future<Output = ()>) -> bool {
        let from = Instant::now();
        self.place.held.store(true, Ordering::Relaxed);
        tokio::select! {
            biased;
            () = self.stopped() => return false,
            () = waiting => {}
        }
        let mut moved = self.place.moved.lock().unwrap_or_else(PoisonError::into_inner);
        moved.at += from.elapsed();
        self.place.held.store(false, Ordering::Relaxed);
        true
    }

    /// So many bytes were sent.
    pub(super) fn sent(&self, bytes: usize) {
        let mut moved = self.place.moved.lock().unwrap_or_else(PoisonError::into_inner);
        moved.bytes += bytes as u64;
        if moved.bytes >= limits::MOVES {
            *moved = Moved { at: Instant::now(), bytes: 0 };
        }
    }
}

impl Files {
    /// Lets a stream say what it wants; `None` when too many are about to.
    pub(super) fn opening(&self, link: NetLink) -> Option<Opening> {
        let mut state = self.0.state();
        let all: usize = state.opening.values().sum();
        let streams = state.opening.entry(link).or_default();
        if all >= limits::OPENING || *streams >= limits::OPENING_LINK {
            return None;
        }
        *streams += 1;
        drop(state);
        Some(Opening { files: self.clone(), link })
    }

    /// Gives a stream that may be sent this a place; `None` when there is none for it.
    pub(super) fn take_place(&self, row: &StoredTransfer) -> Option<Taken> {
        let place = Arc::new(Place {
            offer: row.offer,
            conversation: row.conversation,
            stop: CancellationToken::new(),
            given_up: AtomicBool::new(false),
            held: AtomicBool::new(false),
            moved: Mutex::new(Moved { at: Instant::now(), bytes: 0 }),
        });
        let mut state = self.0.state();
        make_room(&mut state, &row.conversation, self.0.waits.lagging)?;
        state.served.push(place.clone());
        drop(state);
        Some(Taken { files: self.clone(), place })
    }

    /// Stops sending a file.
    pub(in crate::blobs) fn stop_serving(&self, offer: MessageId) {
        let state = self.0.state();
        state.served.iter().filter(|place| place.offer == offer).for_each(|place| place.stop.cancel());
    }
}

/// Sees to it that there is a place for one more of a conversation. `None`: there is none.
fn make_room(state: &mut State, conversation: &ConversationId, lagging: Duration) -> Option<()> {
    let mut shares: BTreeMap<ConversationId, usize> = BTreeMap::new();
    for place in &state.served {
        *shares.entry(place.conversation).or_default() += 1;
    }
    let own = shares.get(conversation).copied().unwrap_or_default();
    let has_share = own >= limits::SERVED_EACH;
    if !has_share && state.served.len() < limits::SERVED {
        return Some(());
    }
    let places = state.served.iter().enumerate();
    let slow = places
        .filter(|(_, place)| !has_share || place.conversation == *conversation)
        .filter_map(|(at, place)| Some((place.lag(lagging)?, at)))
        .max()
        .map(|(_, at)| at);
    let richest = || {
        let (rich, most) = shares.iter().max_by_key(|(_, places)| **places)?;
        let newest = state.served.iter().rposition(|place| place.conversation == *rich)?;
        (!has_share && *most > own + 1).then_some(newest)
    };
    let place = state.served.remove(slow.or_else(richest)?);
    place.given_up.store(true, Ordering::Relaxed);
    place.stop.cancel();
    Some(())
}
