//! Frames into bytes.
//!
//! Keeps true: small frames are put together into few writes; of a large one only the beginning is copied here; the buffer has a
//! bound, beyond it the writer waits; after a frame that was left half written nothing more is written.

use super::StreamError;
use crate::limits::WRITE_BUFFER;
use futures::io::{AsyncWrite, AsyncWriteExt};
use lanchat_proto::frame::{FrameError, FrameHeader, HEADER_LEN};
use lanchat_proto::limits::MAX_FRAME;
use std::io;

/// The writer.
pub(crate) struct FrameWriter<W> {
    inner: W,
    /// Waits to be written from `written` on; at most [`WRITE_BUFFER`].
    buffer: Vec<u8>,
    written: usize,
    /// A frame is under way beside the buffer.
    torn: bool,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Writes there.
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, buffer: Vec::with_capacity(WRITE_BUFFER), written: 0, torn: false }
    }

    /// Sends a frame whose payload is `head`, which is short, and `body`.
    pub(crate) async fn send(&mut self, kind: u16, head: &[u8], body: &[u8]) -> Result<(), StreamError> {
        let len = head.len() + body.len();
        if len > MAX_FRAME {
            return Err(FrameError::TooLong { len, max: MAX_FRAME }.into());
        }
        self.whole()?;
        // Until there is room nothing of the frame is taken.
        if self.buffer.len() + HEADER_LEN + len > WRITE_BUFFER {
            self.drain().await?;
        }
        self.buffer.extend_from_slice(&FrameHeader { flags: 0, kind, len }.to_bytes());
        self.buffer.extend_from_slice(head);
        let room = WRITE_BUFFER.saturating_sub(self.buffer.len());
        let (first, rest) = body.split_at_checked(room).unwrap_or((body, &[]));
        self.buffer.extend_from_slice(first);
        if !rest.is_empty() {
            self.torn = true;
            self.drain().await?;
            self.inner.write_all(rest).await?;
            self.torn = false;
        }
        Ok(())
    }

    /// Sends what waits on its way.
    pub(crate) async fn flush(&mut self) -> Result<(), StreamError> {
        self.whole()?;
        self.drain().await?;
        Ok(self.inner.flush().await?)
    }

    /// Flushes and closes.
    pub(crate) async fn close(&mut self) -> Result<(), StreamError> {
        self.flush().await?;
        Ok(self.inner.close().await?)
    }

    fn whole(&self) -> Result<(), StreamError> {
        if self.torn { Err(StreamError::Torn) } else { Ok(()) }
    }

    async fn drain(&mut self) -> io::Result<()> {
        while let Some(rest) = self.buffer.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.inner.write(rest).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.written += written,
            }
        }
        self.buffer.clear();
        self.written = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use lanchat_proto::frame::Frame;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// Takes a few bytes at a time, `room` in all.
    #[derive(Default)]
    struct Narrow {
        taken: Vec<u8>,
        writes: usize,
        room: usize,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let len = bytes.len().min(1000).min(self.room);
            if len == 0 {
                return Poll::Pending;
            }
            self.taken.extend_from_slice(&bytes[..len]);
            self.writes += 1;
            self.room -= len;
            Poll::Ready(Ok(len))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn writer(room: usize) -> FrameWriter<Narrow> {
        FrameWriter::new(Narrow { room, ..Narrow::default() })
    }

    fn frame(len: usize) -> Frame {
        Frame { kind: 0x0307, payload: (0..len).map(|at| at as u8).collect() }
    }

    #[tokio::test]
    async fn frames_of_any_size_arrive_as_they_are() {
        let mut writer = writer(usize::MAX);
        let mut expected = Vec::new();
        let sizes = [0, 9, WRITE_BUFFER, WRITE_BUFFER - HEADER_LEN, 100_000, 1, MAX_FRAME, 30, 30];
        for (n, len) in sizes.into_iter().enumerate() {
            let frame = frame(len);
            let (head, body) = frame.payload.split_at(if n % 2 == 0 { 0 } else { len.min(12) });
            writer.send(frame.kind, head, body).await.unwrap();
            expected.extend(frame.to_bytes());
            assert!(writer.buffer.len() <= WRITE_BUFFER && writer.buffer.capacity() <= WRITE_BUFFER);
        }
        writer.close().await.unwrap();
        assert!(writer.inner.taken == expected);
    }

    #[tokio::test]
    async fn small_frames_leave_together() {
        let mut writer = writer(usize::MAX);
        for _ in 0..20 {
            writer.send(1, &[], &[7; 20]).await.unwrap();
        }
        assert_eq!(writer.inner.writes, 0);
        writer.flush().await.unwrap();
        assert_eq!(writer.inner.writes, 1);
    }

    #[test]
    fn what_was_left_within_a_frame_is_not_gone_on_with() {
        let mut writer = writer(20_000);
        let long = frame(60_000);
        assert!(writer.send(1, &[], &long.payload).now_or_never().is_none());
        writer.inner.room = usize::MAX;
        assert_eq!(writer.send(1, &[], &[]).now_or_never(), Some(Err(StreamError::Torn)));
        assert_eq!(writer.flush().now_or_never(), Some(Err(StreamError::Torn)));
    }

    #[test]
    fn a_flush_and_a_wait_for_room_can_be_given_up() {
        let mut writer = writer(100);
        let one = frame(WRITE_BUFFER - HEADER_LEN);
        writer.send(one.kind, &[], &one.payload).now_or_never().unwrap().unwrap();
        assert!(writer.flush().now_or_never().is_none());
        assert!(writer.send(1, &[], &[1; 30]).now_or_never().is_none(), "no room");
        writer.inner.room = usize::MAX;
        writer.send(1, &[], &[2; 30]).now_or_never().unwrap().unwrap();
        writer.flush().now_or_never().unwrap().unwrap();
        let two = Frame { kind: 1, payload: vec![2; 30] };
        assert!(writer.inner.taken == [one.to_bytes(), two.to_bytes()].concat());
    }
}
