//! A guard around the stream multiplexer, for what yamux leaves open.
//!
//! Keeps true: closing takes at most [`CLOSE_TIME`], also when the peer is dead and buffers are full; after a close from
//! this side every local reader and writer ends at once (yamux alone leaves them hanging). A close from the other side
//! changes nothing: what had arrived is still read to its end. On a relay, streams of circuits are read at the pace of
//! whoever they are charged to; all others are left alone.

pub(crate) mod names;

use crate::limits::{CLOSE_TIME, PACE_READ};
use crate::lock;
use crate::relay::meter::Meter;
use futures::io::{AsyncRead, AsyncWrite};
use futures::task::AtomicWaker;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use names::Names;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::time::{Sleep, sleep, sleep_until};

/// The guarded multiplexer.
pub(crate) struct Guard<M> {
    inner: M,
    shared: Arc<Shared>,
    meter: Option<Arc<Meter>>,
    next: u64,
    closing: Option<Pin<Box<Sleep>>>,
}

/// What a multiplexer shares with its streams. The list has the bound of the multiplexer's streams.
#[derive(Default)]
struct Shared {
    closed: AtomicBool,
    streams: Mutex<BTreeMap<u64, Arc<Wakers>>>,
}

#[derive(Default)]
struct Wakers {
    read: AtomicWaker,
    write: AtomicWaker,
}

impl<M> Guard<M> {
    /// Guards this multiplexer; with a meter, its circuits are paced.
    pub(crate) fn new(inner: M, meter: Option<Arc<Meter>>) -> Self {
        Self { inner, shared: Arc::default(), meter, next: 0, closing: None }
    }

    fn guarded<S>(&mut self, inner: S) -> Guarded<S> {
        let id = self.next;
        self.next += 1;
        let wakers = Arc::<Wakers>::default();
        lock(&self.shared.streams).insert(id, wakers.clone());
        let pace = self.meter.clone().map(Pace::new);
        Guarded { inner, id, wakers, shared: self.shared.clone(), pace }
    }
}

impl Shared {
    fn close(&self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            for wakers in lock(&self.streams).values() {
                wakers.read.wake();
                wakers.write.wake();
            }
        }
    }
}

impl<M> StreamMuxer for Guard<M>
where
    M: StreamMuxer + Unpin,
    M::Substream: Unpin,
    M::Error: Send + Sync + 'static,
{
    type Substream = Guarded<M::Substream>;
    type Error = io::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let stream = futures::ready!(Pin::new(&mut self.inner).poll_inbound(cx)).map_err(io::Error::other)?;
        Poll::Ready(Ok(self.guarded(stream)))
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let stream =
            futures::ready!(Pin::new(&mut self.inner).poll_outbound(cx)).map_err(io::Error::other)?;
        Poll::Ready(Ok(self.guarded(stream)))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.shared.close();
        if let Poll::Ready(result) = Pin::new(&mut self.inner).poll_close(cx) {
            return Poll::Ready(result.map_err(io::Error::other));
        }
        let closing = self.closing.get_or_insert_with(|| Box::pin(sleep(CLOSE_TIME)));
        closing.as_mut().poll(cx).map(Ok)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx).map_err(io::Error::other)
    }
}

/// A stream of a guarded multiplexer.
pub(crate) struct Guarded<S> {
    inner: S,
    id: u64,
    wakers: Arc<Wakers>,
    shared: Arc<Shared>,
    /// `None` once it is known to be no circuit.
    pace: Option<Pace>,
}

/// How a stream that is or may become a circuit is read.
struct Pace {
    meter: Arc<Meter>,
    names: Names,
    circuit: bool,
    /// What was read has to be paid for first.
    wait: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    fn new(meter: Arc<Meter>) -> Self {
        Self { meter, names: Names::default(), circuit: false, wait: None }
    }

    fn read(
        &mut self,
        cx: &mut Context<'_>,
        bytes: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Some(wait) = &mut self.wait {
            futures::ready!(wait.as_mut().poll(cx));
            self.wait = None;
        }
        let read = futures::ready!(bytes(cx))?;
        if let Some(account) = self.meter.account() {
            self.wait = account.take(read).map(|at| Box::pin(sleep_until(at)));
        }
        Poll::Ready(Ok(read))
    }
}

impl<S> Guarded<S> {
    /// Learns from what this side writes what the stream is for.
    fn wrote(&mut self, bytes: &[u8]) {
        if let Some(pace) = &mut self.pace
            && !pace.circuit
        {
            match pace.names.wrote(bytes) {
                Some(true) => pace.circuit = true,
                Some(false) => self.pace = None,
                None => {}
            }
        }
    }

    fn closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }
}

impl<S> Drop for Guarded<S> {
    fn drop(&mut self) {
        lock(&self.shared.streams).remove(&self.id);
    }
}

fn cut<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "closed by this side")))
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.wakers.read.register(cx.waker());
        if self.closed() {
            return cut();
        }
        let Self { inner, pace, .. } = &mut *self;
        match pace.as_mut().filter(|pace| pace.circuit) {
            Some(pace) => {
                let len = buffer.len().min(PACE_READ);
                let part = buffer.get_mut(..len).unwrap_or_default();
                pace.read(cx, |cx| Pin::new(inner).poll_read(cx, part))
            }
            None => Pin::new(inner).poll_read(cx, buffer),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        self.wakers.write.register(cx.waker());
        if self.closed() {
            return cut();
        }
        let written = futures::ready!(Pin::new(&mut self.inner).poll_write(cx, buffer))?;
        self.wrote(buffer.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wakers.write.register(cx.waker());
        if self.closed() {
            return cut();
        }
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wakers.write.register(cx.waker());
        if self.closed() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::AsyncReadExt;
    use std::convert::Infallible;
    use tokio::time::{Instant, timeout};

    /// A multiplexer whose peer is dead: streams open, nothing arrives, closing never finishes.
    struct Dead;

    struct Silent;

    impl AsyncRead for Silent {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Silent {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl StreamMuxer for Dead {
        type Substream = Silent;
        type Error = Infallible;

        fn poll_inbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<Silent, Infallible>> {
            Poll::Ready(Ok(Silent))
        }
        fn poll_outbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<Silent, Infallible>> {
            Poll::Ready(Ok(Silent))
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Pending
        }
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Infallible>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn closing_is_bounded_and_ends_readers_at_once() {
        let mut muxer = Guard::new(Dead, None);
        let mut stream = std::future::poll_fn(|cx| Pin::new(&mut muxer).poll_outbound(cx)).await.unwrap();
        let reader = tokio::spawn(async move { stream.read(&mut [0; 1]).await });
        tokio::task::yield_now().await;
        let start = Instant::now();
        let closing = tokio::spawn(async move {
            std::future::poll_fn(|cx| Pin::new(&mut muxer).poll_close(cx)).await.unwrap();
        });
        let read = timeout(CLOSE_TIME / 2, reader).await.expect("the reader ends at once").unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        closing.await.unwrap();
        assert_eq!(start.elapsed().as_secs(), CLOSE_TIME.as_secs());
    }
}
