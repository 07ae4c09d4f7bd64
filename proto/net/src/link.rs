//! A link as its owner holds it, and what its parts share.
//!
//! Keeps true: what may wait to be written is bounded in bytes; after a close nothing more is taken; the first reason to end
//! is the one that is told. Goes in: frames, admit, close, from the owner; stop, from the swarm's side.

pub(crate) mod pace;
pub(crate) mod task;

use crate::api::{CloseReason, LinkId};
use crate::intake::Pass;
use crate::limits::{MAX_CONTENT_STREAMS, STREAM_PAUSE, STREAM_TIMEOUT};
use crate::lock;
use crate::stream::{BlobStream, Slot, StreamError};
use futures::task::AtomicWaker;
use lanchat_proto::frame::{Frame, HEADER_LEN};
use lanchat_proto::limits::HELLO_DEADLINE;
use libp2p::Stream;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::{Instant, sleep, timeout};

/// How to close a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// What is queued is still written, within [`crate::limits::FLUSH_TIME`]. Nothing more is read.
    AfterFlush,
    /// At once; what is queued is dropped.
    Now,
}

/// A frame was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The other side reads too slowly; the link is best closed.
    #[error("too much is waiting to be sent to this device")]
    Full,
    /// The link is closed or closing.
    #[error("the link is closed")]
    Closed,
}

/// A handle of a link. Dropping all handles closes nothing: a link ends by [`Link::close`] or by itself.
#[derive(Clone)]
pub struct Link(pub(crate) Arc<Shared>);

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.0.id.0)
    }
}

impl Link {
    /// The link's name in events.
    #[must_use]
    pub fn id(&self) -> LinkId {
        self.0.id
    }

    /// Queues a frame. Never waits.
    ///
    /// # Errors
    /// [`SendError`]; the frame was not queued.
    pub fn send(&self, frame: Frame) -> Result<(), SendError> {
        self.0.send(frame)
    }

    /// The hello was accepted: the budget and the deadline before it do not hold any more. On the listening side this
    /// comes before the answer is sent, since the other may say more as soon as it has that.
    pub fn admit(&self) {
        self.0.admit();
    }

    /// [`Self::admit`]; and on a relay, the device may use it from now on, within this user's budget.
    pub fn admit_user(&self, user: [u8; 16]) {
        // The first name counts.
        self.0.user.get_or_init(|| user);
        self.0.admit();
    }

    /// Opens a stream of content on this very connection. It ends with the link. Safe to give up. The side that accepted
    /// the link admits it first; a refusal that may come from the other not having got so far is tried anew
    /// for [`HELLO_DEADLINE`].
    ///
    /// # Errors
    /// [`StreamError::NotAdmitted`], [`StreamError::TooMany`], [`StreamError::Closed`], [`StreamError::Refused`],
    /// [`StreamError::Broken`]; [`StreamError::Timeout`] after [`STREAM_TIMEOUT`].
    pub async fn open_stream(&self) -> Result<BlobStream, StreamError> {
        let start = Instant::now();
        loop {
            let opening = self.0.want_stream()?;
            let opened = timeout(STREAM_TIMEOUT, opening).await.map_err(|_| StreamError::Timeout)?;
            // Whoever was to answer is gone with the connection.
            match opened.unwrap_or(Err(StreamError::Closed)) {
                Err(StreamError::Refused) if !self.0.taken_up() && start.elapsed() < HELLO_DEADLINE => {
                    sleep(STREAM_PAUSE).await;
                }
                result => return result,
            }
        }
    }

