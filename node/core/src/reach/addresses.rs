//! Addresses of a device: where each comes from, how long it counts, and in which order they are tried.
//!
//! Keeps true: an address that nobody could use, or that is this machine's own, is never tried; a device has at most
//! [`MAX_ENDPOINTS`] of them. The order: the same machine, then the own subnets, then what routers reach, then the
//! subnets of virtual adapters (VPN, containers). The rules: `docs/protocol.md#reach`.

use crate::view::Source;
use lanchat_proto::limits::MAX_ENDPOINTS;
use lanchat_proto::wire::Endpoint;
use std::net::IpAddr;

/// An own adapter's address with its subnet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subnet {
    /// The own address.
    pub ip: IpAddr,
    /// Leading bits that all addresses of the subnet share.
    pub prefix: u8,
    /// Whether the adapter is a virtual one: VPN, bridge of containers or virtual machines.
    pub is_virtual: bool,
}

impl Subnet {
    /// Whether an address lies in the subnet.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let same = |a: &[u8], b: &[u8]| {
            let mut bits = usize::from(self.prefix);
            a.iter().zip(b).all(|(a, b)| {
                let here = u32::try_from(bits.min(8)).unwrap_or(8);
                bits = bits.saturating_sub(8);
                (a ^ b).leading_zeros() >= here
            })
        };
        match (self.ip, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(&a.octets(), &b.octets()),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(&a.octets(), &b.octets()),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Where this machine is on the network.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// Addresses on which this node listens, best first.
    pub(crate) listening: Vec<Endpoint>,
    /// The subnets of its adapters; empty where the shell cannot tell.
    pub(crate) subnets: Vec<Subnet>,
}

impl Place {
    fn is_own(&self, ip: IpAddr) -> bool {
        self.listening.iter().any(|own| own.ip() == ip) || self.subnets.iter().any(|own| own.ip == ip)
    }

    /// 1: an own subnet, 2: elsewhere, 3: the subnet of a virtual adapter.
    fn class(&self, ip: IpAddr) -> u8 {
        let mut inside = self.subnets.iter().filter(|own| own.contains(ip)).peekable();
        if inside.peek().is_some() {
            return if inside.all(|own| own.is_virtual) { 3 } else { 1 };
        }
        let near = |own: &Endpoint| guessed(own.ip()).contains(ip);
        if self.subnets.is_empty() && self.listening.iter().any(near) { 1 } else { 2 }
    }
}

/// The usual size of a subnet, for a machine that cannot tell its own.
fn guessed(ip: IpAddr) -> Subnet {
    Subnet { ip, prefix: if ip.is_ipv4() { 24 } else { 64 }, is_virtual: false }
}

/// What is known of where a device is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hints<'a> {
    /// What the coordinator says while the device is on: the observed address first, then what the device told.
    pub(crate) told: &'a [Endpoint],
    /// What was announced on the own network.
    pub(crate) announced: &'a [Endpoint],
    /// The address of the last good link.
    pub(crate) last: Option<Endpoint>,
    /// Whether the device runs on this machine.
    pub(crate) same_host: bool,
}

