//! The task of one link: reads and writes its control stream, and tells its events in order.
//!
//! Streams of content pass by on their way to the owner, so that they too come between its first event and its last.
//!
//! Keeps true: `Opened` comes first and `Closed` last; a header is judged before its payload is read; a reader of events that
//! is slow makes this task wait, and so TCP, and so the sender, and so does whoever sends faster than [`Rates`]; ending never waits for the other side longer than
//! [`FLUSH_TIME`].

use super::pace::{Pace, Rates};
use super::{Link, Shared, Work};
use crate::api::{CloseReason, LinkId, NetEvent, Opened};
use crate::limits::{FLUSH_TIME, WRITE_BATCH};
use crate::stream::BlobStream;
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use lanchat_proto::frame::{Frame, FrameHeader, HEADER_LEN};
use lanchat_proto::limits::{MAX_BEFORE_HELLO, MAX_FRAME};
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Instant, sleep, sleep_until};

/// Runs the link until it ends. The connection is told of the end before the owner is, so that a slow owner does
/// not keep it. An accepted link that ends before the owner could be told of it is not told of at all, so that strangers
/// cannot pile up in front of a slow owner.
pub(crate) async fn run<S>(
    stream: S,
    shared: Arc<Shared>,
    events: Sender<NetEvent>,
    streams: Receiver<BlobStream>,
    rates: Rates,
    opened: Opened,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let dialler = opened.dialler;
    let permit = tokio::select! {
        biased;
        permit = events.reserve() => permit,
        _ = shared.stopped(), if !dialler => return,
    };
    match permit {
        Ok(permit) => permit.send(NetEvent::Opened(opened)),
        Err(_) => return shared.stop(CloseReason::Local),
    }
    let (reader, writer) = stream.split();
    let reason = tokio::select! {
        biased;
        reason = shared.stopped() => reason,
        () = overdue(&shared) => CloseReason::Local,
        reason = write(writer, &shared) => reason,
        reason = pass_on(streams, shared.id, &events) => reason,
        reason = read(reader, &shared, &events, rates, dialler) => reason,
    };
    shared.stop(reason.clone());
    let reason = shared.ended().unwrap_or(reason);
    // When nobody reads events any more, nobody waits for this one.
    drop(events.send(NetEvent::Closed { link: shared.id, reason }).await);
}

/// Ends [`FLUSH_TIME`] after the link began to close; never before.
async fn overdue(shared: &Shared) {
    while shared.is_open() {
        shared.closing.notified().await;
    }
    sleep(FLUSH_TIME).await;
}

/// Tells of the streams that the other side opens. While the reader of events is slow they wait, each in its place.
async fn pass_on(mut streams: Receiver<BlobStream>, link: LinkId, events: &Sender<NetEvent>) -> CloseReason {
    while let Some(stream) = streams.recv().await {
        if events.send(NetEvent::Stream { link, stream }).await.is_err() {
            return CloseReason::Local;
        }
    }
    // The connection's handler is gone; the control stream will say why.
    std::future::pending().await
}

fn lost(error: &io::Error) -> CloseReason {
    CloseReason::Lost(error.to_string())
}

async fn write(mut stream: impl AsyncWrite + Unpin, shared: &Shared) -> CloseReason {
    loop {
        match shared.next_work(WRITE_BATCH) {
            Work::Idle => shared.work.notified().await,
            Work::Finish => break,
            Work::Write(bytes, len) => {
                let written = async {
                    stream.write_all(&bytes).await?;
                    stream.flush().await
                };
                if let Err(error) = written.await {
                    return lost(&error);
                }
                shared.wrote(len);
            }
        }
    }
    // Closes this direction. The reader ends the link when the other side has closed too, which says that it has read
    // everything: a stream dropped before that is reset, which may overtake what is still on its way.
    match stream.close().await {
        Ok(()) => std::future::pending().await,
        Err(error) => lost(&error),
    }
}

/// The byte stream ended, in order or not.
enum End {
    Clean,
    Broken(io::Error),
}

async fn read(
    mut stream: impl AsyncRead + Unpin,
    shared: &Shared,
    events: &Sender<NetEvent>,
    rates: Rates,
    dialler: bool,
) -> CloseReason {
    let mut before_hello = 0;
    let mut pace = Pace::new(rates, Instant::now());
    loop {
        match next_frame(&mut stream, shared, dialler, &mut before_hello).await {
            Ok(frame) if shared.is_open() => {
                let bytes = HEADER_LEN + frame.payload.len();
                if events.send(NetEvent::Frame { link: shared.id, frame }).await.is_err() {
                    return CloseReason::Local;
                }
                let now = Instant::now();
                let next = pace.read(bytes, now);
                if next > now {
                    sleep_until(next).await;
                }
            }
            // Closing: what still comes is read only so that no reset overtakes our last frame.
            Ok(_) => {}
            Err(_) if !shared.is_open() => return CloseReason::Local,
            Err(reason) => return reason,
        }
    }
}

