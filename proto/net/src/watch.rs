//! A watch over a socket: a write that stays blocked while nothing arrives either is an error.
//!
//! Keeps true: two multiplexers that wait for each other (both blocked on writing, neither reading) end within
//! [`STALL_TIME`] instead of never; a slow but moving connection is left alone.

use crate::limits::STALL_TIME;
use futures::io::{AsyncRead, AsyncWrite};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Sleep, sleep};

/// The watched socket.
pub(crate) struct Watched<S> {
    inner: S,
    stall: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    /// Watches this socket.
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, stall: None }
    }

    /// Passes a write's result on, unless it has been pending for too long.
    fn check<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stall = None;
            return result;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(STALL_TIME)));
        match stall.as_mut().poll(cx) {
            Poll::Ready(()) => {
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the connection stalled")))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if result.is_ready() {
            self.stall = None;
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(cx, buffer);
        self.check(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.inner).poll_flush(cx);
        self.check(cx, result)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::{AsyncReadExt, AsyncWriteExt};
    use std::time::Duration;
    use tokio::time::{Instant, timeout};

    /// Never takes a byte; gives one every `every`, if at all.
    struct Blocked {
        every: Option<Duration>,
        next: Option<Pin<Box<Sleep>>>,
    }

    impl AsyncWrite for Blocked {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncRead for Blocked {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            _: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            let Some(every) = self.every else { return Poll::Pending };
            let next = self.next.get_or_insert_with(|| Box::pin(sleep(every)));
            futures::ready!(next.as_mut().poll(cx));
            self.next = None;
            Poll::Ready(Ok(1))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_blocked_write_ends_when_nothing_arrives() {
        let mut stream = Watched::new(Blocked { every: None, next: None });
        let start = Instant::now();
        let error = stream.write_all(b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(start.elapsed() >= STALL_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn a_blocked_write_goes_on_while_something_arrives() {
        let (mut read, mut write) = Watched::new(Blocked { every: Some(STALL_TIME / 2), next: None }).split();
        let both = async {
            let reading = async { while read.read(&mut [0; 8]).await.is_ok() {} };
            let writing = write.write_all(b"x");
            futures::future::select(Box::pin(reading), writing).await;
        };
        assert!(timeout(STALL_TIME * 5, both).await.is_err());
    }
}
