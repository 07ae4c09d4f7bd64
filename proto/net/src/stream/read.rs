//! Frames out of bytes.
//!
//! Keeps true: bytes of a large frame are copied once, from the stream into its payload; small frames are read many at a
//! time; a header is judged before memory is taken for its payload; giving a call up loses nothing. After a fault
//! nothing more is read.

use super::StreamError;
use crate::limits::{READ_AHEAD, READ_BULK};
use futures::io::{AsyncRead, AsyncReadExt};
use lanchat_proto::frame::{Frame, FrameHeader, HEADER_LEN};
use lanchat_proto::limits::MAX_FRAME;

/// The reader.
pub(crate) struct FrameReader<R> {
    inner: R,
    /// What was read ahead: `buffer[start..end]`.
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// The frame that has come in part.
    partial: Option<Partial>,
    /// The last frame was large. Then the next probably is too, and reading ahead would copy a part of it twice.
    bulk: bool,
    /// Memory to use again.
    spare: Vec<u8>,
    fault: Option<StreamError>,
}

struct Partial {
    frame: Frame,
    filled: usize,
}

fn cut() -> StreamError {
    StreamError::Broken("cut within a frame".to_owned())
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Reads from there.
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            buffer: vec![0; READ_AHEAD].into_boxed_slice(),
            start: 0,
            end: 0,
            partial: None,
            bulk: false,
            spare: Vec::new(),
            fault: None,
        }
    }

    /// Memory for a later payload.
    pub(crate) fn reuse(&mut self, payload: Vec<u8>) {
        if payload.capacity() > self.spare.capacity() && payload.capacity() <= 2 * MAX_FRAME {
            self.spare = payload;
        }
    }

    /// The next frame; `None` at an end between two.
    pub(crate) async fn frame(&mut self) -> Result<Option<Frame>, StreamError> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let result = self.next().await;
        if let Err(fault) = &result {
            self.fault = Some(fault.clone());
        }
        result
    }

    async fn next(&mut self) -> Result<Option<Frame>, StreamError> {
        if self.partial.is_none() {
            self.partial = self.begin().await?;
        }
        while let Some(Partial { frame, filled }) = &mut self.partial {
            let rest = frame.payload.get_mut(*filled..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            match self.inner.read(rest).await? {
                0 => return Err(cut()),
                read => *filled += read,
            }
        }
        Ok(self.partial.take().map(|partial| partial.frame))
    }

    /// Reads a header, and takes what was read ahead of its payload.
    async fn begin(&mut self) -> Result<Option<Partial>, StreamError> {
        loop {
            let ahead = self.buffer.get(self.start..self.end).unwrap_or_default();
            if let Some((header, ahead)) = ahead.split_first_chunk::<HEADER_LEN>() {
                let FrameHeader { kind, len, .. } = FrameHeader::parse(*header, MAX_FRAME)?;
                self.bulk = len >= READ_BULK;
                let mut payload = if self.bulk { std::mem::take(&mut self.spare) } else { Vec::new() };
                payload.resize(len, 0);
                let filled = len.min(ahead.len());
                for (to, from) in payload.iter_mut().zip(ahead) {
                    *to = *from;
                }
                self.start += HEADER_LEN + filled;
                return Ok(Some(Partial { frame: Frame { kind, payload }, filled }));
            }
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            let limit = if self.bulk { HEADER_LEN } else { READ_AHEAD };
            let room = self.buffer.get_mut(self.end..limit).unwrap_or_default();
            match self.inner.read(room).await? {
                0 if self.end == 0 => return Ok(None),
                0 => return Err(cut()),
                read => self.end += read,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use lanchat_proto::frame::FrameError;
    use std::collections::VecDeque;
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// Gives its parts one at a time, and nothing at an empty one.
    struct Parts(VecDeque<Vec<u8>>);

    impl AsyncRead for Parts {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            let Some(mut part) = self.0.pop_front() else { return Poll::Ready(Ok(0)) };
            if part.is_empty() {
                return Poll::Pending;
            }
            let len = part.len().min(buffer.len());
            let rest = part.split_off(len);
            buffer[..len].copy_from_slice(&part);
            if !rest.is_empty() {
                self.0.push_front(rest);
            }
            Poll::Ready(Ok(len))
        }
    }

    fn frames() -> Vec<Frame> {
        let sizes = [0, 3, 200_000, 0, READ_BULK, 1, MAX_FRAME, 5, READ_AHEAD, READ_AHEAD - HEADER_LEN, 2];
        let frame = |(n, len): (usize, &usize)| Frame {
            kind: 0xfff0,
            payload: (0..*len).map(|at| (at * 31 + n) as u8).collect(),
        };
        sizes.iter().enumerate().map(frame).collect()
    }

    fn reader(bytes: &[u8], step: usize) -> FrameReader<Parts> {
        // Nothing comes in front of each part, so that every wait is given up once.
        let parts = bytes.chunks(step).flat_map(|part| [Vec::new(), part.to_vec()]);
        FrameReader::new(Parts(parts.collect()))
    }

    /// Gives each call up as often as it waits.
    fn next(reader: &mut FrameReader<Parts>) -> Result<Option<Frame>, StreamError> {
        loop {
            if let Some(result) = reader.frame().now_or_never() {
                return result;
            }
        }
    }

    #[test]
    fn frames_come_whole_however_they_are_cut_and_however_often_a_call_is_given_up() {
        let bytes: Vec<u8> = frames().iter().flat_map(Frame::to_bytes).collect();
        for step in [1, 7, 4096, 16_384, 70_000, bytes.len()] {
            let mut reader = reader(&bytes, step);
            for frame in frames() {
                let read = next(&mut reader).unwrap().unwrap();
                assert!(read == frame, "step {step}: {read:?} for {frame:?}");
                reader.reuse(read.payload);
            }
            assert_eq!(next(&mut reader), Ok(None));
        }
    }

    #[test]
    fn an_end_within_a_frame_is_a_fault_and_stays_one() {
        let bytes = [frames()[1].to_bytes(), frames()[0].to_bytes()].concat();
        for cut in 1..bytes.len() {
            let mut reader = reader(&bytes[..cut], 100);
            let end = loop {
                match next(&mut reader) {
                    Ok(Some(_)) => {}
                    end => break end,
                }
            };
            assert_eq!(end.is_ok(), cut == 11, "cut at {cut}: {end:?}");
            assert_eq!(next(&mut reader), end);
        }
    }

    #[test]
    fn a_header_is_judged_before_its_payload_is_waited_for() {
        let mut long = Frame { kind: 1, payload: Vec::new() }.to_bytes();
        long[7] = 1;
        let end = next(&mut reader(&long, 8));
        assert!(matches!(end, Err(StreamError::Frame(FrameError::TooLong { .. }))), "{end:?}");
        let end = next(&mut reader(b"GET / HTTP/1.1", 14));
        assert_eq!(end, Err(StreamError::Frame(FrameError::Version(b'G'))));
    }
}