async fn next_frame(
    stream: &mut (impl AsyncRead + Unpin),
    shared: &Shared,
    dialler: bool,
    before_hello: &mut usize,
) -> Result<Frame, CloseReason> {
    let mut header = [0; HEADER_LEN];
    fill(stream, &mut header).await.map_err(|end| match end {
        End::Clean => CloseReason::Remote,
        End::Broken(error) => lost(&error),
    })?;
    let header = FrameHeader::parse(header, MAX_FRAME)?;
    if !shared.admitted() {
        *before_hello += HEADER_LEN + header.len;
        if *before_hello > MAX_BEFORE_HELLO {
            // What comes to the dialler behind the answer to its hello waits in the stream until it has judged that
            // answer. Nothing may come to the listener before it has given one.
            if !dialler {
                return Err(CloseReason::BeforeHello(*before_hello));
            }
            shared.admission().await;
        }
    }
    let mut payload = vec![0; header.len];
    fill(stream, &mut payload).await.map_err(|end| match end {
        End::Clean => CloseReason::Lost("cut within a frame".to_owned()),
        End::Broken(error) => lost(&error),
    })?;
    Ok(Frame { kind: header.kind, payload })
}

/// Fills the buffer. `Clean` only before its first byte.
async fn fill(stream: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> Result<(), End> {
    let mut rest = buffer;
    let mut first = true;
    while !rest.is_empty() {
        let read = stream.read(rest).await.map_err(End::Broken)?;
        if read == 0 {
            return Err(if first { End::Clean } else { End::Broken(io::ErrorKind::UnexpectedEof.into()) });
        }
        first = false;
        rest = rest.get_mut(read..).unwrap_or_default();
    }
    Ok(())
}

/// What tells the owner that a link is up.
pub(crate) fn opened(shared: &Arc<Shared>, of: &crate::links::Seed, channel: crate::Channel) -> Opened {
    Opened {
        link: Link(shared.clone()),
        device: of.device,
        channel,
        dialler: of.dial.is_some(),
        remote: of.remote,
        relayed: of.relayed,
        dial: of.dial.map(|(dial, _)| dial),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::Cursor;
    use lanchat_proto::frame::FrameError;

    async fn read_all(bytes: &[u8], dialler: bool) -> (Vec<usize>, CloseReason) {
        let shared = Shared::new(LinkId(1), 1000);
        let mut stream = Cursor::new(bytes.to_vec());
        let (mut lengths, mut before) = (Vec::new(), 0);
        loop {
            match next_frame(&mut stream, &shared, dialler, &mut before).await {
                Ok(frame) => lengths.push(frame.payload.len()),
                Err(reason) => return (lengths, reason),
            }
        }
    }

    fn frame(len: usize) -> Vec<u8> {
        Frame { kind: 0x0101, payload: vec![0; len] }.to_bytes()
    }

    #[tokio::test]
    async fn an_end_between_frames_is_in_order_and_within_one_is_not() {
        let bytes = [frame(3), frame(0)].concat();
        assert_eq!(read_all(&bytes, false).await, (vec![3, 0], CloseReason::Remote));
        for cut in 1..bytes.len() {
            let (_, reason) = read_all(&bytes[..cut], false).await;
            assert_eq!(matches!(reason, CloseReason::Lost(_)), cut != 11, "cut at {cut}: {reason:?}");
        }
    }

    #[tokio::test]
    async fn a_header_is_judged_before_its_payload_is_read() {
        let mut header = frame(0);
        header[7] = 0xff;
        let (_, reason) = read_all(&header, true).await;
        assert!(matches!(reason, CloseReason::Frame(FrameError::TooLong { .. })), "{reason:?}");
        header[0] = 9;
        assert_eq!(read_all(&header, true).await.1, CloseReason::Frame(FrameError::Version(9)));
        let large = frame(MAX_BEFORE_HELLO);
        let (frames, reason) = read_all(&large[..HEADER_LEN], false).await;
        assert_eq!((frames, reason), (vec![], CloseReason::BeforeHello(MAX_BEFORE_HELLO + HEADER_LEN)));
    }

    #[tokio::test]
    async fn any_bytes_end_in_a_reason() {
        let mut seed = 1_u64;
        for _ in 0..500 {
            let mut noise = Vec::new();
            for _ in 0..64 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                noise.push((seed >> 56) as u8);
            }
            // Half of them begin like a frame.
            if seed & 1 == 0 {
                noise[..2].copy_from_slice(&[1, 0]);
            }
            read_all(&noise, false).await;
        }
    }
}
