//! Streams of content beside a link's control stream.
//!
//! Keeps true: a stream belongs to exactly one link and ends with it; there are at most
//! [`crate::limits::MAX_CONTENT_STREAMS`] each way on a link; what a stream carries passes neither the swarm's task nor the
//! control stream's rates, and is slowed down by its own reader alone; nothing is queued beyond the multiplexer's window.
//! Goes in and out: frames.

mod read;
#[cfg(test)]
mod tests;
mod write;

use crate::api::LinkId;
use futures::io::{AsyncReadExt, ReadHalf, WriteHalf};
use lanchat_proto::frame::{Frame, FrameError};
use lanchat_proto::wire::blob::PIECE_HEADER;
use libp2p::Stream;
use read::FrameReader;
use std::fmt;
use std::io;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;
use write::FrameWriter;

/// A stream of content cannot be had, or does not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// This side has not admitted the link yet.
    #[error("the link is not accepted yet")]
    NotAdmitted,
    /// This side has as many streams on the link as it may have.
    #[error("too many transfers on this link")]
    TooMany,
    /// The other side does not take this stream: it has not admitted the link, takes none at all, or has enough of them.
    #[error("the other device takes no further transfer on this link")]
    Refused,
    /// The other side did not answer.
    #[error("the other device did not answer the opening of a stream")]
    Timeout,
    /// The link is closed or closing.
    #[error("the link is closed")]
    Closed,
    /// The stream broke, by a fault or because its link ended.
    #[error("the stream broke: {0}")]
    Broken(String),
    /// The other side broke the framing, or a frame to be sent is too long.
    #[error("bad frame: {0}")]
    Frame(#[from] FrameError),
    /// A frame was left half written when its writer was given up; nothing more can be written.
    #[error("the stream was left within a frame")]
    Torn,
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// What a stream takes up of its link's share, until its last part is dropped.
pub(crate) type Slot = OwnedSemaphorePermit;

/// A stream of content. Dropping it, or both its halves, ends it at both ends; what was flushed before may be lost then,
/// unless the other side has said that it got it.
pub struct BlobStream {
    link: LinkId,
    stream: Stream,
    slot: Slot,
}

impl fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobStream(on link {})", self.link.0)
    }
}

impl BlobStream {
    pub(crate) fn new(link: LinkId, stream: Stream, slot: Slot) -> Self {
        Self { link, stream, slot }
    }

    /// The link that it belongs to.
    #[must_use]
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// The two directions, for a task each. The stream ends when both are dropped.
    #[must_use]
    pub fn split(self) -> (BlobReader, BlobWriter) {
        let slot = Arc::new(self.slot);
        let (reader, writer) = self.stream.split();
        let reader = BlobReader { frames: FrameReader::new(reader), _slot: slot.clone() };
        (reader, BlobWriter { frames: FrameWriter::new(writer), _slot: slot })
    }
}

/// Reads a stream's frames.
pub struct BlobReader {
    // Before the slot, so that the stream is gone when the slot is free.
    frames: FrameReader<ReadHalf<Stream>>,
    _slot: Arc<Slot>,
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobReader")
    }
}

impl BlobReader {
    /// The next frame, of a known kind or not, with at most [`lanchat_proto::limits::MAX_FRAME`] bytes of payload. `None`:
    /// nothing more comes, because the other side has closed its direction, dropped the stream, or lost the link; these look alike.
    ///
    /// Safe to give up: a frame that has come in part is kept for the next call.
    ///
    /// # Errors
    /// [`StreamError::Frame`] and [`StreamError::Broken`]; the same again at each later call.
    pub async fn frame(&mut self) -> Result<Option<Frame>, StreamError> {
        self.frames.frame().await
    }

    /// Gives a payload back whose memory the next frame may use.
    pub fn reuse(&mut self, payload: Vec<u8>) {
        self.frames.reuse(payload);
    }
}

/// Writes a stream's frames.
pub struct BlobWriter {
    frames: FrameWriter<WriteHalf<Stream>>,
    _slot: Arc<Slot>,
}

impl fmt::Debug for BlobWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlobWriter")
    }
}

impl BlobWriter {
    /// Sends a frame. A small one leaves with the next [`Self::flush`], or once enough of them have come together. Waits
    /// while the other side does not read.
    ///
    /// Giving it up before it is done may leave the stream within a frame; then nothing more can be written to it.
    ///
    /// # Errors
    /// [`StreamError::Frame`] when it is too long, of which nothing was sent; [`StreamError::Broken`], [`StreamError::Torn`].
    pub async fn send(&mut self, frame: &Frame) -> Result<(), StreamError> {
        self.frames.send(frame.kind, &[], &frame.payload).await
    }

    /// Sends a piece (`lanchat_proto::wire::blob::Piece`) without putting it together in memory first: its header, then its
    /// bytes. Otherwise like [`Self::send`].
    ///
    /// # Errors
    /// Those of [`Self::send`].
    pub async fn send_piece(&mut self, header: [u8; PIECE_HEADER], bytes: &[u8]) -> Result<(), StreamError> {
        self.frames.send(lanchat_proto::frame::Kind::BlobPiece.number(), &header, bytes).await
    }

    /// Sends what waits on its way. To be called whenever nothing follows at once. Safe to give up.
    ///
    /// # Errors
    /// [`StreamError::Broken`], [`StreamError::Torn`].
    pub async fn flush(&mut self) -> Result<(), StreamError> {
        self.frames.flush().await
    }

    /// Flushes, and tells the other side that nothing more comes; it may still send. Safe to give up, and to call again.
    ///
    /// # Errors
    /// [`StreamError::Broken`], [`StreamError::Torn`].
    pub async fn close(&mut self) -> Result<(), StreamError> {
        self.frames.close().await
    }
}
