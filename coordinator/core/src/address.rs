//! Which addresses of a device are handed out, and whose share of a limit an address counts to.
//!
//! Keeps true: the observed address comes first; nothing that nobody could dial is handed out; loopback only when the
//! device reached the coordinator over loopback.

use crate::limits::MAX_OBSERVED_PORTS;
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::limits::MAX_ENDPOINTS;
use lanchat_proto::wire::Endpoint;
use std::net::IpAddr;

/// Addresses at which others may try a device that is seen at `observed` and tells `told`.
pub(crate) fn reachable(observed: Endpoint, told: &[Endpoint]) -> BoundedVec<Endpoint, MAX_ENDPOINTS> {
    let local = observed.ip().is_loopback();
    let told = || told.iter().copied().filter(|e| e.is_usable() && (local || !e.ip().is_loopback()));
    let mut ports: Vec<u16> = Vec::new();
    for port in told().map(|endpoint| endpoint.port()) {
        if ports.len() < MAX_OBSERVED_PORTS && !ports.contains(&port) {
            ports.push(port);
        }
    }
    let mut all: Vec<Endpoint> = Vec::new();
    for endpoint in ports.iter().map(|port| observed.with_port(*port)).chain(told()) {
        if endpoint.is_usable() && !all.contains(&endpoint) {
            all.push(endpoint);
        }
    }
    BoundedVec::first(all)
}

/// What counts as one address for limits: an IPv4 address, an IPv6 /64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Source([u8; 16]);

impl Source {
    /// The source that an endpoint belongs to.
    pub(crate) fn of(endpoint: Endpoint) -> Self {
        match endpoint.ip() {
            IpAddr::V4(ip) => Self(ip.to_ipv6_mapped().octets()),
            IpAddr::V6(ip) => {
                let mut octets = ip.octets();
                octets.iter_mut().skip(8).for_each(|octet| *octet = 0);
                Self(octets)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Endpoint {
        Endpoint::new(text.parse().unwrap())
    }

    fn texts(observed: &str, told: &[&str]) -> Vec<String> {
        let told: Vec<Endpoint> = told.iter().map(|text| at(text)).collect();
        reachable(at(observed), &told).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_observed_address_with_the_told_port_comes_first() {
        let got = texts("192.168.1.5:50000", &["10.9.0.2:7420", "192.168.1.5:7420"]);
        assert_eq!(got, ["192.168.1.5:7420", "10.9.0.2:7420"]);
    }

    #[test]
    fn loopback_is_kept_only_for_one_who_came_over_it() {
        assert_eq!(texts("192.168.1.5:5", &["127.0.0.1:7420"]), Vec::<String>::new());
        assert_eq!(texts("127.0.0.1:5", &["127.0.0.1:9", "10.0.0.1:9"]), ["127.0.0.1:9", "10.0.0.1:9"]);
    }

    #[test]
    fn what_nobody_can_dial_is_dropped_and_the_list_is_bounded() {
        assert_eq!(
            texts("10.0.0.1:5", &["0.0.0.0:7420", "[fe80::1]:7420", "10.0.0.2:0"]),
            Vec::<String>::new()
        );
        let many: Vec<Endpoint> = (1..100).map(|n| at(&format!("10.1.0.{n}:{}", 7000 + n))).collect();
        let got = reachable(at("10.0.0.1:5"), &many);
        assert_eq!(got.len(), MAX_ENDPOINTS);
        assert_eq!(got.iter().filter(|e| e.ip() == at("10.0.0.1:1").ip()).count(), MAX_OBSERVED_PORTS);
    }

    #[test]
    fn an_ipv6_network_is_one_source_and_an_ipv4_address_another() {
        assert_eq!(Source::of(at("[fd00::1]:1")), Source::of(at("[fd00::9]:2")));
        assert_ne!(Source::of(at("[fd00:0:0:1::1]:1")), Source::of(at("[fd00::9]:2")));
        assert_ne!(Source::of(at("10.0.0.1:1")), Source::of(at("10.0.0.2:1")));
    }
}