    /// Closes the link; [`crate::NetEvent::Closed`] follows. Closing `Now` cuts an earlier `AfterFlush` short.
    pub fn close(&self, how: Close) {
        self.0.close(how);
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn queued(&self) -> usize {
        lock(&self.0.state).bytes
    }
}

/// What a link's handles, its task, its connection's handler and the swarm share. There is one for each connection, also
/// while no stream is open yet.
pub(crate) struct Shared {
    pub(crate) id: LinkId,
    /// Bytes that may be queued.
    max_bytes: usize,
    state: Mutex<State>,
    admitted: AtomicBool,
    /// Who may use the relay on this connection; set before `admitted`.
    user: OnceLock<[u8; 16]>,
    /// The connection's probation, on the listening side; set before anything is sent.
    pub(crate) pass: OnceLock<Pass>,
    /// Wakes the writer: there is something to write, or a flush to begin. One waiter.
    work: Notify,
    /// The link begins to close. One waiter.
    closing: Notify,
    /// Wakes a reader that waits to be admitted. One waiter.
    admission: Notify,
    /// Ends the task. One waiter.
    stop: Notify,
    /// Wakes the connection's handler: admitted, a stream is wanted, or ended.
    pub(crate) handler: AtomicWaker,
    /// The other side is known to have admitted the link.
    taken_up: AtomicBool,
    /// Places for streams of content that this side opens.
    outbound: Arc<Semaphore>,
    /// Places for those that the other side opens.
    inbound: Arc<Semaphore>,
}

/// A stream of content that is to be opened, and its place.
pub(crate) struct Wanted {
    slot: Slot,
    reply: oneshot::Sender<Result<BlobStream, StreamError>>,
}

impl Wanted {
    /// Gives the stream to whoever wants it; if nobody does any more, it ends.
    pub(crate) fn give(self, link: LinkId, stream: Result<Stream, StreamError>) {
        let Self { slot, reply } = self;
        drop(reply.send(stream.map(|stream| BlobStream::new(link, stream, slot))));
    }
}

struct State {
    queue: VecDeque<Frame>,
    bytes: usize,
    /// Streams of content to be opened; as many as there are places.
    wanted: VecDeque<Wanted>,
    phase: Phase,
}

#[derive(PartialEq)]
enum Phase {
    Open,
    Flushing,
    Ended(CloseReason),
}

/// What the writer is to do next.
enum Work {
    /// Write these bytes, which are so many of the queue's.
    Write(Vec<u8>, usize),
    /// Everything is written and the link is closing.
    Finish,
    /// Wait.
    Idle,
}

impl Shared {
    pub(crate) fn new(id: LinkId, max_bytes: usize) -> Self {
        Self {
            id,
            max_bytes,
            state: Mutex::new(State {
                queue: VecDeque::new(),
                bytes: 0,
                wanted: VecDeque::new(),
                phase: Phase::Open,
            }),
            admitted: AtomicBool::new(false),
            user: OnceLock::new(),
            pass: OnceLock::new(),
            work: Notify::new(),
            closing: Notify::new(),
            admission: Notify::new(),
            stop: Notify::new(),
            handler: AtomicWaker::new(),
            taken_up: AtomicBool::new(false),
            outbound: Arc::new(Semaphore::new(MAX_CONTENT_STREAMS)),
            inbound: Arc::new(Semaphore::new(MAX_CONTENT_STREAMS)),
        }
    }

    /// The other side has admitted the link: this side dialled and so has its answer, or there was a stream of content.
    pub(crate) fn take_up(&self) {
        self.taken_up.store(true, Ordering::Release);
    }

    fn taken_up(&self) -> bool {
        self.taken_up.load(Ordering::Acquire)
    }

    fn want_stream(&self) -> Result<oneshot::Receiver<Result<BlobStream, StreamError>>, StreamError> {
        if !self.admitted() {
            return Err(StreamError::NotAdmitted);
        }
        let mut state = lock(&self.state);
        if state.phase != Phase::Open {
            return Err(StreamError::Closed);
        }
        let slot = self.outbound.clone().try_acquire_owned().map_err(|_| StreamError::TooMany)?;
        let (reply, opened) = oneshot::channel();
        state.wanted.push_back(Wanted { slot, reply });
        drop(state);
        self.handler.wake();
        Ok(opened)
    }

    /// Breaks the rule about how many streams this side opens.
    #[cfg(test)]
    pub(crate) fn more_places(&self, places: usize) {
        self.outbound.add_permits(places);
    }

    /// The next stream of content to be opened that somebody still waits for.
    pub(crate) fn wanted(&self) -> Option<Wanted> {
        let mut state = lock(&self.state);
        loop {
            let wanted = state.wanted.pop_front()?;
            if !wanted.reply.is_closed() {
                return Some(wanted);
            }
        }
    }

    /// Whether the other side may open a stream of content now.
    pub(crate) fn takes_stream(&self) -> bool {
        self.admitted() && self.inbound.available_permits() > 0 && self.is_open()
    }

    /// A stream that the other side opened, with its place, if it may have one.
    pub(crate) fn take_stream(&self, stream: Stream) -> Option<BlobStream> {
        self.take_up();
        let slot = self.takes_stream().then(|| self.inbound.clone().try_acquire_owned().ok()).flatten()?;
        Some(BlobStream::new(self.id, stream, slot))
    }

