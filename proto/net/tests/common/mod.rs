//! A cast of devices on loopback, for the stories of this package.
#![allow(dead_code, reason = "each story uses its part of the cast")]

use lanchat_net::{
    Channel, DialFailure, DialId, DialTarget, Link, Net, NetConfig, NetEvent, NetHandle, NetLimits, Opened,
};
use lanchat_proto::frame::Frame;
use lanchat_proto::ids::DeviceId;
use lanchat_proto::signed::SecretKey;
use lanchat_proto::wire::Endpoint;
use std::future::Future;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;

/// Longer than anything here may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits, but not for ever.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing within {PATIENCE:?}"),
    }
}

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

pub(crate) fn loopback(port: u16) -> Endpoint {
    Endpoint::new(([127, 0, 0, 1], port).into())
}

pub(crate) struct Device {
    pub(crate) net: NetHandle,
    pub(crate) events: Receiver<NetEvent>,
    pub(crate) at: Endpoint,
}

impl Device {
    pub(crate) async fn new(seed: u8) -> Self {
        Self::with(seed, NetLimits::default()).await
    }

    pub(crate) async fn with(seed: u8, limits: NetLimits) -> Self {
        Self::start(NetConfig { limits, ..NetConfig::new(key(seed), vec![Channel::Link]) }, loopback(0)).await
    }

    pub(crate) async fn start(config: NetConfig, at: Endpoint) -> Self {
        let (net, mut events) = Net::start(config).unwrap();
        let at = net.listen(at).await.unwrap();
        let event = soon("listening", events.recv()).await;
        assert!(matches!(event, Some(NetEvent::Listening(told)) if told == at), "{event:?}");
        Self { net, events, at }
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.net.device()
    }

    pub(crate) fn dial(&self, dial: u64, device: Option<DeviceId>, endpoints: Vec<Endpoint>) {
        let target = DialTarget { device, endpoints, channel: Channel::Link, via: None };
        self.net.dial(DialId(dial), target).unwrap();
    }

    pub(crate) async fn event(&mut self) -> NetEvent {
        soon("an event", self.events.recv()).await.expect("the network runs")
    }

    pub(crate) async fn opened(&mut self) -> Opened {
        match self.event().await {
            NetEvent::Opened(opened) => opened,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn frame(&mut self) -> Frame {
        match self.event().await {
            NetEvent::Frame { frame, .. } => frame,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn closed(&mut self) -> lanchat_net::CloseReason {
        loop {
            match self.event().await {
                NetEvent::Closed { reason, .. } => return reason,
                NetEvent::Frame { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) async fn dial_failed(&mut self) -> DialFailure {
        match self.event().await {
            NetEvent::DialFailed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }
}

/// A dials B; both ends of the link, not admitted.
pub(crate) async fn stranger_link(a: &mut Device, b: &mut Device) -> (Link, Link) {
    a.dial(1, Some(b.id()), vec![b.at]);
    let at_a = a.opened().await;
    let at_b = b.opened().await;
    assert!(at_a.dialler && !at_b.dialler);
    assert_eq!((at_a.device, at_b.device), (b.id(), a.id()));
    assert_eq!((at_a.dial, at_b.dial), (Some(DialId(1)), None));
    assert_eq!((at_a.remote, at_b.remote.ip()), (b.at, b.at.ip()));
    (at_a.link, at_b.link)
}

/// A dials B; both ends of the link, admitted.
pub(crate) async fn link(a: &mut Device, b: &mut Device) -> (Link, Link) {
    let (at_a, at_b) = stranger_link(a, b).await;
    at_a.admit();
    at_b.admit();
    (at_a, at_b)
}

pub(crate) fn frame(number: u32, len: usize) -> Frame {
    let mut payload = number.to_le_bytes().to_vec();
    payload.resize(len.max(4), 7);
    Frame { kind: 0xfff0, payload }
}

pub(crate) fn number(frame: &Frame) -> u32 {
    u32::from_le_bytes(frame.payload[..4].try_into().unwrap())
}
