//! The network itself: a switch with a bridge for each subnet, a router between them, and hosts.

use super::delay::Delays;
use super::filter::Rule;
use super::host::{AtHost, Host};
use super::place::Place;
use super::{leftovers, tools};
use crate::fail::fail;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

/// Hosts and subnets; one switch, one router.
#[derive(Debug)]
pub struct Lab {
    id: String,
    hosts: Mutex<Vec<Arc<Place>>>,
    subnets: AtomicU8,
    numbers: AtomicU8,
    ports: AtomicU32,
    pub(super) rules: Mutex<Vec<Rule>>,
    pub(super) delays: Mutex<Delays>,
}

/// A network segment: everybody on it hears everybody's multicast.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subnet {
    pub(super) number: u8,
    routed: bool,
}

/// The router's number in every subnet.
const ROUTER: u8 = 254;
/// Addresses of one lab, over all its subnets.
const ADDRESSES: u8 = 250;

impl Subnet {
    fn net(self) -> u8 {
        if self.routed { 77 } else { 88 }
    }

    /// The IPv4 address with this number in it.
    pub(super) fn v4(self, number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, self.net(), self.number, number)
    }

    /// The unique local IPv6 address with this number in it.
    pub(super) fn v6(self, number: u8) -> Ipv6Addr {
        let net = if self.routed { 0xfd77 } else { 0xfd88 };
        Ipv6Addr::new(net, 0, 0, u16::from(self.number), 0, 0, 0, u16::from(number))
    }

    /// The router's addresses in it.
    pub(super) fn gateways(self) -> Option<(Ipv4Addr, Ipv6Addr)> {
        self.routed.then(|| (self.v4(ROUTER), self.v6(ROUTER)))
    }

    pub(super) fn bridge(self) -> String {
        format!("br{}", self.number)
    }
}

impl Lab {
    /// A network with one subnet and nobody on it.
    ///
    /// # Panics
    /// When this machine cannot make one; says what is missing.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        static TIDY: Once = Once::new();
        tools::check();
        TIDY.call_once(leftovers::remove);
        let id = format!("{}{}", leftovers::prefix(std::process::id()), NEXT.fetch_add(1, Ordering::Relaxed));
        let lab = Self {
            id,
            hosts: Mutex::default(),
            subnets: AtomicU8::new(0),
            numbers: AtomicU8::new(1),
            ports: AtomicU32::new(1),
            rules: Mutex::default(),
            delays: Mutex::default(),
        };
        for namespace in [lab.switch(), lab.router()] {
            tools::ip(&["netns", "add", &namespace]);
        }
        // Forwards unicast only: the kernel passes multicast on only where a multicast routing daemon asks for it.
        tools::sysctl_in(&lab.router(), &[("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")]);
        lab.subnet();
        lab
    }

    pub(super) fn switch(&self) -> String {
        format!("{}-sw", self.id)
    }

    fn router(&self) -> String {
        format!("{}-rt", self.id)
    }

    /// Its network namespaces.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        let hosts = self.places().into_iter().map(|place| place.namespace.clone());
        hosts.chain([self.router(), self.switch()]).collect()
    }

    /// The subnet that every lab has.
    #[must_use]
    pub fn main(&self) -> Subnet {
        Subnet { number: 0, routed: true }
    }

    /// A further subnet behind the router: unicast passes, multicast does not.
    #[track_caller]
    pub fn subnet(&self) -> Subnet {
        self.new_subnet(true)
    }

    /// A subnet of its own that nobody routes to, as a VPN's is.
    #[track_caller]
    pub fn vpn(&self) -> Subnet {
        self.new_subnet(false)
    }

    #[track_caller]
    fn new_subnet(&self, routed: bool) -> Subnet {
        let number = self.subnets.fetch_add(1, Ordering::Relaxed);
        let subnet = Subnet { number, routed };
        let (switch, router, bridge) = (self.switch(), self.router(), subnet.bridge());
        // Without a querier on the segment, snooping would only lose multicast.
        tools::ip_in(&switch, &format!("link add {bridge} type bridge mcast_snooping 0"));
        tools::ip_in(&switch, &format!("link set {bridge} addrgenmode none"));
        tools::ip_in(&switch, &format!("link set {bridge} up"));
        if let Some((v4, v6)) = subnet.gateways() {
            let leg = format!("leg{number}");
            tools::ip_in(&switch, &format!("link add {leg} type veth peer name {leg} netns {router}"));
            tools::ip_in(&switch, &format!("link set {leg} master {bridge} up"));
            // Addresses that are there at once.
            tools::ip_in(&router, &format!("link set {leg} addrgenmode none"));
            tools::ip_in(&router, &format!("link set {leg} up"));
            tools::ip_in(&router, &format!("addr add {v4}/24 dev {leg}"));
            for address in [v6, Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(ROUTER))] {
                tools::ip_in(&router, &format!("addr add {address}/64 dev {leg} nodad"));
            }
        }
        subnet
    }

    /// A new host on the main subnet.
    #[must_use]
    #[track_caller]
    pub fn host(&self) -> Host {
        self.host_on(self.main())
    }

    /// A new host on this subnet, with one adapter, `eth0`.
    #[must_use]
    #[track_caller]
    pub fn host_on(&self, subnet: Subnet) -> Host {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let place = Arc::new(Place::new(format!("{}-{}", self.id, hosts.len() + 1)));
        tools::ip(&["netns", "add", &place.namespace]);
        hosts.push(place.clone());
        drop(hosts);
        tools::ip_in(&place.namespace, "link set lo up");
        let host = Host { place: Some(place) };
        self.adapter(&host, "eth0", subnet);
        host
    }

    /// Everybody.
    pub(super) fn places(&self) -> Vec<Arc<Place>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A number that no address of this lab has yet.
    #[track_caller]
    pub(super) fn number(&self) -> u8 {
        match self.numbers.fetch_add(1, Ordering::Relaxed) {
            number if number < ADDRESSES => number,
            _ => fail(format_args!("a lab has at most {ADDRESSES} addresses")),
        }
    }

    /// A name for a port of the switch.
    pub(super) fn port(&self) -> String {
        format!("p{}", self.ports.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where somebody stands in this lab.
    #[track_caller]
    pub(super) fn place(&self, who: &impl AtHost) -> Arc<Place> {
        match &who.host().place {
            Some(place) if place.namespace.starts_with(&format!("{}-", self.id)) => place.clone(),
            _ => fail("this is no host of this lab"),
        }
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.delays.get_mut().unwrap_or_else(PoisonError::into_inner).end();
        // Adapters go with their namespaces.
        self.namespaces().iter().for_each(|name| leftovers::delete(name));
    }
}