/// Usable addresses with their sources, best first. Loopback and other addresses of this machine count on the same machine
/// only, or when the last good address is all that is known. What is announced at one of them comes from here: an
/// announcement names addresses of the adapter that it leaves by.
pub(crate) fn ranked(hints: Hints<'_>, place: &Place) -> Vec<(Endpoint, Source)> {
    let only_last = hints.told.is_empty() && hints.announced.is_empty();
    let last = hints.last.iter().map(|endpoint| (*endpoint, Source::LastLink));
    let announced = hints.announced.iter().map(|endpoint| (*endpoint, Source::Announced));
    let told = hints.told.iter().map(|endpoint| (*endpoint, Source::Coordinator));
    let mut rows: Vec<(u8, usize, Endpoint, Source)> = Vec::new();
    for (at, (endpoint, source)) in last.chain(announced).chain(told).enumerate() {
        let loopback = endpoint.ip().is_loopback();
        let known = rows.iter().any(|(_, _, other, _)| *other == endpoint);
        let local = loopback || place.is_own(endpoint.ip());
        let here = hints.same_host || only_last || source == Source::Announced;
        let itself = place.listening.contains(&endpoint) && !hints.same_host;
        if known || itself || (local && !here) || !endpoint.is_usable() {
            continue;
        }
        let class = if loopback { 0 } else { place.class(endpoint.ip()) };
        rows.push((class, at, endpoint, source));
    }
    rows.sort_unstable_by_key(|(class, at, ..)| (*class, *at));
    rows.into_iter().map(|(_, _, endpoint, source)| (endpoint, source)).take(MAX_ENDPOINTS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Endpoint {
        Endpoint::new(text.parse().unwrap())
    }

    fn order(hints: Hints<'_>, place: &Place) -> Vec<Endpoint> {
        ranked(hints, place).into_iter().map(|(endpoint, _)| endpoint).collect()
    }

    fn subnet(text: &str, prefix: u8, is_virtual: bool) -> Subnet {
        Subnet { ip: text.parse().unwrap(), prefix, is_virtual }
    }

    #[test]
    fn near_addresses_come_first_and_loopback_only_on_one_machine() {
        let place = Place { listening: vec![at("192.168.7.2:7420")], subnets: Vec::new() };
        let told = [at("10.0.0.5:1"), at("127.0.0.1:1"), at("192.168.7.9:1"), at("0.0.0.0:1")];
        let hints = Hints { told: &told, last: Some(at("10.0.0.9:1")), ..Hints::default() };
        assert_eq!(order(hints, &place), [at("192.168.7.9:1"), at("10.0.0.9:1"), at("10.0.0.5:1")]);
        let same_host = Hints { same_host: true, ..hints };
        assert_eq!(order(same_host, &place).first(), Some(&at("127.0.0.1:1")));
        let last = Hints { last: Some(at("127.0.0.1:9")), ..Hints::default() };
        assert_eq!(order(last, &place), [at("127.0.0.1:9")]);
    }

    #[test]
    fn a_vpn_comes_after_the_cable_and_what_routers_reach() {
        let subnets = vec![subnet("10.8.0.2", 24, true), subnet("192.168.4.2", 22, false)];
        let place = Place { listening: Vec::new(), subnets };
        let told = [at("10.8.0.7:1"), at("172.20.1.1:1"), at("192.168.7.7:1"), at("192.168.8.7:1")];
        let hints = Hints { told: &told, ..Hints::default() };
        assert_eq!(
            order(hints, &place),
            [at("192.168.7.7:1"), at("172.20.1.1:1"), at("192.168.8.7:1"), at("10.8.0.7:1")]
        );
    }

    #[test]
    fn an_address_that_is_this_machines_own_is_another_devices_only_on_this_machine() {
        let place = Place { listening: Vec::new(), subnets: vec![subnet("172.17.0.1", 16, true)] };
        let told = [at("172.17.0.1:7420"), at("192.168.1.5:7420")];
        let hints = Hints { told: &told, ..Hints::default() };
        assert_eq!(order(hints, &place), [at("192.168.1.5:7420")]);
        let same_host = Hints { same_host: true, ..hints };
        assert_eq!(order(same_host, &place).len(), 2);
    }

    #[test]
    fn whoever_is_announced_at_an_address_of_this_machine_runs_on_it() {
        let place = Place {
            listening: vec![at("192.168.1.5:7420")],
            subnets: vec![subnet("192.168.1.5", 24, false)],
        };
        let announced = [at("192.168.1.5:7420"), at("192.168.1.5:7424"), at("127.0.0.1:7424")];
        let hints = Hints { announced: &announced, ..Hints::default() };
        assert_eq!(order(hints, &place), [at("127.0.0.1:7424"), at("192.168.1.5:7424")]);
    }

    #[test]
    fn a_prefix_that_is_no_whole_number_of_bytes_is_taken_by_its_bits() {
        let net = subnet("10.1.2.3", 20, false);
        assert!(net.contains("10.1.15.255".parse().unwrap()));
        assert!(!net.contains("10.1.16.0".parse().unwrap()));
        assert!(!net.contains("fd00::1".parse().unwrap()));
        assert!(subnet("10.1.2.3", 0, false).contains("200.1.1.1".parse().unwrap()));
    }
}
