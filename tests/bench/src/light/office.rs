//! The coordinator that light devices belong to, and how a device becomes a member.

use crate::error::BenchError;
use crate::light::random;
use lanchat_net::clock::wall;
use lanchat_net::{Channel, DialId, DialTarget, Link, Net, NetConfig, NetEvent, NetHandle};
use lanchat_proto::certificate::{Certificate, DeviceChain, Endorsement, IssuingCertificate};
use lanchat_proto::codec::{BoundedVec, Text};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{DeviceId, RealmId, UserId};
use lanchat_proto::join::JoinLink;
use lanchat_proto::names::{DisplayName, UserName};
use lanchat_proto::signed::{SecretKey, Signed};
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::coordinator::{Enrolled, PasswordProof, Refusal, Refused, Register, Welcome};
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// Time for one answer of the coordinator.
const ANSWER: Duration = Duration::from_secs(30);
/// Time to get a connection: all devices share one address here, and a coordinator takes only a few strangers at a
/// time from one address.
const CONNECT: Duration = Duration::from_secs(60);
/// Wait before the next try of a connection.
const AGAIN: Duration = Duration::from_millis(50);

/// A coordinator.
#[derive(Clone, Debug)]
pub struct Office {
    /// Its key.
    pub coordinator: DeviceId,
    /// The organisation.
    pub realm: RealmId,
    /// Where it listens.
    pub endpoints: Vec<Endpoint>,
    invite: String,
}

/// A device that is a member.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its key.
    pub key: SecretKey,
    /// Its user, who has no other device.
    pub user: UserId,
    /// The user's login.
    pub name: UserName,
    /// Its certificate.
    pub certificate: Certificate,
    /// Its word for itself.
    pub chain: DeviceChain,
}

impl Identity {
    /// The device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.key.public()
    }
}

impl Office {
    /// The office that a join link leads to; its addresses have to be IP addresses. A link with an invite is best: a
    /// coordinator that is open to all lets one address open only a few accounts a second.
    ///
    /// # Errors
    /// [`BenchError::Unexpected`].
    pub fn of_link(text: &str) -> Result<Self, BenchError> {
        let link: JoinLink = text.parse().map_err(BenchError::failed("the join link"))?;
        let endpoints: Vec<Endpoint> =
            link.addresses.iter().filter_map(|address| address.parse().ok().map(Endpoint::new)).collect();
        let (coordinator, realm) = (link.coordinator, link.realm);
        Ok(Self { coordinator, realm, endpoints, invite: link.invite.unwrap_or_default() })
    }

    /// Opens an account of this name with a new device.
    ///
    /// # Errors
    /// [`BenchError`], with the coordinator's reason when it refuses.
    pub async fn enrol(&self, name: &str) -> Result<Identity, BenchError> {
        let name: UserName = name.parse().map_err(BenchError::failed("the user name"))?;
        let key = SecretKey::from_seed(&random()?);
        let config = NetConfig::new(key.clone(), Vec::new());
        let (net, mut events) = Net::start(config).map_err(BenchError::failed("starting the network"))?;
        let enrolled = self.register(&net, &mut events, &name).await;
        net.shutdown().await;
        let enrolled = enrolled?;
        let (realm, user, device) = (self.realm, enrolled.user, key.public());
        let endorsement = Endorsement { realm, user, device, by: device, at: wall() };
        let endorsement = Signed::sign(&endorsement, &key).map_err(BenchError::failed("an endorsement"))?;
        let chain = BoundedVec::first([endorsement]);
        Ok(Identity { key, user, name, certificate: enrolled.certificate, chain })
    }

    async fn register(
        &self,
        net: &NetHandle,
        events: &mut mpsc::Receiver<NetEvent>,
        name: &UserName,
    ) -> Result<Enrolled, BenchError> {
        let link = self.connect(net, events).await?;
        let register = Register {
            request: 1,
            user: name.clone(),
            display_name: DisplayName::from(name),
            proof: PasswordProof(random()?),
            invite: Text::new(self.invite.clone()).map_err(BenchError::failed("the invite"))?,
            sealing: random()?,
        };
        send(&link, Kind::Register, &register)?;
        receive(events, Kind::Enrolled).await
    }

