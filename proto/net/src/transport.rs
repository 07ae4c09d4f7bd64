//! The stack under a link: TCP, watched; Noise; yamux, guarded.

use crate::guard::Guard;
use crate::limits::{CONNECT_TIMEOUT, MAX_STREAMS};
use crate::tcp::{Handover, Tcp};
use crate::watch::Watched;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, timeout::TransportTimeout};
use libp2p::core::{Transport, upgrade::Version};
use libp2p::identity::Keypair;
use libp2p::{PeerId, noise, yamux};

/// Builds the stack.
pub(crate) fn build(
    key: &Keypair,
    handover: Handover,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let mut muxer = yamux::Config::default();
    muxer.set_max_num_streams(MAX_STREAMS);
    let stack = Tcp::new(handover)
        .map(|stream, _| Watched::new(stream))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key)?)
        .multiplex(muxer)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(Guard::new(muxer))));
    Ok(TransportTimeout::new(stack, CONNECT_TIMEOUT).boxed())
}
