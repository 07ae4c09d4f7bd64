//! The words that this crate and its owner exchange. Nothing of libp2p among them.

use crate::limits::NetLimits;
use crate::link::Link;
use lanchat_proto::frame::{Frame, FrameError};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::signed::SecretKey;
use lanchat_proto::version::{AGENT, COORDINATOR_PROTOCOL, LINK_PROTOCOL};
use lanchat_proto::wire::Endpoint;

/// What a link is for; decides the name of its control stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Node to node.
    Link,
    /// Node to coordinator.
    Coordinator,
}

impl Channel {
    /// Every channel.
    pub const ALL: &'static [Self] = &[Self::Link, Self::Coordinator];

    /// Stream name on the wire.
    #[must_use]
    pub const fn protocol(self) -> &'static str {
        match self {
            Self::Link => LINK_PROTOCOL,
            Self::Coordinator => COORDINATOR_PROTOCOL,
        }
    }
}

/// How to start.
#[derive(Debug, Clone)]
pub struct NetConfig {
    /// The own device's key.
    pub key: SecretKey,
    /// Channels that others may open.
    pub accept: Vec<Channel>,
    /// Bounds.
    pub limits: NetLimits,
    /// What identify says of this program.
    pub agent: String,
}

impl NetConfig {
    /// With the usual bounds and name.
    #[must_use]
    pub fn new(key: SecretKey, accept: Vec<Channel>) -> Self {
        Self { key, accept, limits: NetLimits::default(), agent: AGENT.to_owned() }
    }
}

/// A dial, named by who asked for it; not to be used for two dials at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(
    /// Any number.
    pub u64,
);

/// A link, unique while the program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(
    /// The number.
    pub u64,
);

/// Whom to dial, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialTarget {
    /// The device that must answer, or `None` at the first contact with a coordinator whose key is not known yet.
    pub device: Option<DeviceId>,
    /// Addresses, best first. Unusable ones are left out, and those beyond
    /// [`crate::limits::MAX_DIAL_ADDRESSES`].
    pub endpoints: Vec<Endpoint>,
    /// What the link is for.
    pub channel: Channel,
}

/// A link that is up: the connection is encrypted, the other holds `device`'s key, the control stream is agreed on.
/// Whether it belongs here is not known yet.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The link.
    pub link: Link,
    /// The other device.
    pub device: DeviceId,
    /// What the link is for.
    pub channel: Channel,
    /// Whether this side dialled.
    pub dialler: bool,
    /// The other's address; its port means nothing on the listening side.
    pub remote: Endpoint,
    /// The dial that this answers.
    pub dial: Option<DialId>,
}

/// A dial that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialFailure {
    /// The dial.
    pub dial: DialId,
    /// Addresses tried and what happened there, in the order of their failures.
    pub attempts: Vec<(Endpoint, String)>,
    /// An address where another device answered than the one that was dialled.
    pub impostor: Option<Endpoint>,
    /// One line that sums it up.
    pub reason: String,
}

/// What happens. For each link: one `Opened`, any number of `Frame`s, one `Closed`.
#[derive(Debug)]
pub enum NetEvent {
    /// A link is up.
    Opened(Opened),
    /// A frame arrived.
    Frame {
        /// On this link.
        link: LinkId,
        /// The frame, of a known kind or not.
        frame: Frame,
    },
    /// A link is down; nothing more comes of it.
    Closed {
        /// The link.
        link: LinkId,
        /// Why.
        reason: CloseReason,
    },
    /// A dial came to nothing.
    DialFailed(DialFailure),
    /// Others can reach this device here.
    Listening(Endpoint),
    /// Others cannot reach this device here any more.
    NotListening(Endpoint),
}

/// Why a link ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// This side closed it.
    #[error("closed by this side")]
    Local,
    /// The other side closed it.
    #[error("closed by the other side")]
    Remote,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Lost(String),
    /// It was not admitted in time.
    #[error("no hello was accepted in time")]
    HelloDeadline,
    /// The other side sent more than a hello before it was admitted.
    #[error("{0} bytes before the hello was accepted")]
    BeforeHello(usize),
    /// The other side opened a stream that it may not open yet.
    #[error("a further stream before the hello was accepted")]
    ExtraStream,
    /// The other side broke the framing.
    #[error("bad frame: {0}")]
    Frame(#[from] FrameError),
    /// The device is refused.
    #[error("the device is refused")]
    Refused,
}

/// Something could not be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetError {
    /// The port is in use.
    #[error("{0} is in use by another program")]
    PortTaken(Endpoint),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}")]
    Listen(Endpoint, String),
    /// The transport cannot be built.
    #[error("cannot start the network: {0}")]
    Start(String),
    /// Too many dials are waiting.
    #[error("too many dials are waiting")]
    Busy,
    /// The network was shut down.
    #[error("the network is shut down")]
    Stopped,
}
