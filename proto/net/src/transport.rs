//! The stack under a link: TCP or a circuit, watched; Noise; yamux, guarded, and metered on a relay.

use crate::guard::Guard;
use crate::intake::Intake;
use crate::limits::{CONNECT_TIMEOUT, MAX_STREAMS, MAX_STREAMS_RELAY, MUXER_FRAME};
use crate::muxer::Config as Muxing;
use crate::relay::meter::Meters;
use crate::tcp::{Handover, Tcp};
use crate::watch::Watched;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, OrTransport, timeout::TransportTimeout};
use libp2p::core::{ConnectedPoint, Transport, upgrade::Version};
use libp2p::identity::Keypair;
use libp2p::{PeerId, noise, relay};
use std::sync::Arc;

/// What a relay adds to the stack.
#[derive(Default)]
pub(crate) struct Extra {
    /// The circuits of a relay's client.
    pub(crate) circuits: Option<relay::client::Transport>,
    /// The meters of a relay.
    pub(crate) meters: Option<Arc<Meters>>,
}

/// Builds the stack.
pub(crate) fn build(
    key: &Keypair,
    handover: Handover,
    intake: Intake,
    extra: Extra,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let Extra { circuits, meters } = extra;
    let relays = circuits.is_some() || meters.is_some();
    let streams = if relays { MAX_STREAMS_RELAY } else { MAX_STREAMS };
    let meter = move |point: ConnectedPoint| match (&meters, point) {
        (Some(meters), ConnectedPoint::Listener { local_addr, send_back_addr }) => {
            Some(meters.add(local_addr, send_back_addr))
        }
        _ => None,
    };
    let direct = Tcp::new(handover, intake)
        .map(|stream, _| Watched::new(stream))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key)?)
        .multiplex(Muxing { streams, frame: MUXER_FRAME })
        .map(move |(peer, muxer), point| (peer, StreamMuxerBox::new(Guard::new(muxer, meter(point)))));
    let direct = TransportTimeout::new(direct, CONNECT_TIMEOUT).boxed();
    let Some(circuits) = circuits else { return Ok(direct) };
    let circuits = circuits
        .map(|stream, _| Watched::new(stream))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key)?)
        .multiplex(Muxing { streams: MAX_STREAMS, frame: MUXER_FRAME })
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(Guard::new(muxer, None))));
    let circuits = TransportTimeout::new(circuits, CONNECT_TIMEOUT);
    let either = OrTransport::new(circuits, direct);
    Ok(either.map(|connection, _| connection.into_inner()).boxed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::to_multiaddr;
    use futures::future::poll_fn;
    use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
    use libp2p::core::muxing::{StreamMuxerExt, SubstreamBox};
    use libp2p::core::transport::{DialOpts, ListenerId, PortUse};
    use libp2p::core::{Endpoint, transport::TransportEvent};
    use std::pin::Pin;
    use std::task::Poll;
    use std::time::Duration;
    use tokio::sync::mpsc;
    use tokio::task::JoinSet;

    /// Two ends of one connection over loopback.
    async fn pair() -> (StreamMuxerBox, StreamMuxerBox) {
        let handover = Handover::default();
        let at = to_multiaddr(handover.bind("127.0.0.1:0".parse().unwrap()).unwrap());
        let intake = Intake::default();
        let mut listener =
            build(&Keypair::generate_ed25519(), handover, intake.clone(), Extra::default()).unwrap();
        listener.listen_on(ListenerId::next(), at.clone()).unwrap();
        let mut dialler =
            build(&Keypair::generate_ed25519(), Handover::default(), Intake::default(), Extra::default())
                .unwrap();
        let opts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let dialled = tokio::spawn(dialler.dial(at, opts).unwrap());
        let upgrade = loop {
            let event = poll_fn(|cx| Pin::new(&mut listener).poll(cx)).await;
            if let TransportEvent::Incoming { upgrade, local_addr, send_back_addr, .. } = event {
                intake.admit(&(local_addr, send_back_addr));
                break tokio::spawn(upgrade);
            }
        };
        let mut dialled = dialled.await.unwrap().unwrap().1;
        // The dialler's choice of a multiplexer leaves with its first bytes, so it has to be kept going.
        let driven = poll_fn(|cx| dialled.poll_unpin(cx));
        let accepted = match futures::future::select(driven, upgrade).await {
            futures::future::Either::Left((event, _)) => panic!("{event:?}"),
            futures::future::Either::Right((accepted, _)) => accepted.unwrap().unwrap().1,
        };
        (dialled, accepted)
    }

    /// Moves bytes both ways on every stream of a connection, each way in a task of its own, and keeps the connection
    /// going until it is dropped: closing it could cut what is still on its way to the other end.
    async fn run(mut muxer: StreamMuxerBox, streams: usize, opens: bool, done: mpsc::Sender<()>) {
        const BYTES: usize = 4 * 1024 * 1024;
        let mut halves = JoinSet::new();
        let mut seen = 0;
        poll_fn(|cx| {
            while muxer.poll_unpin(cx)?.is_ready() {}
            while seen < streams {
                let polled =
                    if opens { muxer.poll_outbound_unpin(cx)? } else { muxer.poll_inbound_unpin(cx)? };
                let Poll::Ready(stream) = polled else { break };
                seen += 1;
                let (reader, writer) = stream.split();
                halves.spawn(drain(reader, BYTES));
                halves.spawn(fill(writer, BYTES));
            }
            while let Poll::Ready(Some(half)) = halves.poll_join_next(cx) {
                half.unwrap();
                if seen == streams && halves.is_empty() {
                    done.try_send(()).unwrap();
                }
            }
            Poll::<std::io::Result<()>>::Pending
        })
        .await
        .unwrap();
    }

    async fn drain(mut reader: impl AsyncRead + Unpin, bytes: usize) {
        let mut buffer = vec![0; 16 * 1024];
        let mut read = 0;
        loop {
            match reader.read(&mut buffer).await.unwrap() {
                0 => break,
                some => read += some,
            }
        }
        assert_eq!(read, bytes);
    }

    async fn fill(mut writer: impl AsyncWrite + Unpin, bytes: usize) {
        let chunk = vec![1; 16 * 1024];
        for _ in 0..bytes / chunk.len() {
            writer.write_all(&chunk).await.unwrap();
        }
        writer.close().await.unwrap();
    }

    /// Split streams once lost a waker in yamux and stalled for ever.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn split_streams_moving_bulk_both_ways_do_not_stall() {
        let (one, two) = pair().await;
        let (done, mut finished) = mpsc::channel(2);
        let mut ends = JoinSet::new();
        ends.spawn(run(one, 8, true, done.clone()));
        ends.spawn(run(two, 8, false, done));
        for _ in 0..2 {
            let next = tokio::time::timeout(Duration::from_secs(60), finished.recv());
            assert_eq!(next.await, Ok(Some(())), "no stall");
        }
    }

    #[tokio::test]
    async fn a_local_close_ends_local_readers_and_the_other_side_sees_the_end() {
        let (mut one, mut two) = pair().await;
        let mut at_one: SubstreamBox = poll_fn(|cx| one.poll_outbound_unpin(cx)).await.unwrap();
        at_one.write_all(b"x").await.unwrap();
        let mut at_two = poll_fn(|cx| {
            let _pending = one.poll_unpin(cx)?;
            two.poll_inbound_unpin(cx)
        })
        .await
        .unwrap();
        let other = tokio::spawn(async move { while poll_fn(|cx| two.poll_unpin(cx)).await.is_ok() {} });
        let reader = tokio::spawn(async move { at_one.read(&mut [0; 1]).await });
        poll_fn(|cx| one.poll_close_unpin(cx)).await.unwrap();
        let patience = Duration::from_secs(5);
        assert!(tokio::time::timeout(patience, reader).await.expect("the reader ends").unwrap().is_err());
        let mut rest = Vec::new();
        let read =
            tokio::time::timeout(patience, at_two.read_to_end(&mut rest)).await.expect("the end is seen");
        assert!(read.is_ok() && rest == b"x", "what had arrived is still read");
        other.await.unwrap();
    }
}
