//! What the API asks of a running membership, and what work off the loop brings back.
//!
//! Keeps true: whatever takes long (a look-up, a password's derivation, a talk with a coordinator, a backup) runs off
//! the loop and comes back as [`Back`]; an asker that has gone needs no answer.

use super::{Back, EnrolAnswer, MembershipLoop, Outcome, Shared};
use crate::app::address::CoordinatorAddress;
use crate::app::enrol;
use crate::config;
use crate::handle::{Enrol, EnrolError, HandleError, NodeStatus, Request};
use crate::password;
use lanchat_node_core::boot::{AutoAccept, RequestId, Settings};
use lanchat_node_core::output::{Answer, CommandError, Event};
use lanchat_node_core::view::{CoordinatorState, StatusView};
use lanchat_node_core::{Command, Input};
use lanchat_proto::ids::UserId;
use std::path::PathBuf;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

impl Shared {
    /// What the core of this user's membership is to obey.
    pub(super) fn core_settings(&self, me: &UserId) -> Settings {
        let config = self.config.current();
        let auto_accept = match config.auto_accept {
            config::AutoAccept::Never => AutoAccept::Never,
            config::AutoAccept::Contacts => AutoAccept::From(self.contacts.users(me)),
            config::AutoAccept::All => AutoAccept::All,
        };
        Settings { auto_accept, auto_accept_max: config.auto_accept_max, ..self.settings.clone() }
    }
}

