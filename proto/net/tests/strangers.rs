//! What a stranger learns and can do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a story that cannot go on fails"
)]

mod common;

use common::{Device, PATIENCE, frame, link, number, soon};
use futures::StreamExt;
use lanchat_net::{NetLimits, multiaddr};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, Swarm, SwarmBuilder, identify, noise, ping, tcp, yamux};
use std::io::Read;
use std::time::{Duration, Instant};

#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
struct Standard {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

/// Any libp2p program: identify and ping, no protocol of ours.
fn stranger() -> Swarm<Standard> {
    SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key| Standard {
            identify: identify::Behaviour::new(identify::Config::new("any/1".to_owned(), key.public())),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_millis(100))),
        })
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE * 3))
        .build()
}

fn address(device: &Device) -> Multiaddr {
    multiaddr(&device.at).parse().unwrap()
}

#[tokio::test]
async fn a_stranger_is_told_nothing_of_ours_and_is_closed_at_the_deadline() {
    let limits = NetLimits { hello_deadline: Duration::from_millis(800), ..NetLimits::default() };
    let device = Device::with(1, limits).await;
    let mut stranger = stranger();
    let start = Instant::now();
    stranger.dial(address(&device)).unwrap();
    let (mut identified, mut pinged) = (None, false);
    soon("the stranger is closed", async {
        loop {
            match stranger.select_next_some().await {
                SwarmEvent::Behaviour(StandardEvent::Identify(identify::Event::Received {
                    info, ..
                })) => {
                    identified = Some(info);
                }
                SwarmEvent::Behaviour(StandardEvent::Ping(ping::Event { result: Ok(_), .. })) => {
                    pinged = true
                }
                SwarmEvent::ConnectionClosed { .. } => break,
                _ => {}
            }
        }
    })
    .await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let info = identified.expect("identify is answered");
    assert!(pinged, "ping is answered");
    assert!(info.listen_addrs.is_empty(), "{:?}", info.listen_addrs);
    let names: Vec<String> = info.protocols.iter().map(ToString::to_string).collect();
    assert!(names.iter().all(|name| !name.contains("lanchat")), "{names:?}");
    assert!(names.contains(&"/ipfs/ping/1.0.0".to_owned()), "the standard names are told: {names:?}");
    assert!(!info.protocol_version.contains("lanchat"));
}

#[tokio::test]
async fn a_flood_from_one_address_does_not_keep_another_out() {
    if !cfg!(target_os = "linux") {
        // Elsewhere 127.0.0.2 has to be configured first.
        return;
    }
    let (mut a, mut b) = (Device::new(1).await, Device::new(2).await);
    let socket = |_| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&"127.0.0.2:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        socket.connect(&b.at.socket().into()).unwrap();
        std::net::TcpStream::from(socket)
    };
    let flood: Vec<_> = (0..200).map(socket).collect();
    // All but the address's share are cut.
    let cut = async {
        let mut open = flood;
        while open.len() > 8 {
            open.retain(|stream| {
                stream.set_nonblocking(true).unwrap();
                let mut stream = stream;
                match stream.read(&mut [0; 64]) {
                    Ok(0) => false,
                    Ok(_) => true,
                    Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
                }
            });
            tokio::task::yield_now().await;
        }
        open
    };
    let open = soon("the flood is cut", cut).await;
    assert_eq!(open.len(), 8);
    let (at_a, _at_b) = soon("another address", link(&mut a, &mut b)).await;
    at_a.send(frame(1, 1)).unwrap();
    assert_eq!(number(&b.frame().await), 1);
}

#[tokio::test]
async fn a_connection_that_never_finishes_its_handshake_is_closed() {
    let device = Device::new(1).await;
    let mut stream = tokio::net::TcpStream::connect(device.at.socket()).await.unwrap();
    let start = Instant::now();
    let closed = async {
        let mut buffer = [0; 256];
        loop {
            match tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
    };
    soon("the silent one is closed", closed).await;
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}
