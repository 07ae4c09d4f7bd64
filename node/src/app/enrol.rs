//! The first talk with a coordinator: who it is, the account, the certificate. Over a connection of its own, so that a
//! running node is not touched before everything is settled.
//!
//! Keeps true: no password proof leaves before the coordinator proved the organisation that the person confirmed.

use crate::app::address::{self, CoordinatorAddress};
use crate::app::membership;
use crate::app::pins::{self, Pin};
use crate::handle::{Enrol, EnrolError, EnrolMode};
use crate::identity::Identity;
use crate::password;
use crate::paths::DataDir;
use crate::store::Membership;
use lanchat_net::{Channel, Close, DialId, DialTarget, Link, Net, NetConfig, NetEvent, NetHandle};
use lanchat_proto::certificate::{Certificate, DeviceChain, IssuingCertificate};
use lanchat_proto::codec::Text;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{DeviceId, RealmId};
use lanchat_proto::names::{DisplayName, UserName};
use lanchat_proto::time::Wall;
use lanchat_proto::wire::coordinator::{
    AskSalt, Enrolled, Login, PasswordProof, Refusal, Refused, Register, Salt, Welcome,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::sync::mpsc;

/// Time for the coordinator to answer one question.
const ANSWER: Duration = Duration::from_secs(10);
/// Keys that are tried when the coordinator says that one belongs to another user.
const MAX_KEYS: usize = 4;

/// What came of it.
pub(crate) struct Enrolment {
    /// The keys that signed in.
    pub(crate) identity: Identity,
    /// The membership, not yet on disk.
    pub(crate) membership: Membership,
    /// Whether the password was a one-time secret.
    pub(crate) must_change_password: bool,
}

/// As [`enrol`], looking in the own network first where no address is given.
///
/// # Errors
/// [`EnrolError`].
pub(crate) async fn find_and_enrol(
    dir: &DataDir,
    active: &Identity,
    address: CoordinatorAddress,
    wish: &Enrol,
    loopback: bool,
) -> Result<Enrolment, EnrolError> {
    let address = match address.is_auto() {
        true => address::find(active.device(), loopback).await?,
        false => address,
    };
    enrol(dir, active, address, wish).await
}

/// Enters an account at a coordinator with the active device key, or with another where that key is somebody else's.
///
/// # Errors
/// [`EnrolError`].
pub(crate) async fn enrol(
    dir: &DataDir,
    active: &Identity,
    address: CoordinatorAddress,
    wish: &Enrol,
) -> Result<Enrolment, EnrolError> {
    let name: UserName = wish
        .user
        .parse()
        .map_err(|error: lanchat_proto::names::NameError| EnrolError::Name(error.to_string()))?;
    password::check(&wish.password).map_err(|error| EnrolError::Password(error.to_string()))?;
    let display_name = match &wish.mode {
        EnrolMode::Register { display_name: Some(text), .. } => {
            DisplayName::parse_filled(text).map_err(|error| EnrolError::Name(error.to_string()))?
        }
        EnrolMode::Register { display_name: None, .. } | EnrolMode::Login => DisplayName::from(&name),
    };
    let mut keys = vec![active.clone()];
    let mut tried = 0;
    while let Some(identity) = keys.get(tried).cloned() {
        tried += 1;
        let mut talk = Talk::open(dir, &identity, &address, wish).await?;
        let outcome = talk.enter(wish, &name, &display_name, &address).await;
        talk.close().await;
        match outcome {
            Err(EnrolError::Refused { refusal: Refusal::DeviceTaken, .. }) if tried < MAX_KEYS => {
                if tried == 1 {
                    keys.extend(membership::parked_identities(dir, &talk.realm, name.as_str()));
                    keys.truncate(MAX_KEYS - 1);
                    keys.push(Identity::generate().map_err(|error| EnrolError::Storage(error.to_string()))?);
                }
            }
            Err(error) => return Err(error),
            Ok(enrolled) => return talk.finish(dir, enrolled, &name, &address),
        }
    }
    Err(EnrolError::Refused { refusal: Refusal::DeviceTaken, retry_after_s: 0 })
}

/// A connection to a coordinator that proved itself.
struct Talk {
    net: NetHandle,
    events: mpsc::Receiver<NetEvent>,
    link: Link,
    coordinator: DeviceId,
    identity: Identity,
    realm: RealmId,
    org: String,
    time: Wall,
    next_request: u64,
}

impl Talk {
    async fn open(
        dir: &DataDir,
        identity: &Identity,
        address: &CoordinatorAddress,
        wish: &Enrol,
    ) -> Result<Self, EnrolError> {
        let shown = address.addresses.join(", ");
        let unreachable = |reason: String| EnrolError::Unreachable { address: shown.clone(), reason };
        let endpoints = address::resolve(&address.addresses).await;
        if endpoints.is_empty() {
            return Err(unreachable("the name is not known".to_owned()));
        }
        let (net, mut events) = Net::start(NetConfig::new(identity.key.clone(), Vec::new()))
            .map_err(|error| unreachable(error.to_string()))?;
        let target =
            DialTarget { device: address.device, endpoints, channel: Channel::Coordinator, via: None };
        net.dial(DialId(1), target).map_err(|error| unreachable(error.to_string()))?;
        let opened = loop {
            match tokio::time::timeout(ANSWER, events.recv()).await {
                Ok(Some(NetEvent::Opened(opened))) => break opened,
                Ok(Some(NetEvent::DialFailed(failure))) => {
                    let wrong_key = address.device.is_some() && failure.impostor.is_some();
                    net.shutdown().await;
                    return Err(if wrong_key {
                        EnrolError::KeyChanged("another key answers at that address".to_owned())
                    } else {
                        unreachable(failure.reason)
                    });
                }
                Ok(Some(_)) => {}
                Ok(None) => return Err(unreachable("the network stopped".to_owned())),
                Err(_) => return Err(unreachable("no answer".to_owned())),
            }
        };
        let mut talk = Self {
            net,
            events,
            link: opened.link,
            coordinator: opened.device,
            identity: identity.clone(),
            realm: RealmId::OPEN,
            org: String::new(),
            time: Wall::default(),
            next_request: 0,
        };
        let welcomed = talk.welcome(&shown).await.and_then(|()| talk.trust(dir, address, wish));
        match welcomed {
            Ok(()) => Ok(talk),
            Err(error) => {
                talk.close().await;
                Err(error)
            }
        }
    }

    /// Reads who the coordinator says it is, and checks the proof.
    async fn welcome(&mut self, shown: &str) -> Result<(), EnrolError> {
        let welcome: Welcome = self.receive(Kind::Welcome).await.map_err(|error| match error {
            EnrolError::State(reason) => EnrolError::Unreachable { address: shown.to_owned(), reason },
            other => other,
        })?;
        let realm = RealmId::of_root(&welcome.root);
        let issuing = IssuingCertificate::check(&welcome.issuing, &welcome.root, &realm, welcome.time)
            .map_err(|error| EnrolError::KeyChanged(error.to_string()))?;
        if issuing.coordinator != self.coordinator {
            return Err(EnrolError::KeyChanged("it shows another coordinator's papers".to_owned()));
        }
        self.link.admit();
        self.realm = realm;
        self.org = welcome.org.to_string();
        self.time = welcome.time;
        Ok(())
    }

    /// Whether the person confirmed this organisation: by a join link, a fingerprint, or an earlier contact.
    fn trust(&self, dir: &DataDir, address: &CoordinatorAddress, wish: &Enrol) -> Result<(), EnrolError> {
        if let Some(realm) = address.realm {
            return if realm == self.realm {
                Ok(())
            } else {
                Err(EnrolError::KeyChanged("the join link is for another organisation".to_owned()))
            };
        }
        if wish.trust.as_ref().is_some_and(|print| self.realm.matches_fingerprint(print)) {
            return Ok(());
        }
        let pins = pins::load(&dir.known_coordinators());
        let is_it = |pin: &Pin| pin.realm == self.realm && pin.device == self.coordinator;
        match pins.iter().find(|pin| address.addresses.contains(&pin.address)) {
            Some(pin) if is_it(pin) => Ok(()),
            // The very same keys at an address that is new: it moved.
            None if pins.iter().any(is_it) => Ok(()),
            Some(_) if wish.trust_new_key => Ok(()),
            Some(pin) => Err(EnrolError::KeyChanged(format!(
                "{} was {} with the fingerprint {}, now it is {}",
                pin.address,
                pin.org,
                pin.realm.fingerprint(),
                self.realm.fingerprint()
            ))),
            None => {
                Err(EnrolError::TrustNeeded { org: self.org.clone(), fingerprint: self.realm.fingerprint() })
            }
        }
    }

    async fn enter(
        &mut self,
        wish: &Enrol,
        name: &UserName,
        display_name: &DisplayName,
        address: &CoordinatorAddress,
    ) -> Result<Enrolled, EnrolError> {
        let request = self.request();
        self.send(Kind::AskSalt, &AskSalt { request, user: name.clone() })?;
        let salt: Salt = self.receive(Kind::Salt).await?;
        let proof = prove(wish, salt.salt).await?;
        let sealing = self.identity.sealing_public();
        let request = self.request();
        match &wish.mode {
            EnrolMode::Register { invite, .. } => {
                let invite = invite.clone().or_else(|| address.invite.clone()).unwrap_or_default();
                let invite = Text::new(invite)
                    .map_err(|_| EnrolError::Refused { refusal: Refusal::InviteNeeded, retry_after_s: 0 })?;
                let display_name = display_name.clone();
                let user = name.clone();
                self.send(Kind::Register, &Register { request, user, display_name, proof, invite, sealing })?;
            }
            EnrolMode::Login => {
                self.send(Kind::Login, &Login { request, user: name.clone(), proof, sealing })?;
            }
        }
        self.receive(Kind::Enrolled).await
    }

    fn finish(
        self,
        dir: &DataDir,
        enrolled: Enrolled,
        name: &UserName,
        address: &CoordinatorAddress,
    ) -> Result<Enrolment, EnrolError> {
        check_certificate(&enrolled.certificate, &self.realm, &self.identity, &enrolled)?;
        let chain = self.chain(dir, &enrolled)?;
        for address in &address.addresses {
            let pin = Pin {
                address: address.clone(),
                realm: self.realm,
                device: self.coordinator,
                org: self.org.clone(),
            };
            pins::remember(&dir.known_coordinators(), pin)
                .map_err(|error| EnrolError::Storage(error.to_string()))?;
        }
        let membership = Membership {
            realm: self.realm,
            user: enrolled.user,
            name: name.to_string(),
            device: self.identity.device(),
            certificate: enrolled.certificate,
            chain,
            coordinator: Some((self.coordinator, address.addresses.clone())),
            org: self.org,
        };
        Ok(Enrolment {
            identity: self.identity,
            membership,
            must_change_password: enrolled.must_change_password,
        })
    }

    /// The first device vouches for itself; one that comes back keeps the chain that it had.
    fn chain(&self, dir: &DataDir, enrolled: &Enrolled) -> Result<DeviceChain, EnrolError> {
        if enrolled.first_device {
            return membership::first_device_chain(&self.identity, self.realm, enrolled.user, self.time)
                .map_err(|error| EnrolError::Storage(error.to_string()));
        }
        let known = |at: &DataDir| crate::store::peek(&at.database()).ok();
        let earlier = [known(dir), known(&dir.parked_membership(&self.realm, &enrolled.user))]
            .into_iter()
            .flatten()
            .find(|m| m.realm == self.realm && m.user == enrolled.user && m.device == self.identity.device());
        Ok(earlier.map(|membership| membership.chain).unwrap_or_default())
    }

    fn request(&mut self) -> u64 {
        self.next_request += 1;
        self.next_request
    }

    fn send<T: Serialize>(&self, kind: Kind, value: &T) -> Result<(), EnrolError> {
        let frame = Frame::new(kind, value).map_err(|error| EnrolError::State(error.to_string()))?;
        self.link.send(frame).map_err(|error| EnrolError::State(error.to_string()))
    }

    /// The next frame of this kind; a refusal or the link's end is an error, other frames are passed over.
    async fn receive<T: DeserializeOwned>(&mut self, kind: Kind) -> Result<T, EnrolError> {
        let wait = async {
            loop {
                match self.events.recv().await {
                    Some(NetEvent::Frame { frame, .. }) if frame.known() == Some(kind) => {
                        return frame.decode().map_err(|error| EnrolError::State(error.to_string()));
                    }
                    Some(NetEvent::Frame { frame, .. }) if frame.known() == Some(Kind::Refused) => {
                        let refused: Refused =
                            frame.decode().map_err(|error| EnrolError::State(error.to_string()))?;
                        return Err(EnrolError::Refused {
                            refusal: Refusal::from_number(refused.code),
                            retry_after_s: refused.retry_after_ms.div_ceil(1000),
                        });
                    }
                    Some(NetEvent::Closed { reason, .. }) => {
                        return Err(EnrolError::State(format!("the coordinator hung up: {reason}")));
                    }
                    Some(_) => {}
                    None => return Err(EnrolError::State("the network stopped".to_owned())),
                }
            }
        };
        match tokio::time::timeout(ANSWER, wait).await {
            Ok(outcome) => outcome,
            Err(_) => Err(EnrolError::State("the coordinator does not answer".to_owned())),
        }
    }

    async fn close(&self) {
        self.link.close(Close::AfterFlush);
        self.net.shutdown().await;
    }
}

fn check_certificate(
    certificate: &Certificate,
    realm: &RealmId,
    identity: &Identity,
    enrolled: &Enrolled,
) -> Result<(), EnrolError> {
    let member = certificate
        .check_ever(realm)
        .map_err(|error| EnrolError::State(format!("bad certificate: {error}")))?;
    if member.membership.device == identity.device() && member.membership.user == enrolled.user {
        Ok(())
    } else {
        Err(EnrolError::State("the coordinator sent somebody else's certificate".to_owned()))
    }
}

/// Derives the proof off the event loop.
async fn prove(wish: &Enrol, salt: [u8; 16]) -> Result<PasswordProof, EnrolError> {
    let password = wish.password.clone();
    tokio::task::spawn_blocking(move || password::prove(&password, &salt))
        .await
        .map_err(|error| EnrolError::State(error.to_string()))?
        .map_err(|error| EnrolError::Password(error.to_string()))
}
