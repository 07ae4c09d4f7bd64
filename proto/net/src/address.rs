//! Spellings: devices as libp2p peer ids, endpoints as multiaddrs.
//!
//! Keeps true: a device has exactly one peer id (the identity hash of its Ed25519 key) and the other way round; only
//! `/ip4|ip6/…/tcp/PORT[/p2p/ID]` is read, everything else is refused.

use lanchat_proto::ids::DeviceId;
use lanchat_proto::wire::Endpoint;
use libp2p::PeerId;
use libp2p::multiaddr::{Multiaddr, Protocol};
use std::net::{IpAddr, SocketAddr};

/// What stands before the key in the bytes of an Ed25519 peer id: identity hash of 36 bytes, key type 1, key of 32.
const PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// The peer id of a device.
pub(crate) fn peer_of(device: &DeviceId) -> Option<PeerId> {
    let mut bytes = PREFIX.to_vec();
    bytes.extend_from_slice(device.as_bytes());
    PeerId::from_bytes(&bytes).ok()
}

/// The device with this peer id; `None` for another kind of key.
pub(crate) fn device_of(peer: &PeerId) -> Option<DeviceId> {
    DeviceId::from_slice(peer.to_bytes().strip_prefix(&PREFIX)?)
}

/// The peer id of a device, as libp2p prints it (`12D3Koo…`).
#[must_use]
pub fn peer_id_string(device: &DeviceId) -> String {
    peer_of(device).map_or_else(|| device.to_string(), |peer| peer.to_string())
}

/// The device with this peer id; `None` for anything but the peer id of an Ed25519 key.
#[must_use]
pub fn parse_peer_id(text: &str) -> Option<DeviceId> {
    device_of(&text.parse().ok()?)
}

/// Reads `/ip4|ip6/ADDRESS/tcp/PORT[/p2p/ID]`; `None` for anything else.
#[must_use]
pub fn parse_multiaddr(text: &str) -> Option<(Endpoint, Option<DeviceId>)> {
    let address: Multiaddr = text.parse().ok()?;
    let endpoint = endpoint_of(&address)?;
    match address.iter().nth(2) {
        Some(Protocol::P2p(peer)) => Some((endpoint, Some(device_of(&peer)?))),
        _ => Some((endpoint, None)),
    }
}

/// An endpoint as `/ip4|ip6/ADDRESS/tcp/PORT`.
#[must_use]
pub fn multiaddr(endpoint: &Endpoint) -> String {
    to_multiaddr(endpoint.socket()).to_string()
}

/// A device at an endpoint as `/ip4|ip6/ADDRESS/tcp/PORT/p2p/ID`.
#[must_use]
pub fn multiaddr_of(endpoint: &Endpoint, device: &DeviceId) -> String {
    format!("{}/p2p/{}", multiaddr(endpoint), peer_id_string(device))
}

/// A socket address as a multiaddr.
pub(crate) fn to_multiaddr(address: SocketAddr) -> Multiaddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) => Protocol::Ip4(ip),
        IpAddr::V6(ip) => Protocol::Ip6(ip),
    };
    Multiaddr::empty().with(ip).with(Protocol::Tcp(address.port()))
}

/// The endpoint of a TCP multiaddr, with or without a peer id behind it.
pub(crate) fn endpoint_of(address: &Multiaddr) -> Option<Endpoint> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    let Protocol::Tcp(port) = parts.next()? else { return None };
    match (parts.next(), parts.next()) {
        (None | Some(Protocol::P2p(_)), None) => Some(Endpoint::new(SocketAddr::new(ip, port))),
        _ => None,
    }
}

/// The endpoint of the relay in the address of a circuit (`…/tcp/PORT[/p2p/RELAY]/p2p-circuit[/p2p/ID]`); `None` for any
/// other address.
pub(crate) fn relay_of(address: &Multiaddr) -> Option<Endpoint> {
    let circuit = address.iter().position(|part| part == Protocol::P2pCircuit)?;
    endpoint_of(&address.iter().take(circuit).collect())
}

/// The address of a circuit through a relay, without the device at its other end.
pub(crate) fn circuit_via(relay: PeerId, endpoint: &Endpoint) -> Multiaddr {
    to_multiaddr(endpoint.socket()).with(Protocol::P2p(relay)).with(Protocol::P2pCircuit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanchat_proto::signed::SecretKey;

    #[test]
    fn a_device_and_its_peer_id_name_each_other() {
        let device = SecretKey::from_seed(&[3; 32]).public();
        let text = peer_id_string(&device);
        assert!(text.starts_with("12D3Koo"), "{text}");
        assert_eq!(parse_peer_id(&text), Some(device));
        let key = libp2p::identity::Keypair::ed25519_from_bytes([3; 32]).unwrap();
        assert_eq!(key.public().to_peer_id().to_string(), text);
        assert_eq!(parse_peer_id("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"), None);
        assert_eq!(parse_peer_id("nonsense"), None);
    }

    #[test]
    fn a_circuit_is_no_tcp_address_but_its_relay_has_one() {
        let peer = peer_of(&SecretKey::from_seed(&[3; 32]).public()).unwrap();
        let endpoint = Endpoint::new("10.1.2.3:7420".parse().unwrap());
        let circuit = circuit_via(peer, &endpoint);
        assert_eq!((endpoint_of(&circuit), relay_of(&circuit)), (None, Some(endpoint)));
        let whole = circuit.with(Protocol::P2p(peer));
        assert_eq!((endpoint_of(&whole), relay_of(&whole)), (None, Some(endpoint)));
        let heard: Multiaddr = "/ip4/10.1.2.3/tcp/7420/p2p-circuit".parse().unwrap();
        assert_eq!(relay_of(&heard), Some(endpoint));
        assert_eq!(relay_of(&to_multiaddr(endpoint.socket())), None);
    }

    #[test]
    fn only_tcp_addresses_are_read() {
        let device = SecretKey::from_seed(&[3; 32]).public();
        let endpoint = Endpoint::new("10.1.2.3:7420".parse().unwrap());
        assert_eq!(multiaddr(&endpoint), "/ip4/10.1.2.3/tcp/7420");
        assert_eq!(parse_multiaddr("/ip4/10.1.2.3/tcp/7420"), Some((endpoint, None)));
        assert_eq!(parse_multiaddr(&multiaddr_of(&endpoint, &device)), Some((endpoint, Some(device))));
        let six = Endpoint::new("[fd00::1]:5".parse().unwrap());
        assert_eq!(parse_multiaddr(&multiaddr(&six)), Some((six, None)));
        for bad in [
            "/ip4/10.1.2.3/udp/1",
            "/dns4/a/tcp/1",
            "/ip4/10.1.2.3/tcp/1/ws",
            "/ip4/10.1.2.3",
            "10.1.2.3:4",
            "",
            "/ip4/1.2.3.4/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
        ] {
            assert_eq!(parse_multiaddr(bad), None, "{bad}");
        }
    }
}
