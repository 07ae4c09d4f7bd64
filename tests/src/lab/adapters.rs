//! Cables and adapters: pulled, plugged in, added, dead; and addresses that change.

use super::host::AtHost;
use super::network::{Lab, Subnet};
use super::place::{Adapter, Place};
use super::tools::ip_in;
use crate::fail::fail;
use std::net::{Ipv4Addr, Ipv6Addr};

/// How an adapter is of no use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dead {
    /// It is up, but there is no cable in it.
    Unplugged,
    /// The cable has a carrier and nobody at its other end.
    Nowhere,
}

impl Lab {
    /// A further adapter with addresses on a subnet; its IPv4 address. Name it `tun0` for one that looks like a VPN's.
    ///
    /// # Panics
    /// When it cannot be made.
    #[track_caller]
    pub fn adapter(&self, who: &impl AtHost, name: &str, subnet: Subnet) -> Ipv4Addr {
        let number = self.number();
        let adapter = Adapter {
            name: name.to_owned(),
            port: self.port(),
            subnet: Some(subnet),
            v4: subnet.v4(number),
            v6: subnet.v6(number),
            link_local: link_local(subnet.number, number),
            more: Vec::new(),
        };
        let address = adapter.v4;
        let place = self.place(who);
        self.fit(&place, &adapter);
        ip_in(&self.switch(), &format!("link set {} master {} up", adapter.port, subnet.bridge()));
        let first = place.adapters().is_empty();
        place.adapters().push(adapter);
        if first {
            route(&place, subnet);
        }
        self.apply();
        address
    }

    /// A further adapter that leads nowhere, with addresses that look as good as any; its IPv4 address.
    ///
    /// # Panics
    /// When it cannot be made.
    #[track_caller]
    pub fn dead_adapter(&self, who: &impl AtHost, name: &str, how: Dead) -> Ipv4Addr {
        let number = self.number();
        let adapter = Adapter {
            name: name.to_owned(),
            port: self.port(),
            subnet: None,
            v4: Ipv4Addr::new(192, 168, number, number),
            v6: Ipv6Addr::new(0xfd99, 0, 0, u16::from(number), 0, 0, 0, 1),
            link_local: link_local(99, number),
            more: Vec::new(),
        };
        let address = adapter.v4;
        let place = self.place(who);
        self.fit(&place, &adapter);
        let state = if how == Dead::Nowhere { "up" } else { "down" };
        ip_in(&self.switch(), &format!("link set {} {state}", adapter.port));
        place.adapters().push(adapter);
        address
    }

    /// Makes the adapter, with its addresses, at the host.
    #[track_caller]
    fn fit(&self, place: &Place, adapter: &Adapter) {
        let Adapter { name, port, v4, v6, link_local, .. } = adapter;
        let host = &place.namespace;
        ip_in(&self.switch(), &format!("link add {port} type veth peer name {name} netns {host}"));
        // Nobody speaks at the switch's end of the cable.
        ip_in(&self.switch(), &format!("link set {port} addrgenmode none"));
        // Addresses that stories can name, and that are there at once.
        ip_in(host, &format!("link set {name} addrgenmode none"));
        ip_in(host, &format!("link set {name} up"));
        ip_in(host, &format!("addr add {v4}/24 brd + dev {name}"));
        ip_in(host, &format!("addr add {v6}/64 dev {name} nodad"));
        ip_in(host, &format!("addr add {link_local}/64 dev {name} nodad"));
    }

    /// Pulls the cables of a host. It notices: the adapters lose their carrier and keep their addresses.
    ///
    /// # Panics
    /// When that does not work.
    #[track_caller]
    pub fn cut(&self, who: &impl AtHost) {
        self.cables(who, "down");
    }

