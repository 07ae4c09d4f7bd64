//! Connections that others began and that are not admitted yet: what they may send, and how they are cut.
//!
//! Keeps true: such a connection sends at most [`MAX_UNPROVED_BYTES`], all streams and the handshake together, so that what a
//! stranger leaves unread in our buffers is bounded; it can be cut at any time, also before libp2p knows who it is. Goes
//! in: accepted sockets, from the transport; admitted and cut, from the quota. An admitted connection is not held here.

use crate::limits::MAX_UNPROVED_BYTES;
use crate::lock;
use futures::io::{AsyncRead, AsyncWrite};
use futures::task::AtomicWaker;
use libp2p::core::Multiaddr;
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

/// Both ends of a connection, as the swarm is told of them.
pub(crate) type Ends = (Multiaddr, Multiaddr);

/// The connections, shared by transport and quota. There are as many as there are accepted sockets that are not admitted.
#[derive(Clone, Default)]
pub(crate) struct Intake(Arc<Mutex<BTreeMap<Ends, Arc<Probation>>>>);

struct Probation {
    /// Bytes that may still come.
    left: AtomicUsize,
    admitted: AtomicBool,
    cut: AtomicBool,
    reader: AtomicWaker,
}

impl Intake {
    /// Puts an accepted socket on probation.
    pub(crate) fn enter<S>(&self, ends: Ends, inner: S) -> Probed<S> {
        let probation = Arc::new(Probation {
            left: AtomicUsize::new(MAX_UNPROVED_BYTES),
            admitted: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        });
        lock(&self.0).insert(ends.clone(), probation.clone());
        Probed { inner, ticket: Some(Ticket { intake: self.clone(), ends, probation }) }
    }

    /// By which this connection is set free in the very moment of its admission, before the quota is told of it.
    pub(crate) fn pass(&self, ends: &Ends) -> Option<Pass> {
        lock(&self.0).get(ends).cloned().map(Pass)
    }

    /// The connection was admitted: nothing here holds for it any more.
    pub(crate) fn admit(&self, ends: &Ends) {
        if let Some(probation) = lock(&self.0).remove(ends) {
            probation.admitted.store(true, Ordering::Release);
        }
    }

    /// Ends the connection, however far it is.
    pub(crate) fn cut(&self, ends: &Ends) {
        if let Some(probation) = lock(&self.0).remove(ends) {
            probation.cut.store(true, Ordering::Release);
            probation.reader.wake();
        }
    }
}

/// Ends the probation of one connection.
pub(crate) struct Pass(Arc<Probation>);

impl Pass {
    /// Whoever is admitted may send at once, also while the swarm's task is busy.
    pub(crate) fn admit(&self) {
        self.0.admitted.store(true, Ordering::Release);
    }
}

/// A socket's hold on its place in the intake.
struct Ticket {
    intake: Intake,
    ends: Ends,
    probation: Arc<Probation>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut all = lock(&self.intake.0);
        // Another connection may have the same ends by now.
        if all.get(&self.ends).is_some_and(|probation| Arc::ptr_eq(probation, &self.probation)) {
            all.remove(&self.ends);
        }
    }
}

impl Probation {
    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::Acquire) {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "it had to make room"));
        }
        Ok(())
    }

    fn spend(&self, bytes: usize) -> io::Result<()> {
        let spent =
            self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(bytes));
        spent.map(drop).map_err(|_| io::Error::other("too many bytes before the hello was accepted"))
    }
}

/// A socket, on probation or not.
pub(crate) struct Probed<S> {
    inner: S,
    ticket: Option<Ticket>,
}

impl<S> Probed<S> {
    /// A socket that this side dialled.
    pub(crate) fn free(inner: S) -> Self {
        Self { inner, ticket: None }
    }

    /// The probation, while it lasts.
    fn probation(&mut self) -> Option<&Probation> {
        if self.ticket.as_ref().is_some_and(|ticket| ticket.probation.admitted.load(Ordering::Acquire)) {
            self.ticket = None;
        }
        self.ticket.as_ref().map(|ticket| &*ticket.probation)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Probed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(probation) = self.probation() {
            probation.reader.register(cx.waker());
            probation.check()?;
        }
        let read = futures::ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        if let Some(probation) = self.probation() {
            probation.spend(read)?;
        }
        Poll::Ready(Ok(read))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Probed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(probation) = self.probation() {
            probation.check()?;
        }
        Pin::new(&mut self.inner).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::{AsyncReadExt, Cursor};

    /// Nothing ever comes.
    struct Silent;

    impl AsyncRead for Silent {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }

    fn ends(port: u16) -> Ends {
        (Multiaddr::empty(), format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap())
    }

    fn bytes(count: usize) -> Cursor<Vec<u8>> {
        Cursor::new(vec![7; count])
    }

    #[tokio::test]
    async fn a_stranger_sends_so_much_and_no_more_until_it_is_admitted() {
        let intake = Intake::default();
        let mut all = Vec::new();
        let mut good = intake.enter(ends(1), bytes(MAX_UNPROVED_BYTES));
        assert_eq!(good.read_to_end(&mut all).await.unwrap(), MAX_UNPROVED_BYTES);
        let mut bad = intake.enter(ends(2), bytes(MAX_UNPROVED_BYTES + 1));
        assert!(bad.read_to_end(&mut all).await.is_err());
        let mut member = intake.enter(ends(3), bytes(MAX_UNPROVED_BYTES * 2));
        intake.admit(&ends(3));
        assert_eq!(member.read_to_end(&mut all).await.unwrap(), MAX_UNPROVED_BYTES * 2);
        let mut dialled = Probed::free(bytes(MAX_UNPROVED_BYTES * 2));
        assert_eq!(dialled.read_to_end(&mut all).await.unwrap(), MAX_UNPROVED_BYTES * 2);
        let mut other = intake.enter(ends(4), bytes(MAX_UNPROVED_BYTES * 2));
        intake.pass(&ends(4)).unwrap().admit();
        assert_eq!(other.read_to_end(&mut all).await.unwrap(), MAX_UNPROVED_BYTES * 2);
        drop((good, bad, other));
        assert!(lock(&intake.0).is_empty(), "nothing is kept of what is gone");
    }

    #[tokio::test]
    async fn a_silent_one_is_cut_while_it_is_waited_for() {
        let intake = Intake::default();
        let mut silent = intake.enter(ends(1), Silent);
        let reader = tokio::spawn(async move { silent.read(&mut [0; 8]).await });
        tokio::task::yield_now().await;
        intake.cut(&ends(1));
        assert_eq!(reader.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert!(lock(&intake.0).is_empty());
    }

    #[test]
    fn a_later_connection_with_the_same_ends_keeps_its_place() {
        let intake = Intake::default();
        let first = intake.enter(ends(1), ());
        let _second = intake.enter(ends(1), ());
        drop(first);
        assert_eq!(lock(&intake.0).len(), 1);
    }
}
