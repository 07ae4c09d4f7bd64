//! Announcements as DNS-SD records: written for this device, read from others.
//!
//! Keeps true: a written name is unique to the device and says nothing of its user; what is read is hostile, and either
//! fits entirely or is left out. Keys: `v` protocol version, `id` peer id, `org` the realm in hex or `open`.

use super::{Announced, Service};
use crate::address::{parse_peer_id, peer_id_string};
use crate::limits::MAX_ANNOUNCED_PORTS;
use lanchat_proto::ids::{DeviceId, RealmId};
use lanchat_proto::limits::MAX_ENDPOINTS;
use lanchat_proto::version::Version;
use lanchat_proto::wire::Endpoint;
use mdns_sd::{IfKind, IfPredicate, ResolvedService, ServiceInfo};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// How `org` names the LAN without a coordinator.
const OPEN: &str = "open";
/// Digits of the device's key in the names; enough that no two devices ever share them.
const NAME_DIGITS: usize = 16;

/// An announcement of another device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) device: DeviceId,
    pub(crate) realm: RealmId,
    /// Usable ones, sorted, at least one and at most [`MAX_ENDPOINTS`].
    pub(crate) endpoints: Vec<Endpoint>,
    pub(crate) version: u16,
}

/// Why an announcement is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Its keys have not arrived yet; what was known before still holds.
    Incomplete,
    /// It says something that is none of ours.
    Bad(&'static str),
}

/// Reads an announcement.
pub(crate) fn read(resolved: &ResolvedService, loopback: bool) -> Result<Record, Unreadable> {
    // Keys are compared without case, and the first of several equal ones counts (RFC 6763 §6.4).
    let value = |wanted: &str| {
        let found = resolved.txt_properties.iter().find(|one| one.key().eq_ignore_ascii_case(wanted));
        found.map(|one| std::str::from_utf8(one.val().unwrap_or_default()).unwrap_or_default())
    };
    let id = value("id").ok_or(Unreadable::Incomplete)?;
    let device = parse_peer_id(id).ok_or(Unreadable::Bad("id"))?;
    let realm = match value("org").ok_or(Unreadable::Bad("org"))? {
        OPEN => RealmId::OPEN,
        hex => hex.parse().map_err(|_| Unreadable::Bad("org"))?,
    };
    let version = value("v").and_then(|digits| digits.parse().ok()).filter(|version| *version > 0);
    let version = version.ok_or(Unreadable::Bad("v"))?;
    let endpoints: BTreeSet<Endpoint> = resolved
        .addresses
        .iter()
        .map(|address| Endpoint::new(SocketAddr::new(address.to_ip_addr(), resolved.port)))
        .filter(|endpoint| passes(endpoint, loopback))
        .collect();
    if endpoints.is_empty() {
        return Err(Unreadable::Bad("addresses"));
    }
    let endpoints = endpoints.into_iter().take(MAX_ENDPOINTS).collect();
    Ok(Record { device, realm, endpoints, version })
}

/// Whether another device could use this address.
fn passes(endpoint: &Endpoint, loopback: bool) -> bool {
    endpoint.is_usable() && (loopback || !endpoint.ip().is_loopback())
}

/// Writes the announcements of a device, one for each port.
///
/// # Errors
/// What `mdns-sd` does not like about them; nothing that a device can be or say makes it so.
pub(crate) fn write(
    device: &DeviceId,
    service: Service,
    announced: &Announced,
    loopback: bool,
) -> Result<Vec<ServiceInfo>, mdns_sd::Error> {
    let mut ports: BTreeMap<u16, Vec<Endpoint>> = BTreeMap::new();
    for endpoint in announced.listen.iter().filter(|endpoint| endpoint.port() != 0) {
        ports.entry(endpoint.port()).or_default().push(*endpoint);
    }
    let id = peer_id_string(device);
    let realm = &announced.realm;
    let org = if *realm == RealmId::OPEN { OPEN.to_owned() } else { realm.to_string() };
    let version = Version::ALL.first().map_or(1, |newest| newest.number()).to_string();
    let keys = [("v", version), ("id", id), ("org", org)];
    let digits: String = device.to_string().chars().take(NAME_DIGITS).collect();
    let write_one = |(index, (port, listen)): (usize, (u16, Vec<Endpoint>))| {
        let name = if index == 0 { digits.clone() } else { format!("{digits}-{}", index + 1) };
        let host = format!("lanchat-{name}.local.");
        let mut info = ServiceInfo::new(service.dns_name(), &name, &host, (), port, &keys[..])?;
        // The names come from a key that nobody else has, so asking whether they are free would only delay (RFC 6762
        // §8.1), and would let a second adapter in the same network, or anybody else, make us change them.
        info.set_requires_probe(false);
        let speaks = IfPredicate::new(move |adapter| announces(&listen, adapter.ip(), port, loopback));
        info.set_interfaces(vec![IfKind::Predicate(speaks)]);
        Ok(info.enable_addr_auto())
    };
    ports.into_iter().take(MAX_ANNOUNCED_PORTS).enumerate().map(write_one).collect()
}

/// Whether a device that listens there is announced at this address of an adapter.
fn announces(listen: &[Endpoint], address: IpAddr, port: u16, loopback: bool) -> bool {
    let listens = listen.iter().any(|endpoint| {
        let ip = endpoint.ip();
        ip == address || (ip.is_unspecified() && ip.is_ipv4() == address.is_ipv4())
    });
    listens && passes(&Endpoint::new(SocketAddr::new(address, port)), loopback)
}

#[cfg(test)]
mod tests;
