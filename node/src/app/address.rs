//! Coordinator addresses as people give them, their look-up, and the search for one in the own network.
//!
//! Keeps true: what is found in the network is only where to ask; who answers there is proved and confirmed as at any
//! other address.

use crate::handle::EnrolError;
use lanchat_net::{Announced, Discovery, DiscoveryConfig, DiscoveryEvent, DiscoveryState, Found, Service};
use lanchat_proto::ids::{DeviceId, RealmId};
use lanchat_proto::join::{JOIN_PREFIX, JoinLink};
use lanchat_proto::limits::MAX_ENDPOINTS;
use lanchat_proto::version::COORDINATOR_PORT;
use lanchat_proto::wire::Endpoint;
use std::collections::BTreeMap;
use std::time::Duration;

/// Time for one name to be looked up.
const LOOK_UP: Duration = Duration::from_secs(3);
/// Time for coordinators to be found in the own network.
const SEARCH: Duration = Duration::from_secs(3);
/// Time that others have after the first one was found.
const SEARCH_ON: Duration = Duration::from_secs(1);
/// Coordinators that a search remembers; further ones are left out.
const MAX_FOUND: usize = 32;
/// Organisations that are named where there are several.
const MAX_NAMED: usize = 8;
/// What stands for whichever coordinator the own network has.
const AUTO: &str = "auto";

/// Where a coordinator is said to be, and what is known of it from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorAddress {
    /// `host:port`, one or more; none: to be found in the own network by mDNS.
    pub addresses: Vec<String>,
    /// The key that it must have.
    pub device: Option<DeviceId>,
    /// The organisation that it must serve.
    pub realm: Option<RealmId>,
    /// An invite.
    pub invite: Option<String>,
}

