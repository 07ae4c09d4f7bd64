//! What only a device that breaks the rules does to a stream of content.

use super::*;
use crate::{Channel, DialId, DialTarget, Link, Net, NetConfig, NetEvent, NetHandle};
use futures::io::AsyncWriteExt;
use lanchat_proto::signed::SecretKey;
use lanchat_proto::wire::Endpoint;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

struct Device {
    net: NetHandle,
    events: Receiver<NetEvent>,
}

impl Device {
    fn new(seed: u8) -> Self {
        let key = SecretKey::from_seed(&[seed; 32]);
        let (net, events) = Net::start(NetConfig::new(key, vec![Channel::Link])).unwrap();
        Self { net, events }
    }

    async fn next<T>(&mut self, pick: impl Fn(NetEvent) -> Option<T>) -> T {
        let wait = async {
            loop {
                if let Some(picked) = pick(self.events.recv().await.unwrap()) {
                    return picked;
                }
            }
        };
        timeout(Duration::from_secs(20), wait).await.unwrap()
    }

    /// The link that comes up, admitted.
    async fn link(&mut self) -> Link {
        let opened = |event| match event {
            NetEvent::Opened(opened) => Some(opened.link),
            _ => None,
        };
        let link = self.next(opened).await;
        link.admit();
        link
    }

    async fn stream(&mut self) -> BlobStream {
        let stream = |event| match event {
            NetEvent::Stream { stream, .. } => Some(stream),
            _ => None,
        };
        self.next(stream).await
    }
}

async fn link(a: &mut Device, b: &mut Device) -> (Link, Link) {
    let at = b.net.listen(Endpoint::new(([127, 0, 0, 1], 0).into())).await.unwrap();
    let device = Some(b.net.device());
    let target = DialTarget { device, endpoints: vec![at], channel: Channel::Link, via: None };
    a.net.dial(DialId(1), target).unwrap();
    (a.link().await, b.link().await)
}

#[tokio::test]
async fn garbage_ends_its_stream_alone() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    let (at_a, at_b) = link(&mut a, &mut b).await;
    let mut bad = at_a.open_stream().await.unwrap();
    let bad_there = b.stream().await;
    let good = at_a.open_stream().await.unwrap();
    let good_there = b.stream().await;
    bad.stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    bad.stream.flush().await.unwrap();
    let (mut reader, writer) = bad_there.split();
    let fault = reader.frame().await;
    assert!(matches!(fault, Err(StreamError::Frame(_))), "{fault:?}");
    assert_eq!(reader.frame().await, fault, "it stays at that");
    drop((reader, writer));
    assert_eq!(bad.split().0.frame().await, Ok(None));
    let frame = Frame { kind: 0xfff0, payload: vec![7; 100_000] };
    let (_reader, mut writer) = good.split();
    let sending = async {
        writer.send(&frame).await.unwrap();
        writer.close().await.unwrap();
    };
    let (mut reader, _writer) = good_there.split();
    assert_eq!(futures::join!(sending, reader.frame()).1, Ok(Some(frame.clone())));
    at_b.send(frame).unwrap();
    a.next(|event| matches!(event, NetEvent::Frame { .. }).then_some(())).await;
}

#[tokio::test]
async fn who_opens_more_streams_than_it_may_gets_none_and_loses_none() {
    let (mut a, mut b) = (Device::new(1), Device::new(2));
    let (at_a, _at_b) = link(&mut a, &mut b).await;
    at_a.0.more_places(100);
    let opened = futures::future::join_all((0..40).map(|_| at_a.open_stream())).await;
    let mut there = Vec::new();
    for _ in 0..crate::limits::MAX_CONTENT_STREAMS {
        there.push(b.stream().await);
    }
    // Of those agreed on at the same moment some are taken for open, and end at once.
    let mut live = 0;
    let mut over = Vec::new();
    for opened in opened {
        match opened {
            Ok(stream) => over.push(stream.split()),
            Err(error) => assert_eq!(error, StreamError::Refused),
        }
    }
    for stream in there {
        let (_reader, mut writer) = stream.split();
        writer.send(&Frame { kind: 1, payload: Vec::new() }).await.unwrap();
        writer.close().await.unwrap();
        live += 1;
    }
    let mut answered = 0;
    for (mut reader, _writer) in over {
        answered += usize::from(reader.frame().await.unwrap().is_some());
    }
    assert_eq!(answered, live);
}