    fn send(&self, frame: Frame) -> Result<(), SendError> {
        let mut state = lock(&self.state);
        if state.phase != Phase::Open {
            return Err(SendError::Closed);
        }
        let bytes = state.bytes + HEADER_LEN + frame.payload.len();
        if bytes > self.max_bytes {
            return Err(SendError::Full);
        }
        state.bytes = bytes;
        state.queue.push_back(frame);
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    fn admit(&self) {
        if !self.admitted.swap(true, Ordering::AcqRel) {
            if let Some(pass) = self.pass.get() {
                pass.admit();
            }
            self.admission.notify_one();
            self.handler.wake();
        }
    }

    pub(crate) fn admitted(&self) -> bool {
        self.admitted.load(Ordering::Acquire)
    }

    /// The user that was named when it was admitted.
    pub(crate) fn user(&self) -> Option<[u8; 16]> {
        self.user.get().copied()
    }

    pub(crate) fn close(&self, how: Close) {
        if how == Close::Now {
            return self.stop(CloseReason::Local);
        }
        let mut state = lock(&self.state);
        if state.phase == Phase::Open {
            state.phase = Phase::Flushing;
            drop(state);
            self.work.notify_one();
            self.closing.notify_one();
        }
    }

    /// Ends the link for this reason, unless it has ended for another.
    pub(crate) fn stop(&self, reason: CloseReason) {
        let mut state = lock(&self.state);
        if !matches!(state.phase, Phase::Ended(_)) {
            state.phase = Phase::Ended(reason);
            state.queue = VecDeque::new();
            state.bytes = 0;
            state.wanted = VecDeque::new();
            drop(state);
            self.stop.notify_one();
            self.handler.wake();
        }
    }

    /// Why the link ended, once it has.
    pub(crate) fn ended(&self) -> Option<CloseReason> {
        match &lock(&self.state).phase {
            Phase::Ended(reason) => Some(reason.clone()),
            Phase::Open | Phase::Flushing => None,
        }
    }

    fn is_open(&self) -> bool {
        lock(&self.state).phase == Phase::Open
    }

    /// Waits until something ends the link.
    async fn stopped(&self) -> CloseReason {
        loop {
            if let Some(reason) = self.ended() {
                return reason;
            }
            self.stop.notified().await;
        }
    }

    /// Waits until the link is admitted; whoever is not, is closed by the gate.
    async fn admission(&self) {
        while !self.admitted() {
            self.admission.notified().await;
        }
    }

    fn next_work(&self, batch: usize) -> Work {
        let mut state = lock(&self.state);
        let Some(first) = state.queue.pop_front() else {
            return if state.phase == Phase::Flushing { Work::Finish } else { Work::Idle };
        };
        let mut bytes = first.to_bytes();
        while let Some(next) = state.queue.front() {
            if bytes.len() + HEADER_LEN + next.payload.len() > batch {
                break;
            }
            bytes.extend_from_slice(&next.to_bytes());
            state.queue.pop_front();
        }
        let len = bytes.len();
        Work::Write(bytes, len)
    }

    /// So many bytes of the queue are on their way.
    fn wrote(&self, len: usize) {
        let mut state = lock(&self.state);
        state.bytes = state.bytes.saturating_sub(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(len: usize) -> Frame {
        Frame { kind: 0xfff0, payload: vec![7; len] }
    }

    #[test]
    fn the_queue_is_bounded_in_bytes_until_they_are_written() {
        let shared = Shared::new(LinkId(1), 100);
        assert_eq!(shared.send(frame(42)), Ok(()));
        assert_eq!(shared.send(frame(42)), Ok(()));
        assert_eq!(shared.send(frame(0)), Err(SendError::Full));
        let Work::Write(bytes, len) = shared.next_work(1000) else { panic!("nothing to write") };
        assert_eq!((bytes.len(), len), (100, 100));
        assert_eq!(shared.send(frame(0)), Err(SendError::Full), "not written yet");
        shared.wrote(len);
        assert_eq!(shared.send(frame(92)), Ok(()));
    }

    #[test]
    fn a_batch_keeps_its_size_but_a_large_frame_still_goes() {
        let shared = Shared::new(LinkId(1), 10_000);
        for len in [500, 20, 20, 200] {
            shared.send(frame(len)).unwrap();
        }
        let sizes = std::iter::from_fn(|| match shared.next_work(100) {
            Work::Write(_, len) => Some(len),
            Work::Finish | Work::Idle => None,
        });
        assert_eq!(sizes.collect::<Vec<_>>(), [508, 56, 208]);
    }

    #[test]
    fn the_first_reason_to_end_counts_and_closing_takes_no_more() {
        let shared = Shared::new(LinkId(1), 100);
        shared.close(Close::AfterFlush);
        assert_eq!(shared.send(frame(0)), Err(SendError::Closed));
        assert!(matches!(shared.next_work(9), Work::Finish));
        shared.stop(CloseReason::HelloDeadline);
        shared.close(Close::Now);
        assert_eq!(shared.ended(), Some(CloseReason::HelloDeadline));
    }
}
