//! What only this crate can bring about.

use crate::{Channel, DialId, DialTarget, Net, NetConfig, NetEvent, NetHandle, RelayLimits, RelayRole};
use lanchat_proto::frame::Frame;
use lanchat_proto::ids::DeviceId;
use lanchat_proto::signed::SecretKey;
use lanchat_proto::wire::Endpoint;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

struct Device {
    net: NetHandle,
    events: Receiver<NetEvent>,
    at: Endpoint,
}

impl Device {
    async fn new(seed: u8, relay: RelayRole) -> Self {
        let key = SecretKey::from_seed(&[seed; 32]);
        let config = NetConfig { relay, ..NetConfig::new(key, vec![Channel::Link]) };
        let (net, events) = Net::start(config).unwrap();
        let at = net.listen("127.0.0.1:0".parse().map(Endpoint::new).unwrap()).await.unwrap();
        Self { net, events, at }
    }

    async fn event<T>(&mut self, mut wanted: impl FnMut(NetEvent) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = wanted(self.events.recv().await.expect("the network runs")) {
                    break found;
                }
            }
        };
        timeout(Duration::from_secs(20), found).await.expect("in time")
    }

    async fn opened(&mut self) -> crate::Opened {
        let opened = self.event(|event| match event {
            NetEvent::Opened(opened) => Some(opened),
            _ => None,
        });
        let opened = opened.await;
        opened.link.admit_user([7; 16]);
        opened
    }

    async fn dial(&mut self, device: DeviceId, at: Endpoint, via: Option<DeviceId>) -> crate::Opened {
        let (device, endpoints) = (Some(device), vec![at]);
        let target = DialTarget { device, endpoints, channel: Channel::Link, via };
        self.net.dial(DialId(1), target).unwrap();
        self.opened().await
    }
}

fn frame() -> Frame {
    Frame { kind: 0xfff0, payload: vec![1; 100] }
}

async fn arrives(at: &mut Device) {
    at.event(|event| match event {
        NetEvent::Frame { .. } => Some(()),
        NetEvent::Closed { reason, .. } => panic!("{reason}"),
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn when_the_relay_panics_links_reservations_and_circuits_live_on() {
    let mut relay = Device::new(1, RelayRole::Server(RelayLimits::default())).await;
    let (id, at) = (relay.net.device(), relay.at);
    let (mut a, mut b) = (Device::new(2, RelayRole::Client).await, Device::new(3, RelayRole::Client).await);
    let mut to_relay = Vec::new();
    for device in [&mut a, &mut b] {
        to_relay.push(device.dial(id, at, None).await);
        to_relay.push(relay.opened().await);
        device.net.reserve(id, at);
        device.event(|event| matches!(event, NetEvent::Reserved { .. }).then_some(())).await;
    }
    let circuit = a.dial(b.net.device(), at, Some(id)).await;
    b.opened().await;
    for broken in 1..=3 {
        relay.net.break_relay().await;
        relay.event(|event| matches!(event, NetEvent::RelayRestarted).then_some(())).await;
        for link in &to_relay {
            link.link.send(frame()).unwrap();
        }
        arrives(&mut relay).await;
        arrives(&mut relay).await;
        arrives(&mut a).await;
        arrives(&mut b).await;
        circuit.link.send(frame()).unwrap();
        arrives(&mut b).await;
        let stats = relay.net.relay_stats().await.unwrap();
        assert_eq!((stats.restarts, stats.reservations, stats.circuits), (broken, 2, broken as usize));
        // The reservations are good for new circuits too.
        assert!(b.dial(a.net.device(), at, Some(id)).await.relayed);
        a.opened().await;
    }
}
