//! The words that this crate and its owner exchange. Nothing of libp2p among them.

use crate::limits::{NetLimits, RelayLimits};
use crate::link::Link;
use crate::stream::BlobStream;
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
    /// Whether nodes may open streams of content on their links, once these are admitted.
    pub accept_streams: bool,
    /// Bounds.
    pub limits: NetLimits,
    /// What identify says of this program.
    pub agent: String,
    /// What this device has to do with relays.
    pub relay: RelayRole,
}

/// What a device has to do with circuit relays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RelayRole {
    /// Nothing.
    #[default]
    None,
    /// It reaches others, and lets itself be reached, through a relay.
    Client,
    /// It is a relay for those that [`crate::Link::admit_user`] names.
    Server(RelayLimits),
}

impl NetConfig {
    /// With the usual bounds and name, and no relay; who accepts links of nodes takes streams of content too.
    #[must_use]
    pub fn new(key: SecretKey, accept: Vec<Channel>) -> Self {
        let accept_streams = accept.contains(&Channel::Link);
        let (limits, agent) = (NetLimits::default(), AGENT.to_owned());
        Self { key, accept, accept_streams, limits, agent, relay: RelayRole::None }
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
    /// The relay that the dial goes through: a circuit. `endpoints` are then that relay's, of which only the first counts,
    /// `device` must be known, and there must be a link to the relay.
    pub via: Option<DeviceId>,
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
    /// The other's address; its port means nothing on the listening side. Of a relayed link, at both ends, the address
    /// of the relay.
    pub remote: Endpoint,
    /// Whether it goes through a relay.
    pub relayed: bool,
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

/// What happens. For each link: one `Opened`, any number of `Frame`s and `Stream`s, one `Closed`.
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
    /// The other end opened a stream of content.
    Stream {
        /// On this link.
        link: LinkId,
        /// The stream.
        stream: BlobStream,
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
    /// Others can reach this device through that relay from now on.
    Reserved {
        /// The relay.
        relay: DeviceId,
    },
    /// Others cannot reach this device through that relay any more, or the first attempt at it failed. It is tried
    /// again until [`crate::NetHandle::release`], while there is a connection to the relay.
    ReservationLost {
        /// The relay.
        relay: DeviceId,
        /// One line.
        reason: String,
    },
    /// This device's relay failed and was started anew; links, reservations and circuits live on.
    RelayRestarted,
}

/// What a relay does. Of a device that is none, all zero.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RelayStats {
    /// Devices that can be reached through it.
    pub reservations: usize,
    /// Circuits that are up.
    pub circuits: usize,
    /// Bytes relayed since the start, both directions together.
    pub bytes: u64,
    /// The users that relayed most, at most [`crate::limits::MAX_TOLD_USERS`] of them, most bytes first.
    pub users: Vec<RelayUser>,
    /// Failures that it was started anew after.
    pub restarts: u64,
}

/// What a relay did for one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayUser {
    /// The user, as named by [`crate::Link::admit_user`].
    pub user: [u8; 16],
    /// Bytes read from the user's devices and relayed.
    pub bytes: u64,
    /// Circuits that the user's devices opened and that are up.
    pub circuits: usize,
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
