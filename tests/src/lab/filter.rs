//! What the switch drops: all traffic between two hosts, dialling in one direction, a share of a host's packets.
//!
//! Keeps true: the rules follow hosts, not addresses, so that a host with a new address is blocked as before; ARP and
//! neighbour discovery always pass, so that what is dropped is silent, as behind a firewall, and not "no such host".

use super::host::AtHost;
use super::network::{Lab, Subnet};
use super::place::{Adapter, Place};
use super::tools::nft_in;
use std::sync::Arc;

/// A rule of the switch.
#[derive(Clone, Debug)]
pub(super) enum Rule {
    /// Nothing passes from one to the other.
    Silence(Arc<Place>, Arc<Place>),
    /// No TCP connection can be begun from one to the other.
    Dialling(Arc<Place>, Arc<Place>),
    /// A share of a host's packets is lost, in percent.
    Loss(Arc<Place>, u8),
    /// Hosts on a subnet do not reach each other.
    Isolate(Subnet),
}

const SYN: &str = "tcp flags & (syn | ack) == syn ";

impl Lab {
    /// Drops everything between two hosts, both ways, on every subnet: multicast too.
    ///
    /// # Panics
    /// When the rule cannot be set.
    #[track_caller]
    pub fn block(&self, one: &impl AtHost, other: &impl AtHost) {
        let (one, other) = (self.place(one), self.place(other));
        self.rules().extend([Rule::Silence(one.clone(), other.clone()), Rule::Silence(other, one)]);
        self.apply();
    }

    /// Ends [`Lab::block`].
    ///
    /// # Panics
    /// When the rule cannot be removed.
    #[track_caller]
    pub fn unblock(&self, one: &impl AtHost, other: &impl AtHost) {
        let (one, other) = (self.place(one), self.place(other));
        let between = |a: &Arc<Place>, b: &Arc<Place>| {
            (same(a, &one) && same(b, &other)) || (same(a, &other) && same(b, &one))
        };
        self.rules().retain(|rule| !matches!(rule, Rule::Silence(a, b) if between(a, b)));
        self.apply();
    }

    /// A firewall that lets one direction through: TCP connections from `from` to `to` cannot be begun. Those that are
    /// there go on, and `to` can dial.
    ///
    /// # Panics
    /// When the rule cannot be set.
    #[track_caller]
    pub fn block_dialling(&self, from: &impl AtHost, to: &impl AtHost) {
        let rule = Rule::Dialling(self.place(from), self.place(to));
        self.rules().push(rule);
        self.apply();
    }

    /// Ends [`Lab::block_dialling`].
    ///
    /// # Panics
    /// When the rule cannot be removed.
    #[track_caller]
    pub fn unblock_dialling(&self, from: &impl AtHost, to: &impl AtHost) {
        let (from, to) = (self.place(from), self.place(to));
        self.rules().retain(|rule| !matches!(rule, Rule::Dialling(a, b) if same(a, &from) && same(b, &to)));
        self.apply();
    }

    /// Loses this share of a host's IP packets, each way; 0 ends it.
    ///
    /// # Panics
    /// When the rule cannot be set.
    #[track_caller]
    pub fn loss(&self, who: &impl AtHost, percent: u8) {
        let place = self.place(who);
        let mut rules = self.rules();
        rules.retain(|rule| !matches!(rule, Rule::Loss(host, _) if same(host, &place)));
        if percent > 0 {
            rules.push(Rule::Loss(place, percent));
        }
        drop(rules);
        self.apply();
    }

    /// Hosts on this subnet do not reach each other any more, as with client isolation of a VPN or a wireless network.
    ///
    /// # Panics
    /// When the rule cannot be set.
    #[track_caller]
    pub fn isolate(&self, subnet: Subnet) {
        self.rules().push(Rule::Isolate(subnet));
        self.apply();
    }

    /// The switch's ports to hosts on a subnet; the router's is none of them.
    fn ports_on(&self, subnet: Subnet) -> String {
        let places = self.places();
        let adapters = places.iter().flat_map(|place| place.adapters().clone());
        let ports = adapters.filter(|adapter| adapter.subnet == Some(subnet)).map(|adapter| adapter.port);
        ports.collect::<Vec<_>>().join(", ")
    }

    /// Loads all rules anew, as adapters and addresses are now.
    #[track_caller]
    pub(super) fn apply(&self) {
        let mut text = String::from(
            "table bridge lab\ndelete table bridge lab\ntable bridge lab {\nchain pass {\n\
             type filter hook forward priority 0; policy accept;\n\
             ether type arp accept\n\
             icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n",
        );
        let rules = self.rules().clone();
        for rule in &rules {
            match rule {
                Rule::Silence(from, to) => drop_between(&mut text, from, to, ""),
                Rule::Dialling(from, to) => drop_between(&mut text, from, to, SYN),
                Rule::Loss(host, percent) => lose(&mut text, host, *percent),
                Rule::Isolate(subnet) => {
                    let ports = self.ports_on(*subnet);
                    if !ports.is_empty() {
                        line(&mut text, &format!("iifname {{ {ports} }} oifname {{ {ports} }} drop"));
                    }
                }
            }
        }
        text += "}\n}\n";
        if rules.is_empty() {
            text = String::from("table bridge lab\ndelete table bridge lab\n");
        }
        nft_in(&self.switch(), &text);
    }
}

fn same(one: &Arc<Place>, other: &Arc<Place>) -> bool {
    Arc::ptr_eq(one, other)
}

fn line(text: &mut String, rule: &str) {
    text.push_str(rule);
    text.push('\n');
}

fn drop_between(text: &mut String, from: &Place, to: &Place, what: &str) {
    let (from, to) = (from.adapters().clone(), to.adapters().clone());
    // On one segment: by port, which catches multicast. Through the router: by address.
    for (a, b) in from.iter().flat_map(|a| to.iter().map(move |b| (a, b))) {
        if a.subnet.is_some() && a.subnet == b.subnet {
            line(text, &format!("iifname \"{}\" oifname \"{}\" {what}drop", a.port, b.port));
        }
    }
    let (from4, to4) = (list(&from, v4), list(&to, v4));
    line(text, &format!("ip saddr {{ {from4} }} ip daddr {{ {to4} }} {what}drop"));
    let (from6, to6) = (list(&from, v6), list(&to, v6));
    line(text, &format!("ip6 saddr {{ {from6} }} ip6 daddr {{ {to6} }} {what}drop"));
}

fn lose(text: &mut String, host: &Place, percent: u8) {
    for adapter in host.adapters().iter() {
        for way in ["iifname", "oifname"] {
            line(text, &format!("{way} \"{}\" numgen random mod 100 < {percent} drop", adapter.port));
        }
    }
}

fn list(adapters: &[Adapter], addresses: impl Fn(&Adapter) -> Vec<String>) -> String {
    adapters.iter().flat_map(addresses).collect::<Vec<_>>().join(", ")
}

fn v4(adapter: &Adapter) -> Vec<String> {
    adapter.more.iter().chain([&adapter.v4]).map(ToString::to_string).collect()
}

fn v6(adapter: &Adapter) -> Vec<String> {
    [adapter.v6, adapter.link_local].map(|address| address.to_string()).to_vec()
}
