//! Payloads of the frames in [`crate::frame::Kind`]. Frozen once released: new data is a new struct under a new kind.

pub mod blob;
pub mod coordinator;
pub mod link;
pub mod reach;

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A TCP address of a device: IPv6, or IPv4 mapped into it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    ip: [u8; 16],
    port: u16,
}

impl Endpoint {
    /// The endpoint at this address; a scope is dropped, since it means nothing elsewhere.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        Self { ip: ip.octets(), port: address.port() }
    }

    /// As a socket address, IPv4 unmapped.
    #[must_use]
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.ip(), self.port)
    }

    /// The IP address, IPv4 unmapped.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        Ipv6Addr::from(self.ip).to_canonical()
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same host at another port.
    #[must_use]
    pub fn with_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// Whether another device could ever use it: no wildcard, multicast, link-local or zero port. Loopback passes;
    /// who may use that is decided by [`crate::ids::HostId`].
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let local = match self.ip() {
            IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        self.port != 0 && !local && !self.ip().is_unspecified() && !self.ip().is_multicast()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket().fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_others_could_use_are_usable() {
        let usable = |text: &str| Endpoint::new(text.parse().unwrap()).is_usable();
        for good in ["192.168.1.2:7420", "127.0.0.1:1", "[fd00::1]:7420", "[::1]:9"] {
            assert!(usable(good), "{good}");
        }
        for bad in
            ["0.0.0.0:7420", "169.254.1.1:7420", "[fe80::1]:7420", "[::]:1", "10.0.0.1:0", "224.0.0.1:5"]
        {
            assert!(!usable(bad), "{bad}");
        }
        assert_eq!(Endpoint::new("10.0.0.1:5".parse().unwrap()).to_string(), "10.0.0.1:5");
    }
}
