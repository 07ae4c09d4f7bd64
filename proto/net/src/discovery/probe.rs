//! Whether mDNS can run here at all, and on which adapters: asked beforehand, since `mdns-sd` itself only stays silent.
//!
//! Keeps true: names the adapters that `mdns-sd` would take; the sockets that try it out are closed again.

use super::DiscoveryError;
use if_addrs::Interface;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

/// Adapters for mDNS, one entry for each address: those that are up, without tunnels and Apple's radio links.
pub(crate) fn interfaces(loopback: bool) -> Vec<Interface> {
    let mut all = if_addrs::get_if_addrs().unwrap_or_default();
    all.retain(|one| {
        let radio = one.name.starts_with("awdl") || one.name.starts_with("llw");
        one.is_oper_up() && !one.is_p2p() && !radio && (loopback || !one.is_loopback())
    });
    all
}

/// Tries to open the port and to take part in multicast on one adapter at least.
///
/// # Errors
/// What is in the way.
pub(crate) fn check(port: u16, loopback: bool) -> Result<(), DiscoveryError> {
    let interfaces = interfaces(loopback);
    if interfaces.is_empty() {
        return Err(DiscoveryError::NoInterface);
    }
    let v4 = open(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
    let v6 = open(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    if let (Err(error), Err(_)) = (&v4, &v6) {
        return Err(DiscoveryError::Port { port, reason: error.to_string() });
    }
    let mut reason = String::new();
    for interface in &interfaces {
        let joined = match interface.ip() {
            IpAddr::V4(ip) => v4.as_ref().map(|socket| socket.join_multicast_v4(&GROUP_V4, &ip)),
            IpAddr::V6(_) => {
                let index = interface.index.unwrap_or_default();
                v6.as_ref().map(|socket| socket.join_multicast_v6(&GROUP_V6, index))
            }
        };
        match joined {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => reason = format!("{}: {error}", interface.name),
            // The other family's socket is there; this one's failure is no news.
            Err(error) => reason = error.to_string(),
        }
    }
    Err(DiscoveryError::NoMulticast(reason))
}

/// A socket on the shared port, as `mdns-sd` opens it.
fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