    /// Plugs the cables of a host in again.
    ///
    /// # Panics
    /// When that does not work.
    #[track_caller]
    pub fn plug(&self, who: &impl AtHost) {
        self.cables(who, "up");
        let place = self.place(who);
        // IPv6 addresses of an adapter without carrier may have gone; what is there already stays.
        for adapter in place.adapters().iter().filter(|adapter| adapter.subnet.is_some()) {
            let Adapter { name, v6, link_local, .. } = adapter;
            ip_in(&place.namespace, &format!("addr replace {v6}/64 dev {name} nodad"));
            ip_in(&place.namespace, &format!("addr replace {link_local}/64 dev {name} nodad"));
        }
    }

    #[track_caller]
    fn cables(&self, who: &impl AtHost, state: &str) {
        for adapter in self.place(who).adapters().iter().filter(|adapter| adapter.subnet.is_some()) {
            ip_in(&self.switch(), &format!("link set {} {state}", adapter.port));
        }
    }

    /// Gives the first adapter another IPv4 and IPv6 address of its subnet in place of those it has, as DHCP does
    /// after a lease has run out. Returns the IPv4 address.
    ///
    /// # Panics
    /// When that does not work.
    #[track_caller]
    pub fn new_address(&self, who: &impl AtHost) -> Ipv4Addr {
        self.move_to(who, self.subnet_of(who))
    }

    /// Takes a host's first cable to another subnet (a laptop carried to another floor); its new IPv4 address.
    ///
    /// # Panics
    /// When that does not work.
    #[track_caller]
    pub fn move_to(&self, who: &impl AtHost, subnet: Subnet) -> Ipv4Addr {
        let (place, number) = (self.place(who), self.number());
        let mut adapters = place.adapters();
        let Some(adapter) = adapters.first_mut() else { fail("the host has no adapter") };
        let old = adapter.clone();
        adapter.subnet = Some(subnet);
        (adapter.v4, adapter.v6) = (subnet.v4(number), subnet.v6(number));
        adapter.more.clear();
        let (v4, v6) = (adapter.v4, adapter.v6);
        drop(adapters);
        if old.subnet != Some(subnet) {
            ip_in(&self.switch(), &format!("link set {} master {}", old.port, subnet.bridge()));
        }
        let (host, name) = (&place.namespace, &old.name);
        for address in old.more.iter().chain([&old.v4]) {
            ip_in(host, &format!("addr del {address}/24 dev {name}"));
        }
        ip_in(host, &format!("addr del {}/64 dev {name}", old.v6));
        ip_in(host, &format!("addr add {v4}/24 brd + dev {name}"));
        ip_in(host, &format!("addr add {v6}/64 dev {name} nodad"));
        route(&place, subnet);
        self.apply();
        v4
    }

    /// Gives the first adapter this many IPv4 addresses beside the one that it has.
    ///
    /// # Panics
    /// When the lab has no more.
    #[track_caller]
    pub fn more_addresses(&self, who: &impl AtHost, count: usize) -> Vec<Ipv4Addr> {
        let subnet = self.subnet_of(who);
        let place = self.place(who);
        let added: Vec<Ipv4Addr> = (0..count).map(|_| subnet.v4(self.number())).collect();
        for address in &added {
            ip_in(&place.namespace, &format!("addr add {address}/24 dev eth0"));
        }
        if let Some(adapter) = place.adapters().first_mut() {
            adapter.more.extend(&added);
        }
        self.apply();
        added
    }

    #[track_caller]
    fn subnet_of(&self, who: &impl AtHost) -> Subnet {
        let subnet = self.place(who).adapters().first().and_then(|adapter| adapter.subnet);
        subnet.unwrap_or_else(|| fail("the host is on no subnet"))
    }
}

fn link_local(subnet: u8, number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, u16::from(subnet), u16::from(number))
}

/// The way out of a host's subnet.
#[track_caller]
fn route(place: &Place, subnet: Subnet) {
    if let Some((v4, v6)) = subnet.gateways() {
        ip_in(&place.namespace, &format!("route replace default via {v4}"));
        ip_in(&place.namespace, &format!("-6 route replace default via {v6}"));
    }
}
