//! What two devices with a link can rely on for content.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a story that cannot go on fails"
)]

mod common;

use common::{Device, frame, key, link, loopback, number, soon, stranger_link};
use lanchat_net::limits::MAX_CONTENT_STREAMS;
use lanchat_net::{
    BlobReader, BlobStream, BlobWriter, Channel, Close, Link, NetConfig, NetEvent, NetLimits, StreamError,
};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::limits::{MAX_FRAME, MAX_PIECE};
use lanchat_proto::wire::blob::Piece;
use std::time::{Duration, Instant};

impl Device {
    async fn stream(&mut self) -> BlobStream {
        loop {
            match self.event().await {
                NetEvent::Stream { link, stream } => {
                    assert_eq!(link, stream.link());
                    return stream;
                }
                NetEvent::Frame { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A opens a stream to B; both ends of it.
async fn stream(at_a: &Link, b: &mut Device) -> (BlobStream, BlobStream) {
    let opened = soon("a stream", at_a.open_stream()).await.unwrap();
    (opened, b.stream().await)
}

/// A frame goes across. It is read while it is written, since it may be more than the other side takes unread.
async fn pass(writer: &mut BlobWriter, reader: &mut BlobReader, frame: Frame) {
    let sending = async {
        writer.send(&frame).await.unwrap();
        writer.flush().await.unwrap();
    };
    let ((), read) = soon("a frame", futures::future::join(sending, reader.frame())).await;
    assert_eq!(read, Ok(Some(frame)));
}

/// Bytes of a piece, different from those of every other.
fn content(stream: u32, unit: u32) -> Vec<u8> {
    let word = stream.wrapping_mul(0x9e37_79b9) ^ unit.wrapping_mul(0x85eb_ca6b);
    (0..MAX_PIECE as u32 / 4).flat_map(|at| (word ^ at.wrapping_mul(0x27d4_eb2f)).to_le_bytes()).collect()
}

async fn send_all(writer: &mut BlobWriter, stream: u32, pieces: u32) {
    for unit in 0..pieces {
        let bytes = content(stream, unit);
        let piece = Piece { unit, offset: u64::from(stream), bytes: &bytes };
        writer.send_piece(piece.header(), piece.bytes).await.unwrap();
    }
    writer.close().await.unwrap();
}

async fn read_all(reader: &mut BlobReader, stream: u32, pieces: u32) {
    for unit in 0..pieces {
        let frame = soon("a piece", reader.frame()).await.unwrap().unwrap();
        assert_eq!(frame.known(), Some(Kind::BlobPiece));
        let piece = Piece::parse(&frame.payload).unwrap();
        assert!(
            (piece.unit, piece.offset) == (unit, u64::from(stream)) && piece.bytes == content(stream, unit)
        );
        reader.reuse(frame.payload);
    }
    assert_eq!(soon("the end", reader.frame()).await, Ok(None));
}

#[tokio::test]
async fn either_end_opens_streams_and_frames_go_both_ways() {
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    let (at_a, at_b) = link(&mut a, &mut b).await;
    // A frame from each side says that both have admitted the link.
    at_b.send(frame(0, 4)).unwrap();
    a.frame().await;
    let (here, there) = stream(&at_a, &mut b).await;
    let (back_there, back_here) = stream(&at_b, &mut a).await;
    for (one, two) in [(here, there), (back_there, back_here)] {
        let ((mut from_two, mut to_two), (mut from_one, mut to_one)) = (one.split(), two.split());
        for n in 0..50 {
            pass(&mut to_two, &mut from_one, frame(n, 20)).await;
            pass(&mut to_one, &mut from_two, frame(n, 3000 * n as usize)).await;
        }
        pass(&mut to_one, &mut from_two, frame(7, MAX_FRAME)).await;
        to_one.close().await.unwrap();
        assert_eq!(soon("the end", from_two.frame()).await, Ok(None));
        // The other direction goes on.
        pass(&mut to_two, &mut from_one, frame(8, 8)).await;
        let too_long = to_two.send(&frame(8, MAX_FRAME + 1)).await;
        assert!(matches!(too_long, Err(StreamError::Frame(_))), "{too_long:?}");
        drop((from_two, to_two));
        assert_eq!(soon("the end", from_one.frame()).await, Ok(None));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_streams_move_content_at_once_while_control_frames_go_on() {
    const PIECES: u32 = 40;
    // The rates of the control stream are far below what content needs.
    let limits = NetLimits { bytes_per_second: 100_000, ..NetLimits::default() };
    let (mut a, mut b) = (Device::with(1, limits.clone()).await, Device::with(2, limits).await);
    let (at_a, at_b) = link(&mut a, &mut b).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..3 {
        let (one, two) = stream(&at_a, &mut b).await;
        // The second flows the other way.
        let (from, to) = if n == 1 { (two, one) } else { (one, two) };
        tasks.spawn(async move {
            let (_reader, mut writer) = from.split();
            send_all(&mut writer, n, PIECES).await;
        });
        tasks.spawn(async move {
            let (mut reader, _writer) = to.split();
            read_all(&mut reader, n, PIECES).await;
        });
    }
    let mut turns = 0;
    while !tasks.is_empty() {
        at_a.send(frame(turns, 100)).unwrap();
        assert_eq!(number(&b.frame().await), turns);
        at_b.send(frame(turns, 100)).unwrap();
        assert_eq!(number(&a.frame().await), turns);
        turns += 1;
        while let Some(done) = tasks.try_join_next() {
            done.unwrap();
        }
    }
    assert!(turns > 3, "{turns}");
}

#[tokio::test]
async fn there_is_no_stream_before_both_ends_have_admitted_the_link() {
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    let (at_a, at_b) = stranger_link(&mut a, &mut b).await;
    assert_eq!(at_a.open_stream().await.unwrap_err(), StreamError::NotAdmitted);
    assert_eq!(at_b.open_stream().await.unwrap_err(), StreamError::NotAdmitted);
    at_a.admit();
    assert_eq!(soon("a refusal", at_a.open_stream()).await.unwrap_err(), StreamError::Refused);
    at_b.admit();
    stream(&at_a, &mut b).await;
    stream(&at_b, &mut a).await;
}

#[tokio::test]
async fn the_side_that_admits_first_need_not_wait_with_its_streams_for_the_other() {
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    let (at_a, at_b) = stranger_link(&mut a, &mut b).await;
    at_b.admit();
    let mut opening = Box::pin(at_b.open_stream());
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut opening).await.is_err());
    at_a.admit();
    soon("a stream", opening).await.unwrap();
    a.stream().await;
}

#[tokio::test]
async fn there_is_no_stream_to_a_device_that_takes_none() {
    let config = NetConfig { accept_streams: false, ..NetConfig::new(key(2), vec![Channel::Link]) };
    let (mut a, mut b) = (Device::new(1).await, Device::start(config, loopback(0)).await);
    let (at_a, at_b) = link(&mut a, &mut b).await;
    assert_eq!(soon("a refusal", at_a.open_stream()).await.unwrap_err(), StreamError::Refused);
    stream(&at_b, &mut a).await;
    assert!(!NetConfig::new(key(3), vec![Channel::Coordinator]).accept_streams);
}

#[tokio::test]
async fn the_seventeenth_is_refused_until_one_has_ended() {
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    let (at_a, at_b) = link(&mut a, &mut b).await;
    let mut open = Vec::new();
    for _ in 0..MAX_CONTENT_STREAMS {
        open.push(stream(&at_a, &mut b).await);
    }
    assert_eq!(at_a.open_stream().await.unwrap_err(), StreamError::TooMany);
    // The other direction has places of its own.
    stream(&at_b, &mut a).await;
    // While B still holds its end of the one that A gave up, it is B that refuses.
    let (one, two) = open.pop().unwrap();
    let (reader, writer) = one.split();
    drop(reader);
    assert_eq!(at_a.open_stream().await.unwrap_err(), StreamError::TooMany, "a half holds its place");
    drop(writer);
    assert_eq!(soon("a refusal", at_a.open_stream()).await.unwrap_err(), StreamError::Refused);
    drop(two);
    stream(&at_a, &mut b).await;
}

#[tokio::test]
async fn streams_that_nobody_fetches_wait_in_their_places_and_hold_nothing_else_up() {
    let limits = NetLimits { events: 1, ..NetLimits::default() };
    let (mut a, mut b) = (Device::new(1).await, Device::with(2, limits).await);
    let (at_a, at_b) = link(&mut a, &mut b).await;
    let mut open = Vec::new();
    for _ in 0..MAX_CONTENT_STREAMS {
        open.push(soon("a stream", at_a.open_stream()).await.unwrap());
    }
    // B's owner has fetched no event. Its link works all the same.
    at_b.send(frame(1, 4)).unwrap();
    assert_eq!(number(&a.frame().await), 1);
    for _ in 0..MAX_CONTENT_STREAMS {
        b.stream().await;
    }
}

#[tokio::test]
async fn streams_end_with_their_link_at_both_ends() {
    for closes_at_a in [true, false] {
        let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
        let (at_a, at_b) = link(&mut a, &mut b).await;
        let (one, two) = stream(&at_a, &mut b).await;
        let ends = [one, two].map(|stream| {
            let (mut reader, mut writer) = stream.split();
            let reader = tokio::spawn(async move { reader.frame().await });
            // Nobody reads what it writes, so it waits for ever.
            let writer = tokio::spawn(async move {
                while writer.send(&frame(0, MAX_PIECE)).await.is_ok() {
                    tokio::task::yield_now().await;
                }
            });
            (reader, writer)
        });
        let waiting = at_a.open_stream();
        let start = Instant::now();
        if closes_at_a {
            at_a.close(Close::Now)
        } else {
            at_b.close(Close::Now)
        }
        for (reader, writer) in ends {
            let end = soon("the reader ends", reader).await.unwrap();
            assert!(!matches!(end, Err(StreamError::Frame(_))), "{end:?}");
            soon("the writer ends", writer).await.unwrap();
        }
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        a.closed().await;
        assert_eq!(soon("it ends too", waiting).await.unwrap_err(), StreamError::Closed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_not_read_holds_up_neither_the_link_nor_other_streams() {
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    let (at_a, at_b) = link(&mut a, &mut b).await;
    let (stuck, not_read) = stream(&at_a, &mut b).await;
    let (_stuck_reader, mut stuck) = stuck.split();
    let mut sent = 0;
    // Until its window is used up.
    while tokio::time::timeout(Duration::from_millis(300), stuck.send(&frame(0, MAX_PIECE))).await.is_ok() {
        sent += 1;
        assert!(sent < 1000, "it never waits");
    }
    let (one, two) = stream(&at_a, &mut b).await;
    let writer = tokio::spawn(async move { send_all(&mut one.split().1, 5, 100).await });
    read_all(&mut two.split().0, 5, 100).await;
    writer.await.unwrap();
    for n in 0..100 {
        at_a.send(frame(n, 5000)).unwrap();
        at_b.send(frame(n, 5000)).unwrap();
        assert_eq!((number(&a.frame().await), number(&b.frame().await)), (n, n));
    }
    assert_eq!(stuck.flush().await, Err(StreamError::Torn), "it was given up within a frame");
    // What has come is still there.
    let (mut reader, _writer) = not_read.split();
    for _ in 0..sent {
        assert!(soon("a frame", reader.frame()).await.unwrap().is_some());
    }
}
