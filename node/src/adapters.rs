//! The network adapters of this machine, and which of them lead to colleagues.
//!
//! Keeps true: the same adapters give the same list in the same order, best first: cables and Wi-Fi, then what a VPN, a
//! container or a virtual machine brought along, then loopback. This is the only place that tells the kinds apart, by the
//! names that Linux, macOS and Windows give; `lanchat-net` alone lists adapters for itself, to listen and to announce.

use lanchat_node_core::Subnet;
use lanchat_proto::wire::Endpoint;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// What an adapter is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AdapterKind {
    /// Cable or radio.
    Real,
    /// A VPN, or the bridge of containers or virtual machines.
    Virtual,
    /// This machine itself.
    Loopback,
}

/// An address of an adapter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Adapter {
    /// As the system calls it.
    pub name: String,
    /// What it is.
    pub kind: AdapterKind,
    /// The address.
    pub ip: IpAddr,
    /// Leading bits that all addresses of its subnet share.
    pub prefix: u8,
    /// Whether others can use the address: it is not link-local, and the adapter is up.
    pub usable: bool,
}

impl Adapter {
    /// An address of an adapter that is up, or is not.
    #[must_use]
    pub fn new(name: &str, ip: IpAddr, prefix: u8, up: bool) -> Self {
        let kind = if ip.is_loopback() {
            AdapterKind::Loopback
        } else if is_virtual(name) {
            AdapterKind::Virtual
        } else {
            AdapterKind::Real
        };
        let usable = up && Endpoint::new(SocketAddr::new(ip, 1)).is_usable();
        Self { name: name.to_owned(), kind, ip, prefix, usable }
    }
}

/// Beginnings of the names of virtual adapters under Linux and macOS; a digit, a separator or the end follows.
const BEGINNINGS: &[&str] = &[
    "docker",
    "br-",
    "virbr",
    "veth",
    "lxcbr",
    "lxdbr",
    "incusbr",
    "podman",
    "cni",
    "flannel",
    "cali",
    "cilium",
    "vmnet",
    "vboxnet",
    "vnic",
    "bridge1",
    "tun",
    "tap",
    "utun",
    "feth",
    "ipsec",
    "wg",
    "ppp",
    "tailscale",
    "zt",
    "nordlynx",
    "proton",
    "outline",
    "cscotun",
    "gpd",
    "vpn",
    "wlt",
    "anpi",
];

/// Parts of the names of virtual adapters under Windows, in lower case.
const PARTS: &[&str] = &[
    "vethernet",
    "virtualbox",
    "vmware",
    "hyper-v",
    "wireguard",
    "openvpn",
    "tailscale",
    "zerotier",
    "tap-",
    "wintun",
    "anyconnect",
    "globalprotect",
    "fortinet",
    "forticlient",
    "pangp",
    "hamachi",
    "radmin vpn",
    "nordvpn",
    "protonvpn",
    "docker",
    "wsl",
    "npcap loopback",
    "virtual",
    "vpn",
];

/// Whether an adapter of this name is made of software.
#[must_use]
pub fn is_virtual(name: &str) -> bool {
    let name = name.to_lowercase();
    let begins = |beginning: &&str| {
        let rest = name.strip_prefix(*beginning);
        // `br-` ends in its separator; `wg` is not the beginning of a word such as `wgate`.
        let free = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphabetic());
        rest.is_some_and(|rest| beginning.ends_with('-') || loose(beginning) || free(rest))
    };
    BEGINNINGS.iter().any(begins) || PARTS.iter().any(|part| name.contains(part))
}

/// Beginnings that any letters may follow, since the systems add random ones.
fn loose(beginning: &str) -> bool {
    matches!(beginning, "veth" | "cali" | "cilium" | "zt" | "proton" | "podman" | "wlt")
}

/// The adapters as they are now, best first.
///
/// # Errors
/// When the system does not tell.
pub fn list() -> io::Result<Vec<Adapter>> {
    let found = if_addrs::get_if_addrs()?;
    let prefix = |addr: &if_addrs::IfAddr| match addr {
        if_addrs::IfAddr::V4(v4) => v4.prefixlen,
        if_addrs::IfAddr::V6(v6) => v6.prefixlen,
    };
    let up = |one: &if_addrs::Interface| {
        // Windows does not know it of some VPNs; elsewhere "unknown" stands for an adapter without a cable.
        one.is_oper_up() || (cfg!(windows) && one.oper_status == if_addrs::IfOperStatus::Unknown)
    };
    let adapters = found.iter().map(|one| Adapter::new(&one.name, one.ip(), prefix(&one.addr), up(one)));
    Ok(sorted(adapters.collect()))
}

