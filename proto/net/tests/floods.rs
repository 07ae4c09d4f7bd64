//! What a flood of strangers does to colleagues: nothing that they would notice.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a story that cannot go on fails"
)]

mod common;

use common::{Device, frame, link, number, soon};
use lanchat_net::{CloseReason, NetEvent, NetLimits};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A connection from this loopback address, as elsewhere than on Linux only one of them exists.
fn connect(from: Ipv4Addr, to: &Device) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&to.at.socket().into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(true).unwrap();
    stream
}

/// Whether the other end has closed it.
fn is_cut(mut stream: &TcpStream) -> bool {
    match stream.read(&mut [0; 64]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

/// Times how long a colleague takes to get a link and a frame through, many times in a row, each time anew.
async fn dials(a: &mut Device, b: &mut Device, ids: std::ops::Range<u64>) -> Vec<Duration> {
    let mut times = Vec::new();
    for dial in ids {
        let start = Instant::now();
        a.dial(dial, Some(b.id()), vec![b.at]);
        let (at_a, at_b) = (a.opened().await.link, b.opened().await.link);
        at_a.admit();
        at_b.admit();
        at_a.send(frame(1, 1)).unwrap();
        assert_eq!(number(&b.frame().await), 1, "dial {dial}");
        times.push(start.elapsed());
        at_a.close(lanchat_net::Close::Now);
        assert_eq!(a.closed().await, CloseReason::Local);
        b.closed().await;
    }
    times.sort();
    times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_silent_sockets_from_one_or_from_fifty_addresses_hardly_delay_a_colleague() {
    if !cfg!(target_os = "linux") {
        // Elsewhere further loopback addresses have to be configured first.
        return;
    }
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    for addresses in [1, 50] {
        let at = |n: u64| Ipv4Addr::new(127, 0, 2, u8::try_from(n % addresses).unwrap() + 1);
        let flood: Vec<_> = (0..1000).map(|n| connect(at(n), &b)).collect();
        let times = dials(&mut a, &mut b, addresses..addresses + 20).await;
        assert!(times[18] < Duration::from_millis(500), "{addresses} addresses: {times:?}");
        drop(flood);
    }
}

#[tokio::test]
async fn a_colleague_behind_the_address_of_a_flood_gets_in_while_it_lasts() {
    let (mut a, b) = (Device::new(1).await, Device::new(2).await);
    let places = NetLimits::default().unproved_per_source;
    let mut flood: Vec<_> = (0..64).map(|_| connect(Ipv4Addr::LOCALHOST, &b)).collect();
    let start = Instant::now();
    loop {
        a.dial(1, Some(b.id()), vec![b.at]);
        match a.event().await {
            NetEvent::Opened(_) => break,
            NetEvent::DialFailed(_) => {}
            other => panic!("{other:?}"),
        }
        // Of those who were cut as many come again as there are places: these are what is tried, not the processor.
        for stream in flood.iter_mut().filter(|stream| is_cut(stream)).take(places) {
            *stream = connect(Ipv4Addr::LOCALHOST, &b);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test]
async fn whoever_sends_a_byte_a_second_is_closed_all_the_same() {
    let device = Device::new(1).await;
    let mut slow = connect(Ipv4Addr::LOCALHOST, &device);
    let start = Instant::now();
    // The beginning of a valid negotiation.
    let mut words = b"\x13/multistream/1.0.0\n\x07/noise\n".iter();
    let mut next = tokio::time::interval(Duration::from_millis(250));
    let mut ticks = 0_u32;
    let closed = async {
        while !is_cut(&slow) {
            next.tick().await;
            ticks += 1;
            if ticks.is_multiple_of(4)
                && let Some(byte) = words.next()
            {
                // An error shows in the next look.
                slow.write_all(&[*byte]).ok();
            }
        }
    };
    soon("the slow one is closed", closed).await;
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_member_that_sends_too_fast_is_slowed_down_and_loses_nothing() {
    let limits = NetLimits { frames_per_second: 100, ..NetLimits::default() };
    let (mut a, mut b) = (Device::new(1).await, Device::with(2, limits).await);
    let (at_a, _at_b) = link(&mut a, &mut b).await;
    let start = Instant::now();
    for n in 0..250 {
        at_a.send(frame(n, 4)).unwrap();
    }
    for n in 0..250 {
        assert_eq!(number(&b.frame().await), n);
    }
    let took = start.elapsed();
    assert!(took > Duration::from_millis(1300) && took < Duration::from_secs(5), "{took:?}");
}