impl CoordinatorAddress {
    /// Reads a join link, `host`, `host:port`, `[v6]:port`, multiaddr or `auto`.
    ///
    /// # Errors
    /// [`EnrolError::Address`].
    pub fn parse(text: &str) -> Result<Self, EnrolError> {
        let text = text.trim();
        let bad = || EnrolError::Address(text.to_owned());
        if text == AUTO {
            return Ok(Self { addresses: Vec::new(), device: None, realm: None, invite: None });
        }
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

    /// Whether it is to be found in the own network.
    #[must_use]
    pub fn is_auto(&self) -> bool {
        self.addresses.is_empty()
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

/// Coordinators that were found, by the organisation that they name.
type FoundOnes = BTreeMap<RealmId, BTreeMap<DeviceId, Vec<Endpoint>>>;

/// Looks for a coordinator in the own network, without announcing this device.
///
/// # Errors
/// [`EnrolError::NotFound`], [`EnrolError::SeveralFound`].
pub(crate) async fn find(device: DeviceId, loopback: bool) -> Result<CoordinatorAddress, EnrolError> {
    let announced = Announced { realm: RealmId::OPEN, listen: Vec::new() };
    let mut config = DiscoveryConfig::new(device, Service::Node, announced);
    config.browse = vec![Service::Coordinator];
    config.loopback = loopback;
    let (discovery, mut events) = Discovery::start(config);
    let mut found = FoundOnes::new();
    let mut until = tokio::time::Instant::now() + SEARCH;
    while let Ok(Some(event)) = tokio::time::timeout_at(until, events.recv()).await {
        if found.is_empty() {
            until = until.min(tokio::time::Instant::now() + SEARCH_ON);
        }
        take(&mut found, event);
    }
    let state = discovery.status().state;
    discovery.stop().await;
    match state {
        DiscoveryState::Waiting(error) if found.is_empty() => Err(EnrolError::NotFound(error.to_string())),
        _ => choose(&found),
    }
}

fn take(found: &mut FoundOnes, event: DiscoveryEvent) {
    match event {
        DiscoveryEvent::Found(Found { service: Service::Coordinator, device, realm, endpoints, .. })
            if realm != RealmId::OPEN =>
        {
            let room = found.values().map(BTreeMap::len).sum::<usize>() < MAX_FOUND;
            let known = found.get(&realm).is_some_and(|coordinators| coordinators.contains_key(&device));
            if room || known {
                found.entry(realm).or_default().insert(device, endpoints);
            }
        }
        DiscoveryEvent::Lost(lost) => {
            if let Some(coordinators) = found.get_mut(&lost.realm) {
                coordinators.remove(&lost.device);
            }
            found.retain(|_, coordinators| !coordinators.is_empty());
        }
        DiscoveryEvent::Found(_) => {}
    }
}

/// The coordinators of the only organisation that was found. Which one it is, is not believed yet.
fn choose(found: &FoundOnes) -> Result<CoordinatorAddress, EnrolError> {
    let addresses = |coordinators: &BTreeMap<DeviceId, Vec<Endpoint>>| -> Vec<String> {
        coordinators.values().flatten().map(Endpoint::to_string).take(MAX_ENDPOINTS).collect()
    };
    let mut all = found.iter();
    match (all.next(), all.next()) {
        (None, _) => Err(EnrolError::NotFound("no coordinator is announced in the local network".to_owned())),
        (Some((_, coordinators)), None) => Ok(CoordinatorAddress {
            addresses: addresses(coordinators),
            device: None,
            realm: None,
            invite: None,
        }),
        (Some(_), Some(_)) => Err(EnrolError::SeveralFound(
            found
                .iter()
                .take(MAX_NAMED)
                .map(|(realm, coordinators)| {
                    let at = addresses(coordinators).into_iter().next().unwrap_or_default();
                    format!("{} ({at})", realm.fingerprint())
                })
                .collect(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanchat_net::Lost;

    fn found(realm: u8, device: u8, place: &str) -> DiscoveryEvent {
        let endpoints = vec![Endpoint::new(place.parse().unwrap())];
        let (device, realm) = (DeviceId([device; 32]), RealmId([realm; 32]));
        DiscoveryEvent::Found(Found { service: Service::Coordinator, device, realm, endpoints, version: 1 })
    }

    fn chosen(events: Vec<DiscoveryEvent>) -> Result<Vec<String>, EnrolError> {
        let mut all = FoundOnes::new();
        events.into_iter().for_each(|event| take(&mut all, event));
        choose(&all).map(|address| address.addresses)
    }

    #[test]
    fn only_one_organisation_is_taken_without_a_question() {
        let (a, b) = ("10.0.0.5:7422", "10.0.0.6:7422");
        assert!(matches!(chosen(vec![]), Err(EnrolError::NotFound(_))));
        assert_eq!(chosen(vec![found(1, 1, a), found(1, 2, b)]).unwrap(), [a, b]);
        let Err(error) = chosen(vec![found(1, 1, a), found(2, 2, b)]) else { panic!() };
        let line = error.to_string();
        for realm in [1, 2] {
            assert!(line.contains(&RealmId([realm; 32]).fingerprint()), "{line}");
        }
        assert!(line.contains(a) && line.contains(b) && line.contains("--coordinator"), "{line}");
        let lost = Lost { service: Service::Coordinator, device: DeviceId([2; 32]), realm: RealmId([2; 32]) };
        let gone = vec![found(1, 1, a), found(2, 2, b), DiscoveryEvent::Lost(lost)];
        assert_eq!(chosen(gone).unwrap(), [a]);
    }

    #[test]
    fn whoever_announces_many_is_remembered_within_bounds() {
        let flood = (0..=255).map(|n| found(n, n, "10.0.0.5:7422")).collect();
        let Err(EnrolError::SeveralFound(named)) = chosen(flood) else { panic!() };
        assert_eq!(named.len(), MAX_NAMED);
    }

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
        assert!(CoordinatorAddress::parse(" auto ").unwrap().is_auto());
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