    /// A connection to the coordinator that has proved what it is.
    pub(crate) async fn connect(
        &self,
        net: &NetHandle,
        events: &mut mpsc::Receiver<NetEvent>,
    ) -> Result<Link, BenchError> {
        let end = Instant::now() + CONNECT;
        let mut dial = 0;
        while Instant::now() < end {
            dial += 1;
            if let Some(link) = self.try_connect(net, events, DialId(dial)).await? {
                return Ok(link);
            }
            sleep(AGAIN).await;
        }
        Err(BenchError::TimedOut { what: "a connection with the coordinator".to_owned(), after: CONNECT })
    }

    /// One try; `None` when the coordinator takes no further connection at the moment.
    async fn try_connect(
        &self,
        net: &NetHandle,
        events: &mut mpsc::Receiver<NetEvent>,
        dial: DialId,
    ) -> Result<Option<Link>, BenchError> {
        let target = DialTarget {
            device: Some(self.coordinator),
            endpoints: self.endpoints.clone(),
            channel: Channel::Coordinator,
            via: None,
        };
        net.dial(dial, target).map_err(BenchError::failed("dialling the coordinator"))?;
        let mut opened = None;
        loop {
            let event = timeout(ANSWER, events.recv()).await.ok().flatten();
            match event {
                Some(NetEvent::Opened(open)) => opened = Some(open.link),
                Some(NetEvent::Frame { frame, .. }) if frame.known() == Some(Kind::Welcome) => {
                    let Some(link) = opened else { return Ok(None) };
                    self.check(&frame)?;
                    link.admit();
                    return Ok(Some(link));
                }
                Some(NetEvent::Closed { .. } | NetEvent::DialFailed(_)) => return Ok(None),
                Some(_) => {}
                None => return Err(BenchError::Unexpected("the coordinator does not answer".to_owned())),
            }
        }
    }

    fn check(&self, frame: &Frame) -> Result<(), BenchError> {
        let welcome: Welcome = frame.decode().map_err(BenchError::failed("the coordinator's welcome"))?;
        let issuing = IssuingCertificate::check(&welcome.issuing, &welcome.root, &self.realm, welcome.time)
            .map_err(BenchError::failed("the coordinator's papers"))?;
        if issuing.coordinator == self.coordinator {
            Ok(())
        } else {
            Err(BenchError::Unexpected("the coordinator shows another's papers".to_owned()))
        }
    }
}

/// Sends a frame.
pub(crate) fn send<T: serde::Serialize>(link: &Link, kind: Kind, value: &T) -> Result<(), BenchError> {
    let frame = Frame::new(kind, value).map_err(BenchError::failed("a frame"))?;
    link.send(frame).map_err(BenchError::failed("the link to the coordinator"))
}

/// Waits for a frame of this kind; others are passed over.
pub(crate) async fn receive<T: DeserializeOwned>(
    events: &mut mpsc::Receiver<NetEvent>,
    kind: Kind,
) -> Result<T, BenchError> {
    let unexpected = |text: String| Err(BenchError::Unexpected(text));
    loop {
        match timeout(ANSWER, events.recv()).await.ok().flatten() {
            Some(NetEvent::Frame { frame, .. }) if frame.known() == Some(kind) => {
                return frame.decode().map_err(BenchError::failed("the coordinator's answer"));
            }
            Some(NetEvent::Frame { frame, .. }) if frame.known() == Some(Kind::Refused) => {
                let refused: Refused =
                    frame.decode().map_err(BenchError::failed("the coordinator's answer"))?;
                return unexpected(format!("the coordinator: {}", Refusal::from_number(refused.code)));
            }
            Some(NetEvent::Closed { reason, .. }) => {
                return unexpected(format!("the coordinator hung up: {reason}"));
            }
            Some(_) => {}
            None => return unexpected("the coordinator does not answer".to_owned()),
        }
    }
}
