//! Where the node listens: asked for explicitly, or the usual port or the next free one.

use crate::adapters::{self, Adapter};
use lanchat_net::{NetError, NetHandle};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::version::NODE_PORT;
use lanchat_proto::wire::Endpoint;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Ports that are tried from [`NODE_PORT`] on when none was asked for.
const PORTS: u16 = 64;

/// The node cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// An address that was asked for.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Not an address to listen on.
    #[error("'{0}' is no listening address; write for example /ip4/0.0.0.0/tcp/7420")]
    Address(String),
    /// All usual ports are taken.
    #[error("the ports {NODE_PORT} to {last} are all taken; choose one with --listen", last = NODE_PORT + PORTS - 1)]
    AllTaken,
}

/// Where to listen.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// At these addresses or not at all.
    Exactly(Vec<Endpoint>),
    /// Everywhere, at the usual port or the next free one; at this one first, when a port was used before.
    Anywhere {
        /// A port that others may remember.
        first: Option<u16>,
    },
}

impl Wish {
    /// Reads what the command line or the settings ask for.
    pub(crate) fn parse(addresses: &[String]) -> Result<Self, ListenError> {
        if addresses.is_empty() {
            return Ok(Self::Anywhere { first: None });
        }
        let parse = |text: &String| match lanchat_net::parse_multiaddr(text) {
            Some((endpoint, None)) => Ok(endpoint),
            Some((_, Some(_))) | None => Err(ListenError::Address(text.clone())),
        };
        Ok(Self::Exactly(addresses.iter().map(parse).collect::<Result<_, _>>()?))
    }
}

impl Wish {
    /// The same wish with the ports that were found, for the next membership of this run.
    pub(crate) fn settled(&self, listeners: &Listeners) -> Self {
        match self {
            Self::Anywhere { .. } => Self::Anywhere { first: Some(listeners.port) },
            Self::Exactly(_) => Self::Exactly(listeners.exact.clone()),
        }
    }
}

/// The addresses that the node listens on.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    addresses: BTreeSet<Endpoint>,
    exact: Vec<Endpoint>,
    /// What was bound, wildcards among them.
    bound: Vec<Endpoint>,
    /// The port of the first listener.
    pub(crate) port: u16,
}

impl Listeners {
    /// Starts to listen.
    pub(crate) async fn bind(net: &NetHandle, wish: &Wish) -> Result<Self, ListenError> {
        let mut listeners = Self::default();
        match wish {
            Wish::Exactly(endpoints) => {
                for endpoint in endpoints {
                    let bound = net.listen(*endpoint).await?;
                    listeners.exact.push(bound);
                    listeners.bound(bound);
                }
            }
            Wish::Anywhere { first } => listeners.bind_anywhere(net, *first).await?,
        }
        Ok(listeners)
    }

