//! Coordinator addresses as people give them, and their look-up.

use crate::handle::EnrolError;
use lanchat_proto::ids::{DeviceId, RealmId};
use lanchat_proto::join::{JOIN_PREFIX, JoinLink};
use lanchat_proto::limits::MAX_ENDPOINTS;
use lanchat_proto::version::COORDINATOR_PORT;
use lanchat_proto::wire::Endpoint;
use std::time::Duration;

/// Time for one name to be looked up.
const LOOK_UP: Duration = Duration::from_secs(3);

/// Where a coordinator is said to be, and what is known of it from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorAddress {
    /// `host:port`, one or more.
    pub addresses: Vec<String>,
    /// The key that it must have.
    pub device: Option<DeviceId>,
    /// The organisation that it must serve.
    pub realm: Option<RealmId>,
    /// An invite.
    pub invite: Option<String>,
}

impl CoordinatorAddress {
    /// Reads a join link, `host`, `host:port`, `[v6]:port` or multiaddr.
    ///
    /// # Errors
    /// [`EnrolError::Address`].
    pub fn parse(text: &str) -> Result<Self, EnrolError> {
        let text = text.trim();
        let bad = || EnrolError::Address(text.to_owned());
        if text.starts_with(JOIN_PREFIX) {
            let link: JoinLink = text.parse().map_err(|_| bad())?;
            return Ok(Self {
                addresses: link.addresses,
                device: Some(link.coordinator),
                realm: Some(link.realm),
                invite: link.invite,
            });
        }
        let (address, device) = if text.starts_with('/') {
            multiaddr(text).ok_or_else(bad)?
        } else {
            (host_port(text).ok_or_else(bad)?, None)
        };
        Ok(Self { addresses: vec![address], device, realm: None, invite: None })
    }
}

/// `/ip4|ip6|dns/HOST/tcp/PORT[/p2p/ID]` as `host:port` and key.
fn multiaddr(text: &str) -> Option<(String, Option<DeviceId>)> {
    let mut parts = text.strip_prefix('/')?.split('/');
    let host = match (parts.next()?, parts.next()?) {
        ("ip4", host) => host.parse::<std::net::Ipv4Addr>().ok()?.to_string(),
        ("ip6", host) => format!("[{}]", host.parse::<std::net::Ipv6Addr>().ok()?),
        ("dns" | "dns4" | "dns6", host) => host_port(host)?.rsplit_once(':')?.0.to_owned(),
        _ => return None,
    };
    let port = match (parts.next()?, parts.next()?.parse::<u16>()) {
        ("tcp", Ok(port)) => port,
        _ => return None,
    };
    let device = match (parts.next(), parts.next()) {
        (None, None) => None,
        (Some("p2p"), Some(id)) => Some(lanchat_net::parse_peer_id(id)?),
        _ => return None,
    };
    parts.next().is_none().then(|| (format!("{host}:{port}"), device))
}

fn host_port(text: &str) -> Option<String> {
    let plain = |host: &str| {
        !host.is_empty()
            && host.len() <= 253
            && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    if let Ok(address) = text.parse::<std::net::SocketAddr>() {
        return Some(address.to_string());
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>() {
        return Some(format!("[{ip}]:{COORDINATOR_PORT}"));
    }
    match text.rsplit_once(':') {
        Some((host, port)) => (plain(host) && port.parse::<u16>().is_ok()).then(|| text.to_owned()),
        None => plain(text).then(|| format!("{text}:{COORDINATOR_PORT}")),
    }
}

/// Looks addresses up; those that cannot be resolved are left out.
pub async fn resolve(addresses: &[String]) -> Vec<Endpoint> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for address in addresses.iter().take(MAX_ENDPOINTS) {
        if let Ok(socket) = address.parse::<std::net::SocketAddr>() {
            endpoints.push(Endpoint::new(socket));
        } else if let Ok(Ok(found)) = tokio::time::timeout(LOOK_UP, tokio::net::lookup_host(address)).await {
            endpoints.extend(found.map(Endpoint::new).take(4));
        }
    }
    endpoints.truncate(MAX_ENDPOINTS);
    endpoints
}

/// What was looked up, then what is announced on the own network: anybody can announce, so that never crowds out the rest.
#[must_use]
pub fn with_announced(mut endpoints: Vec<Endpoint>, announced: &[Endpoint]) -> Vec<Endpoint> {
    endpoints.truncate(MAX_ENDPOINTS.saturating_sub(announced.len()));
    for endpoint in announced {
        if !endpoints.contains(endpoint) && endpoints.len() < MAX_ENDPOINTS {
            endpoints.push(*endpoint);
        }
    }
    endpoints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Option<String> {
        CoordinatorAddress::parse(text).ok().and_then(|address| address.addresses.into_iter().next())
    }

    #[test]
    fn every_form_of_address_is_read() {
        assert_eq!(one("office").as_deref(), Some("office:7422"));
        assert_eq!(one("office.example:99").as_deref(), Some("office.example:99"));
        assert_eq!(one("10.0.0.5").as_deref(), Some("10.0.0.5:7422"));
        assert_eq!(one("10.0.0.5:1").as_deref(), Some("10.0.0.5:1"));
        assert_eq!(one("fd00::1").as_deref(), Some("[fd00::1]:7422"));
        assert_eq!(one("[fd00::1]:5").as_deref(), Some("[fd00::1]:5"));
        assert_eq!(one("/ip4/10.0.0.5/tcp/7").as_deref(), Some("10.0.0.5:7"));
        assert_eq!(one("/ip6/fd00::1/tcp/7").as_deref(), Some("[fd00::1]:7"));
        assert_eq!(one("/dns/office/tcp/7").as_deref(), Some("office:7"));
        for bad in [
            "",
            "a b",
            "a:b:c",
            "/ip4/x/tcp/1",
            "/ip4/1.2.3.4/udp/1",
            "lanchat://join/x",
            "a:99999",
            "http://a",
        ] {
            assert_eq!(one(bad), None, "{bad}");
        }
    }
}
