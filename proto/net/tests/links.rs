//! What two devices with a link can rely on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a story that cannot go on fails"
)]

mod common;

use common::{Device, frame, key, link, loopback, number, soon, stranger_link};
use lanchat_net::{
    Channel, Close, CloseReason, DialId, Net, NetConfig, NetError, NetEvent, NetLimits, SendError,
};
use lanchat_proto::frame::{Frame, FrameError};
use lanchat_proto::limits::{MAX_BEFORE_HELLO, MAX_FRAME};
use std::time::{Duration, Instant};

#[tokio::test]
async fn frames_arrive_whole_and_in_order_both_ways() {
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    let (at_a, at_b) = link(&mut a, &mut b).await;
    for n in 0..1000 {
        at_a.send(frame(n, 1 + (n as usize * 37) % 3000)).unwrap();
        at_b.send(frame(n, 1 + (n as usize * 91) % 3000)).unwrap();
    }
    for n in 0..1000 {
        assert_eq!(number(&b.frame().await), n);
        assert_eq!(number(&a.frame().await), n);
    }
    at_a.send(frame(7, MAX_FRAME)).unwrap();
    assert_eq!(b.frame().await, frame(7, MAX_FRAME));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_both_ways_at_once_never_stalls() {
    const FRAMES: u32 = 400;
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    let (at_a, at_b) = link(&mut a, &mut b).await;
    let stream = async |mut device: Device, link: lanchat_net::Link| {
        let (mut sent, mut received) = (0, 0);
        while sent < FRAMES || received < FRAMES {
            while sent < FRAMES && link.send(frame(sent, 100_000)).is_ok() {
                sent += 1;
            }
            match tokio::time::timeout(Duration::from_millis(5), device.events.recv()).await {
                Ok(Some(NetEvent::Frame { frame, .. })) => {
                    assert_eq!(number(&frame), received);
                    received += 1;
                }
                Ok(other) => panic!("{other:?}"),
                // The queue may have room again.
                Err(_) => {}
            }
        }
        (device, link)
    };
    let both =
        soon("bulk", futures::future::join(tokio::spawn(stream(a, at_a)), tokio::spawn(stream(b, at_b))));
    let (one, two) = both.await;
    one.unwrap();
    two.unwrap();
}

#[tokio::test]
async fn a_closed_link_ends_at_both_ends_and_takes_nothing_more() {
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    let (at_a, _at_b) = link(&mut a, &mut b).await;
    at_a.close(Close::Now);
    assert_eq!(at_a.send(frame(0, 4)), Err(SendError::Closed));
    let start = Instant::now();
    assert_eq!(a.closed().await, CloseReason::Local);
    assert!(start.elapsed() < Duration::from_secs(1), "the local reader ends at once");
    assert!(matches!(b.closed().await, CloseReason::Remote | CloseReason::Lost(_)));
}

#[tokio::test]
async fn what_was_sent_before_an_orderly_close_arrives() {
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    let (at_a, at_b) = link(&mut a, &mut b).await;
    for n in 0..50 {
        at_a.send(frame(n, 20_000)).unwrap();
        at_b.send(frame(n, 2000)).unwrap();
    }
    at_a.close(Close::AfterFlush);
    for n in 0..50 {
        assert_eq!(number(&b.frame().await), n);
    }
    assert_eq!(b.closed().await, CloseReason::Remote);
    assert_eq!(a.closed().await, CloseReason::Local);
}

#[tokio::test]
async fn a_slow_reader_is_told_by_full_and_memory_does_not_grow() {
    let limits = NetLimits { events: 4, queue_bytes: 1024 * 1024, ..NetLimits::default() };
    let (mut a, mut b) = (Device::with(1, limits.clone()).await, Device::with(2, limits).await);
    let (at_a, _at_b) = link(&mut a, &mut b).await;
    // Nobody reads b's events. Windows and socket buffers fill, then the queue.
    let mut sent = 0;
    soon("the queue fills", async {
        loop {
            match at_a.send(frame(sent, 60_000)) {
                Ok(()) => sent += 1,
                Err(error) => {
                    assert_eq!(error, SendError::Full);
                    let queued = at_a.queued();
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    if at_a.queued() == queued {
                        break;
                    }
                }
            }
        }
    })
    .await;
    assert!(at_a.queued() <= 1024 * 1024);
    for n in 0..sent {
        assert_eq!(number(&b.frame().await), n);
    }
}

#[tokio::test]
async fn an_orderly_close_does_not_wait_for_ever_for_a_reader_that_reads_nothing() {
    let limits = NetLimits { events: 1, ..NetLimits::default() };
    let (mut a, mut b) = (Device::new(1).await, Device::with(2, limits).await);
    let (at_a, _at_b) = link(&mut a, &mut b).await;
    while at_a.send(frame(0, 100_000)).is_ok() {}
    let start = Instant::now();
    at_a.close(Close::AfterFlush);
    assert_eq!(a.closed().await, CloseReason::Local);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[tokio::test]
async fn strangers_do_not_pile_up_in_front_of_a_slow_owner() {
    let limits = NetLimits { events: 1, hello_deadline: Duration::from_secs(1), ..NetLimits::default() };
    let (mut a, mut b) = (Device::new(1).await, Device::with(2, limits).await);
    for dial in 0..3 {
        a.dial(dial, Some(b.id()), vec![b.at]);
        a.opened().await;
        // b's owner reads nothing; the stranger is closed all the same.
        a.closed().await;
    }
    // The first was told of before the channel was full.
    b.opened().await;
    assert_eq!(b.closed().await, CloseReason::HelloDeadline);
    let mut c = Device::new(3).await;
    link(&mut c, &mut b).await;
}

#[tokio::test]
async fn a_frame_that_is_too_long_closes_the_link() {
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    let (at_a, _at_b) = link(&mut a, &mut b).await;
    at_a.send(frame(0, MAX_FRAME + 1)).unwrap();
    let too_long = FrameError::TooLong { len: MAX_FRAME + 1, max: MAX_FRAME };
    assert_eq!(b.closed().await, CloseReason::Frame(too_long));
    assert!(matches!(a.closed().await, CloseReason::Remote | CloseReason::Lost(_)));
}

#[tokio::test]
async fn a_dialler_may_send_a_hello_and_no_more_before_it_is_admitted() {
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    let (at_a, _at_b) = stranger_link(&mut a, &mut b).await;
    at_a.send(Frame { kind: 0x0101, payload: vec![0; MAX_BEFORE_HELLO - 8] }).unwrap();
    assert_eq!(b.frame().await.payload.len(), MAX_BEFORE_HELLO - 8);
    at_a.send(Frame { kind: 0x0101, payload: Vec::new() }).unwrap();
    assert_eq!(b.closed().await, CloseReason::BeforeHello(MAX_BEFORE_HELLO + 8));
}

#[tokio::test]
async fn what_follows_the_answer_waits_until_the_dialler_has_judged_it() {
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    let (at_a, at_b) = stranger_link(&mut a, &mut b).await;
    at_a.send(frame(1, 500)).unwrap();
    assert_eq!(number(&b.frame().await), 1);
    at_b.admit();
    at_b.send(frame(2, 500)).unwrap();
    at_b.send(frame(3, 50_000)).unwrap();
    assert_eq!(number(&a.frame().await), 2);
    at_a.admit();
    assert_eq!(number(&a.frame().await), 3);
}

#[tokio::test]
async fn whoever_is_not_admitted_in_time_is_closed_on_both_sides() {
    let limits = NetLimits { hello_deadline: Duration::from_secs(1), ..NetLimits::default() };
    let (mut a, mut b) = (Device::new(1).await, Device::with(2, limits).await);
    let (_at_a, _at_b) = stranger_link(&mut a, &mut b).await;
    assert_eq!(b.closed().await, CloseReason::HelloDeadline);
    assert!(matches!(a.closed().await, CloseReason::Remote | CloseReason::Lost(_)));
}

#[tokio::test]
async fn two_devices_that_dial_each_other_get_two_links_and_both_work() {
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    for round in 0..5 {
        a.dial(round, Some(b.id()), vec![b.at]);
        b.dial(round, Some(a.id()), vec![a.at]);
        let (a1, a2) = (a.opened().await, a.opened().await);
        let (b1, b2) = (b.opened().await, b.opened().await);
        let links = [&a1, &a2, &b1, &b2];
        assert_eq!(links.iter().filter(|opened| opened.dialler).count(), 2);
        links.iter().for_each(|opened| opened.link.admit());
        links.iter().for_each(|opened| opened.link.send(frame(9, 9)).unwrap());
        for _ in 0..2 {
            assert_eq!((number(&a.frame().await), number(&b.frame().await)), (9, 9));
        }
        links.iter().for_each(|opened| opened.link.close(Close::Now));
        for _ in 0..2 {
            a.closed().await;
            b.closed().await;
        }
    }
}

#[tokio::test]
async fn a_refused_device_is_out_at_once_and_stays_out_until_it_is_allowed() {
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    let (_at_a, _at_b) = link(&mut a, &mut b).await;
    b.net.refuse(a.id());
    assert_eq!(b.closed().await, CloseReason::Refused);
    assert!(matches!(a.closed().await, CloseReason::Remote | CloseReason::Lost(_)));
    a.dial(2, Some(b.id()), vec![b.at]);
    assert_eq!(a.dial_failed().await.dial, DialId(2));
    b.net.allow(&a.id());
    link(&mut a, &mut b).await;
}

#[tokio::test]
async fn a_shutdown_closes_links_and_frees_the_port() {
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    let (_at_a, at_b) = link(&mut a, &mut b).await;
    at_b.send(frame(5, 5)).unwrap();
    let start = Instant::now();
    b.net.shutdown().await;
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(number(&a.frame().await), 5);
    assert_eq!(a.closed().await, CloseReason::Remote);
    let (net, _events) = Net::start(NetConfig::new(key(3), vec![Channel::Link])).unwrap();
    assert_eq!(net.listen(b.at).await, Ok(b.at));
    assert_eq!(b.net.listen(loopback(0)).await, Err(NetError::Stopped));
    while b.events.recv().await.is_some() {}
}

#[tokio::test]
async fn a_port_in_use_is_an_error_and_a_wildcard_tells_its_interfaces() {
    let mut a = Device::new(1).await;
    let (net, mut events) = Net::start(NetConfig::new(key(2), vec![Channel::Link])).unwrap();
    assert_eq!(net.listen(a.at).await, Err(NetError::PortTaken(a.at)));
    let any = net.listen("0.0.0.0:0".parse().map(lanchat_proto::wire::Endpoint::new).unwrap()).await.unwrap();
    assert!(any.ip().is_unspecified() && any.port() != 0);
    soon("loopback is told", async {
        loop {
            match events.recv().await {
                Some(NetEvent::Listening(at)) if at == loopback(any.port()) => break,
                Some(NetEvent::Listening(at)) => assert_eq!(at.port(), any.port()),
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
    a.dial(1, Some(net.device()), vec![loopback(any.port())]);
    assert_eq!(a.opened().await.device, net.device());
}
