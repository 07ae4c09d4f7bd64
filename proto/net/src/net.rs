//! Starting the plumbing, and the handle that its owner gives commands with.

use crate::address::peer_of;
use crate::api::{DialId, DialTarget, NetConfig, NetError, NetEvent, RelayStats};
use crate::driver::{Command, Driver};
use crate::gate::Refused;
use crate::limits::{COMMAND_QUEUE, SHUTDOWN_TIME};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::wire::Endpoint;
use libp2p::identity::{Keypair, ed25519};
use std::fmt;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

/// Starts the plumbing.
#[derive(Debug)]
pub struct Net;

impl Net {
    /// Spawns the swarm's task on the current tokio runtime. It ends at [`NetHandle::shutdown`], or when all handles or
    /// the receiver of events are dropped. The receiver must be read: while it is not, links stop reading.
    ///
    /// # Errors
    /// [`NetError::Start`].
    pub fn start(config: NetConfig) -> Result<(NetHandle, mpsc::Receiver<NetEvent>), NetError> {
        let start = |error: String| NetError::Start(error);
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(start("there is no tokio runtime here".to_owned()));
        }
        let device = config.key.public();
        let secret = ed25519::SecretKey::try_from_bytes(&mut *config.key.seed())
            .map_err(|error| start(error.to_string()))?;
        let key = Keypair::from(ed25519::Keypair::from(secret));
        if Some(key.public().to_peer_id()) != peer_of(&device) {
            return Err(start("the key does not give the device's peer id".to_owned()));
        }
        let (events, events_out) = mpsc::channel(config.limits.events.max(1));
        let (commands, commands_in) = mpsc::channel(COMMAND_QUEUE);
        let (dials, dials_in) = mpsc::channel(COMMAND_QUEUE);
        let refused = Arc::<Refused>::default();
        let driver = Driver::new(&key, device, config, refused.clone(), events)
            .map_err(|error| start(error.to_string()))?;
        let (reservation, wish) = watch::channel(None);
        tokio::spawn(driver.run(commands_in, dials_in, wish));
        Ok((NetHandle { device, commands, dials, refused, reservation: Arc::new(reservation) }, events_out))
    }
}

/// The relay that is to be reserved at, and its address.
pub(crate) type Wish = Option<(DeviceId, Endpoint)>;

/// A handle to give commands with. Cheap to clone.
#[derive(Clone)]
pub struct NetHandle {
    device: DeviceId,
    commands: mpsc::Sender<Command>,
    dials: mpsc::Sender<(DialId, DialTarget)>,
    refused: Arc<Refused>,
    reservation: Arc<watch::Sender<Wish>>,
}

#[cfg(test)]
impl NetHandle {
    /// Makes libp2p's relay panic.
    pub(crate) async fn break_relay(&self) {
        assert!(self.commands.send(Command::BreakRelay).await.is_ok());
    }
}

impl fmt::Debug for NetHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetHandle of {:?}", self.device)
    }
}

impl NetHandle {
    /// The own device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// Listens; returns once the port is bound, with the real port where 0 was asked for. The addresses that others can
    /// use come as [`NetEvent::Listening`]: this one, or on a wildcard those of the interfaces. IPv4 and IPv6
    /// are separate.
    ///
    /// # Errors
    /// [`NetError::PortTaken`], [`NetError::Listen`], [`NetError::Stopped`].
    pub async fn listen(&self, endpoint: Endpoint) -> Result<Endpoint, NetError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Listen(endpoint, reply)).await.map_err(|_| NetError::Stopped)?;
        answer.await.map_err(|_| NetError::Stopped)?
    }

    /// Begins a dial; [`NetEvent::Opened`] or [`NetEvent::DialFailed`] with its name follows.
    ///
    /// # Errors
    /// [`NetError::Busy`] (try again later), [`NetError::Stopped`]. No event follows then.
    pub fn dial(&self, dial: DialId, target: DialTarget) -> Result<(), NetError> {
        self.dials.try_send((dial, target)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NetError::Busy,
            mpsc::error::TrySendError::Closed(_) => NetError::Stopped,
        })
    }

    /// Closes all links with a device and turns it away from now on.
    pub fn refuse(&self, device: DeviceId) {
        self.refused.refuse(device);
    }

    /// Lets a refused device in again.
    pub fn allow(&self, device: &DeviceId) {
        self.refused.allow(device);
    }

    /// Asks a relay to pass on circuits to this device, and keeps that up until [`Self::release`], whatever ends it, while
    /// there is a connection to the relay: [`NetEvent::Reserved`] and [`NetEvent::ReservationLost`] tell. `endpoint` is the
    /// relay's. Replaces an earlier wish; the same wish again tries at once if the last attempt failed. Does nothing
    /// unless [`crate::RelayRole::Client`].
    pub fn reserve(&self, relay: DeviceId, endpoint: Endpoint) {
        self.reservation.send_replace(Some((relay, endpoint)));
    }

    /// Gives the reservation up; [`NetEvent::ReservationLost`] does not follow. Circuits that are up stay.
    pub fn release(&self) {
        self.reservation.send_replace(None);
    }

    /// What this device's relay does; all zero when it is none.
    ///
    /// # Errors
    /// [`NetError::Stopped`].
    pub async fn relay_stats(&self) -> Result<RelayStats, NetError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::RelayStats(reply)).await.map_err(|_| NetError::Stopped)?;
        answer.await.map_err(|_| NetError::Stopped)
    }

    /// Lets links flush, closes everything and frees the ports, within 2 s. Does nothing the second time.
    pub async fn shutdown(&self) {
        let (done, finished) = oneshot::channel();
        let stop = async {
            if self.commands.send(Command::Shutdown(done)).await.is_ok() {
                // An error means that the task ended on its own meanwhile.
                drop(finished.await);
            }
        };
        // The driver keeps to its own time; the margin is for a busy machine.
        drop(timeout(SHUTDOWN_TIME * 2, stop).await);
    }
}