    async fn bind_anywhere(&mut self, net: &NetHandle, first: Option<u16>) -> Result<(), ListenError> {
        for port in first.into_iter().chain(NODE_PORT..NODE_PORT + PORTS) {
            let v4 = Endpoint::new(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port));
            match net.listen(v4).await {
                Ok(bound) => {
                    self.bound(bound);
                    // A machine without IPv6, or with the port taken there, still has IPv4.
                    let v6 = Endpoint::new(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), bound.port()));
                    match net.listen(v6).await {
                        Ok(bound) => self.bound(bound),
                        Err(error) => tracing::info!(%error, "No listener for IPv6"),
                    }
                    return Ok(());
                }
                Err(NetError::PortTaken(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(ListenError::AllTaken)
    }

    fn bound(&mut self, bound: Endpoint) {
        if self.port == 0 {
            self.port = bound.port();
        }
        self.bound.push(bound);
        self.add(bound);
    }

    /// What was bound, wildcards among them.
    pub(crate) fn all_bound(&self) -> &[Endpoint] {
        &self.bound
    }

    /// Whether nobody on another machine can dial.
    pub(crate) fn is_loopback_only(&self) -> bool {
        self.bound.iter().all(|bound| bound.ip().is_loopback())
    }

    /// Makes the addresses at which wildcards can be reached those of the adapters, before the network tells so.
    pub(crate) fn expand(&mut self, adapters: &[Adapter]) {
        self.addresses.retain(|endpoint| {
            self.bound.contains(endpoint) || adapters.iter().any(|one| one.ip == endpoint.ip())
        });
        for bound in self.bound.clone().iter().filter(|bound| bound.ip().is_unspecified()) {
            let same_family = adapters.iter().filter(|one| one.ip.is_ipv4() == bound.ip().is_ipv4());
            for one in same_family {
                self.add(Endpoint::new(SocketAddr::new(one.ip, bound.port())));
            }
        }
    }

    /// Takes note of an address; `false` when it is known or of no use to others.
    pub(crate) fn add(&mut self, endpoint: Endpoint) -> bool {
        endpoint.is_usable() && self.addresses.insert(endpoint)
    }

    /// Forgets an address; `false` when it was not known.
    pub(crate) fn remove(&mut self, endpoint: &Endpoint) -> bool {
        self.addresses.remove(endpoint)
    }

    /// All addresses that others may use, best first; those of adapters that are down are among the last.
    pub(crate) fn endpoints(&self, adapters: &[Adapter]) -> Vec<Endpoint> {
        let mut all: Vec<Endpoint> = self.addresses.iter().copied().collect();
        all.sort_by_cached_key(|endpoint| adapters::rank(adapters, endpoint.ip()));
        all
    }

    /// The same as multiaddrs with the peer id.
    pub(crate) fn multiaddrs(&self, device: &DeviceId, adapters: &[Adapter]) -> Vec<String> {
        let all = self.endpoints(adapters);
        all.iter().map(|endpoint| lanchat_net::multiaddr_of(endpoint, device)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapters() -> Vec<Adapter> {
        let adapter = |name, ip: &str, up| Adapter::new(name, ip.parse().unwrap(), 24, up);
        adapters::sorted(vec![
            adapter("lo", "127.0.0.1", true),
            adapter("docker0", "172.17.0.1", true),
            adapter("eth1", "10.9.9.9", false),
            adapter("eth0", "fe80::1", true),
            adapter("eth0", "192.168.1.5", true),
            adapter("eth0", "fd00::5", true),
        ])
    }

    fn at(text: &str) -> Endpoint {
        Endpoint::new(text.parse().unwrap())
    }

    #[test]
    fn a_wildcard_stands_for_every_adapter_the_best_first() {
        let mut listeners = Listeners::default();
        listeners.bound(at("0.0.0.0:7420"));
        listeners.bound(at("[::]:7420"));
        listeners.expand(&adapters());
        let told: Vec<String> = listeners.endpoints(&adapters()).iter().map(Endpoint::to_string).collect();
        assert_eq!(
            told,
            ["192.168.1.5:7420", "[fd00::5]:7420", "172.17.0.1:7420", "10.9.9.9:7420", "127.0.0.1:7420"]
        );
        assert!(!listeners.is_loopback_only());
        listeners.expand(&[Adapter::new("eth0", "192.168.1.77".parse().unwrap(), 24, true)]);
        assert_eq!(listeners.endpoints(&[]), [at("192.168.1.77:7420")]);
    }

    #[test]
    fn an_address_that_no_adapter_is_known_to_have_is_told_all_the_same() {
        let mut listeners = Listeners::default();
        for address in ["127.0.0.1:1", "172.17.0.1:1", "192.168.7.7:1", "192.168.1.5:1"] {
            listeners.bound(at(address));
        }
        let told: Vec<String> = listeners.endpoints(&adapters()).iter().map(Endpoint::to_string).collect();
        assert_eq!(told, ["192.168.1.5:1", "192.168.7.7:1", "172.17.0.1:1", "127.0.0.1:1"]);
    }
}