/// Best first; what cannot be used now comes after what can, and loopback last.
#[must_use]
pub fn sorted(mut adapters: Vec<Adapter>) -> Vec<Adapter> {
    let place = |one: &Adapter| {
        let own = one.kind == AdapterKind::Loopback;
        (own, !one.usable, one.kind, one.ip.is_ipv6(), one.name.clone(), one.ip)
    };
    adapters.sort_by_cached_key(place);
    adapters.dedup();
    adapters
}

/// Whether others can be in its subnet.
fn leads_somewhere(adapter: &&Adapter) -> bool {
    adapter.usable && adapter.kind != AdapterKind::Loopback
}

/// The subnets that the rules need: those in which others can be.
#[must_use]
pub fn subnets(adapters: &[Adapter]) -> Vec<Subnet> {
    let near = adapters.iter().filter(leads_somewhere);
    near.map(|one| Subnet { ip: one.ip, prefix: one.prefix, is_virtual: one.kind == AdapterKind::Virtual })
        .collect()
}

/// The rank of an address, the best first; one that no adapter has (any more) comes after those of cables and radio.
#[must_use]
pub fn rank(adapters: &[Adapter], ip: IpAddr) -> usize {
    let real = adapters.iter().take_while(|one| one.usable && one.kind == AdapterKind::Real).count();
    match adapters.iter().position(|one| one.ip == ip) {
        Some(at) => at * 2 + 2,
        None if ip.is_loopback() => usize::MAX,
        None => real * 2 + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(name: &str, ip: &str) -> Adapter {
        Adapter::new(name, ip.parse().unwrap(), 24, true)
    }

    #[test]
    fn what_software_made_is_told_from_cables_and_radio_on_every_platform() {
        for name in [
            "docker0",
            "br-1f2e3d",
            "virbr0",
            "veth1a2b",
            "vmnet8",
            "vboxnet0",
            "tun0",
            "tap1",
            "utun4",
            "wg0",
            "ppp0",
            "tailscale0",
            "ztabcdef12",
            "bridge100",
            "vpn",
            "vEthernet (WSL)",
            "VirtualBox Host-Only Network",
            "VMware Network Adapter VMnet8",
            "Hyper-V Virtual Ethernet",
            "TAP-Windows Adapter V9",
            "WireGuard Tunnel",
            "OpenVPN Wintun",
            "Tailscale",
            "ZeroTier One [abc]",
            "cali12ab",
            "Cisco AnyConnect VPN",
        ] {
            assert!(is_virtual(name), "{name}");
        }
        for name in [
            "eth0",
            "eno1",
            "enp3s0",
            "enx001122",
            "wlan0",
            "wlp2s0",
            "en0",
            "bond0",
            "br0",
            "team0",
            "Ethernet",
            "以太网",
            "Wi-Fi",
            "WLAN 2",
            "Local Area Connection",
            "bridge0",
            "wgate",
            "lan-a1",
            "eth0.20",
        ] {
            assert!(!is_virtual(name), "{name}");
        }
    }

    #[test]
    fn cables_come_first_then_software_then_this_machine() {
        let list = sorted(vec![
            adapter("lo", "127.0.0.1"),
            adapter("tun0", "10.8.0.2"),
            adapter("eth0", "fd00::5"),
            adapter("eth0", "fe80::5"),
            adapter("eth0", "192.168.1.5"),
            Adapter::new("eth1", "192.168.9.5".parse().unwrap(), 24, false),
        ]);
        let order: Vec<String> = list.iter().map(|one| one.ip.to_string()).collect();
        assert_eq!(order, ["192.168.1.5", "fd00::5", "10.8.0.2", "192.168.9.5", "fe80::5", "127.0.0.1"]);
        let near: Vec<_> =
            subnets(&list).into_iter().map(|net| (net.ip.to_string(), net.is_virtual)).collect();
        assert_eq!(
            near,
            [("192.168.1.5".into(), false), ("fd00::5".into(), false), ("10.8.0.2".into(), true)]
        );
    }

    #[test]
    fn this_machine_has_a_loopback_adapter() {
        assert!(list().unwrap().iter().any(|one| one.kind == AdapterKind::Loopback));
    }
}