impl MembershipLoop<'_> {
    /// Takes what work off the loop brought.
    pub(super) fn come_back(&mut self, back: Back) -> Option<Outcome> {
        match back {
            Back::Proofs(proofs, answer) => self.change_password(proofs, answer),
            Back::Found(endpoints) => {
                let now = self.shared.clock.now();
                self.core.handle_input(Input::CoordinatorEndpoints { endpoints }, now);
            }
            Back::Adapters(adapters) => self.looked_around(adapters),
            Back::Enrolled(Ok(enrolment), answer) => return Some(Outcome::Enter(enrolment, answer)),
            Back::Enrolled(Err(error), answer) => {
                self.enrolling = false;
                drop(answer.send(Err(error)));
            }
            Back::LoggedOut(result, answer) => {
                // Out of the coordinator's reach the device leaves all the same; its key stays its user's.
                if let Err(error) = result {
                    tracing::warn!(%error, "The coordinator was not told of the logout");
                }
                return Some(Outcome::Leave(answer));
            }
        }
        None
    }

    /// Carries out a request of the API, or says that the loop must end for it.
    pub(super) fn request(&mut self, request: Request) -> Option<Outcome> {
        // An asker that has gone needs no answer: the result of `send` is dropped throughout.
        match request {
            Request::Command(command, answer) => self.command(command, answer),
            Request::Users(answer) => drop(answer.send(self.core.users())),
            Request::Me(answer) => drop(answer.send(self.core.me())),
            Request::Status(answer) => drop(answer.send(self.status())),
            Request::Transfers(answer) => drop(answer.send(self.core.transfers())),
            Request::Transfer(offer, answer) => drop(answer.send(self.core.transfer(&offer))),
            Request::TransferMoved(offer) => self.shared.publish(Event::Transfer { offer }),
            Request::ContactsChanged => self.follow_auto_accept(),
            Request::Facts(answer) => drop(answer.send(Box::new(self.facts()))),
            Request::ChangePassword(old, new, answer) => self.derive_proofs(old, new, answer),
            Request::Backup(file, passphrase, answer) => self.backup(file, passphrase, answer),
            Request::Enrol(wish, answer) => self.enrol(wish, answer),
            Request::Logout(answer) => self.logout(answer),
            Request::Shutdown => return Some(Outcome::Shutdown),
        }
        None
    }

    /// Talks to a coordinator off the loop; this membership goes on until that is settled.
    fn enrol(&mut self, wish: Box<Enrol>, answer: EnrolAnswer) {
        if self.enrolling {
            drop(answer.send(Err(EnrolError::State("another login is under way".to_owned()))));
            return;
        }
        let address = match self.where_to(&wish.coordinator) {
            Ok(address) if address.is_auto() && !self.mdns_wanted() => {
                let off = EnrolError::NotFound("mDNS is turned off".to_owned());
                drop(answer.send(Err(off)));
                return;
            }
            Ok(address) => address,
            Err(error) => {
                drop(answer.send(Err(error)));
                return;
            }
        };
        self.enrolling = true;
        let (dir, identity, back) = (self.dir.clone(), self.identity.clone(), self.back_sender.clone());
        let loopback = self.listeners.is_loopback_only();
        tokio::spawn(async move {
            let result = enrol::find_and_enrol(&dir, &identity, address, &wish, loopback).await.map(Box::new);
            drop(back.send(Back::Enrolled(result, answer)).await);
        });
    }

    /// The coordinator that a login means: named in it, on the command line, in the settings, or the one of before.
    fn where_to(&self, named: &str) -> Result<CoordinatorAddress, EnrolError> {
        if !named.is_empty() {
            return CoordinatorAddress::parse(named);
        }
        if let Some(address) = self.shared.coordinators.first() {
            return Ok(address.clone());
        }
        if let Some(configured) = self.shared.config.current().coordinator {
            return CoordinatorAddress::parse(&configured);
        }
        match &self.membership.coordinator {
            Some((device, addresses)) => Ok(CoordinatorAddress {
                addresses: addresses.clone(),
                device: Some(*device),
                realm: Some(self.membership.realm),
                invite: None,
            }),
            None => Err(EnrolError::State("no coordinator is known; name one with --coordinator".to_owned())),
        }
    }

    fn logout(&mut self, answer: EnrolAnswer) {
        if self.membership.coordinator.is_none() {
            drop(answer.send(Err(EnrolError::State("this node belongs to no organisation".to_owned()))));
            return;
        }
        let (told, outcome) = oneshot::channel();
        self.command(Command::Logout, told);
        let back = self.back_sender.clone();
        tokio::spawn(async move {
            let result = outcome.await.unwrap_or(Err(CommandError::Stopping));
            drop(back.send(Back::LoggedOut(result, answer)).await);
        });
    }

    fn command(&mut self, command: Command, answer: oneshot::Sender<Result<Answer, CommandError>>) {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.waiting.insert(request, answer);
        let now = self.shared.clock.now();
        self.core.handle_input(Input::Command { request, command }, now);
    }

    /// The settings or the starred people changed: whose files are fetched unasked from now on.
    pub(super) fn follow_auto_accept(&mut self) {
        let settings = self.shared.core_settings(&self.membership.user);
        let (whose, max) = (settings.auto_accept, settings.auto_accept_max);
        // There is nobody to tell: the core only takes note of it.
        self.command(Command::SetAutoAccept { whose, max }, oneshot::channel().0);
    }

    fn status(&self) -> NodeStatus {
        let core = self.core.status();
        NodeStatus {
            peer_id: lanchat_net::peer_id_string(&self.membership.device),
            listen: self.listen_addrs(),
            coordinator_addr: self.coordinator_addr(&core),
            org: self.membership.org.clone(),
            fingerprint: match core.coordinator {
                CoordinatorState::None => String::new(),
                CoordinatorState::Reconnecting
                | CoordinatorState::Connected
                | CoordinatorState::Refused(_) => self.membership.realm.fingerprint(),
            },
            mdns: self.nearby.is_running(),
            started: self.shared.started,
            core,
        }
    }

    /// Where the coordinator is connected, or is said to be.
    pub(super) fn coordinator_addr(&self, core: &StatusView) -> Option<String> {
        let known = self.membership.coordinator.as_ref().and_then(|(_, addresses)| addresses.first());
        core.coordinator_addr.map(|endpoint| endpoint.to_string()).or_else(|| known.cloned())
    }

    /// Derives both proofs of a password change off the loop; asks for the salt first.
    fn derive_proofs(
        &mut self,
        old: Zeroizing<String>,
        new: Zeroizing<String>,
        answer: oneshot::Sender<Result<(), HandleError>>,
    ) {
        let (salt_answer, salt) = oneshot::channel();
        let Ok(user) = self.membership.name.parse() else {
            drop(answer.send(Err(HandleError::Failed("this node has no user name".to_owned()))));
            return;
        };
        self.command(Command::AskSalt { user }, salt_answer);
        let back = self.back_sender.clone();
        tokio::spawn(async move {
            let proofs = prove_both(salt, old, new).await;
            // A loop that has ended drops the answer, which tells the asker so.
            drop(back.send(Back::Proofs(proofs, answer)).await);
        });
    }

    fn change_password(
        &mut self,
        proofs: Result<Command, HandleError>,
        answer: oneshot::Sender<Result<(), HandleError>>,
    ) {
        match proofs {
            Err(error) => drop(answer.send(Err(error))),
            Ok(command) => {
                let (changed, outcome) = oneshot::channel();
                self.command(command, changed);
                tokio::spawn(async move {
                    let result = match outcome.await {
                        Ok(result) => result.map(drop).map_err(HandleError::from),
                        Err(_) => Err(HandleError::Stopped),
                    };
                    drop(answer.send(result));
                });
            }
        }
    }

    /// Writes a backup off the loop. The device key goes into it only in the open LAN, where it is the user.
    fn backup(
        &self,
        file: PathBuf,
        passphrase: Zeroizing<String>,
        answer: oneshot::Sender<Result<(), HandleError>>,
    ) {
        let reader = self.reader.clone();
        let membership = self.membership.clone();
        let secret = membership.coordinator.is_none().then(|| self.identity.key.clone());
        let created = self.shared.clock.now().wall;
        tokio::task::spawn_blocking(move || {
            let result =
                crate::app::saving::save(&file, &passphrase, &reader, &membership, secret.as_ref(), created);
            drop(answer.send(result.map_err(|error| HandleError::Failed(error.to_string()))));
        });
    }
}

async fn prove_both(
    salt: oneshot::Receiver<Result<Answer, CommandError>>,
    old: Zeroizing<String>,
    new: Zeroizing<String>,
) -> Result<Command, HandleError> {
    let salt = match salt.await.map_err(|_| HandleError::Stopped)?? {
        Answer::Salt(salt) => salt,
        Answer::Done
        | Answer::Sent { .. }
        | Answer::Avatar(_)
        | Answer::SafetyCode { .. }
        | Answer::Dialled { .. } => {
            return Err(HandleError::Failed("no salt".to_owned()));
        }
    };
    let proofs = tokio::task::spawn_blocking(move || {
        Ok((password::prove(&old, &salt)?, password::prove(&new, &salt)?))
    });
    let (old, new) = proofs
        .await
        .map_err(|error| HandleError::Failed(error.to_string()))?
        .map_err(|error: password::PasswordError| EnrolError::Password(error.to_string()))?;
    Ok(Command::ChangePassword { old, new })
}
