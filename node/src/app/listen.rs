//! Where the node listens: asked for explicitly, or the usual port or the next free one.

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
                    let v6 = Endpoint::new(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port));
                    if let Err(error) = net.listen(v6).await {
                        tracing::info!(%error, "No listener for IPv6");
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
        self.add(bound);
    }

    /// Takes note of an address; `false` when it is known or of no use to others.
    pub(crate) fn add(&mut self, endpoint: Endpoint) -> bool {
        endpoint.is_usable() && self.addresses.insert(endpoint)
    }

    /// Forgets an address; `false` when it was not known.
    pub(crate) fn remove(&mut self, endpoint: &Endpoint) -> bool {
        self.addresses.remove(endpoint)
    }

    /// All addresses.
    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        self.addresses.iter().copied().collect()
    }

    /// All addresses as multiaddrs with the peer id.
    pub(crate) fn multiaddrs(&self, device: &DeviceId) -> Vec<String> {
        self.addresses.iter().map(|endpoint| lanchat_net::multiaddr_of(endpoint, device)).collect()
    }
}
