//! The one loop in which network, store and administration meet.
//!
//! Keeps true: inputs are taken in a fixed order (stop, timers, store, admin, network), so that a noisy device starves
//! nobody; the loop waits for nothing but its select, and every output is carried out before the next input.

use super::StandingInvite;
use crate::admin::{AdminRequest, Ask};
use crate::error::ServerError;
use crate::limits::{EVENTS_IN_TURN, MAX_READS, STOP_TIME};
use crate::nearby::Nearby;
use crate::store::{Answer, Command, Files, Store};
use lanchat_coordinator_core::{
    AdminCommand, AdminError, AdminResult, CoordinatorState, DialId, Input, LinkId, Output,
};
use lanchat_net::clock::Clock;
use lanchat_net::{Channel, Close, DialTarget, Link, NetEvent, NetHandle};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::wire::Endpoint;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep_until, timeout};

type Reply = oneshot::Sender<Result<AdminResult, AdminError>>;

/// The loop and what it owns.
pub(super) struct EventLoop {
    state: CoordinatorState,
    clock: Clock,
    store: Store,
    net: NetHandle,
    nearby: Nearby,
    links: BTreeMap<LinkId, Link>,
    replies: BTreeMap<u64, Reply>,
    next_request: u64,
    reads: usize,
    standing: StandingInvite,
    files: Files,
    broken: Option<ServerError>,
}

impl EventLoop {
    pub(super) fn new(
        state: CoordinatorState,
        clock: Clock,
        store: Store,
        net: NetHandle,
        nearby: Nearby,
        standing: StandingInvite,
        files: Files,
    ) -> Self {
        Self {
            state,
            clock,
            store,
            net,
            nearby,
            links: BTreeMap::new(),
            replies: BTreeMap::new(),
            next_request: 0,
            reads: 0,
            standing,
            files,
            broken: None,
        }
    }

    /// Runs until asked to stop or unable to go on.
    pub(super) async fn run(
        mut self,
        mut events: mpsc::Receiver<NetEvent>,
        mut answers: mpsc::Receiver<Answer>,
        mut requests: mpsc::Receiver<AdminRequest>,
        mut stop: oneshot::Receiver<()>,
    ) -> Result<(), ServerError> {
        let mut batch = Vec::with_capacity(EVENTS_IN_TURN);
        while self.broken.is_none() {
            let due = self
                .state
                .poll_timeout()
                .map(|(at, _)| tokio::time::Instant::from_std(self.clock.instant(at)));
            tokio::select! {
                biased;
                _ = &mut stop => break,
                () = sleep_until(due.unwrap_or_else(tokio::time::Instant::now)), if due.is_some() => {
                    self.state.handle_timeout(self.clock.now());
                }
                answer = answers.recv() => match answer {
                    Some(answer) => self.answered(answer),
                    None => break,
                },
                request = requests.recv() => match request {
                    Some(request) => self.admin(request),
                    None => break,
                },
                count = events.recv_many(&mut batch, EVENTS_IN_TURN) => {
                    if count == 0 {
                        break;
                    }
                    for event in batch.drain(..) {
                        self.event(event);
                        self.carry_out();
                    }
                }
            }
            self.carry_out();
        }
        self.end(events, answers).await
    }

    /// Closes links, writes the last things, frees the ports.
    async fn end(
        mut self,
        events: mpsc::Receiver<NetEvent>,
        mut answers: mpsc::Receiver<Answer>,
    ) -> Result<(), ServerError> {
        self.state.handle_input(Input::Stop, self.clock.now());
        self.carry_out();
        let (net, nearby) = (self.net.clone(), self.nearby.clone());
        let last = async {
            while !self.state.is_idle() && self.broken.is_none() {
                let Some(answer) = answers.recv().await else { break };
                self.answered(answer);
                self.carry_out();
            }
        };
        let (finished, (), ()) = tokio::join!(timeout(STOP_TIME, last), net.shutdown(), nearby.stop());
        if finished.is_err() {
            tracing::warn!("The last times of users were not written in time");
        }
        drop((events, answers));
        let store = self.store;
        if tokio::task::spawn_blocking(move || store.close()).await.is_err() {
            tracing::error!("The store could not be closed");
        }
        self.broken.map_or(Ok(()), Err)
    }

    fn event(&mut self, event: NetEvent) {
        let input = match event {
            NetEvent::Opened(opened) => {
                let link = LinkId(opened.link.id().0);
                self.links.insert(link, opened.link);
                let dial = opened.dial.map(|dial| DialId(dial.0));
                Input::Opened { link, device: opened.device, remote: opened.remote, dial }
            }
            NetEvent::Frame { link, frame } => Input::Frame { link: LinkId(link.0), frame },
            NetEvent::Closed { link, reason } => {
                tracing::debug!(link = link.0, %reason, "Link closed");
                self.links.remove(&LinkId(link.0));
                Input::Closed { link: LinkId(link.0) }
            }
            NetEvent::Listening(endpoint) => return tracing::info!(%endpoint, "Listening"),
            NetEvent::NotListening(endpoint) => return tracing::warn!(%endpoint, "Not listening any more"),
            NetEvent::DialFailed(failure) => {
                tracing::debug!(reason = failure.reason, "A device that asked to be dialled was not reached");
                Input::DialFailed { dial: DialId(failure.dial.0), tried: !failure.attempts.is_empty() }
            }
            // None is taken here; dropping it refuses it.
            NetEvent::Stream { .. } => return,
            // This device is a relay and uses none.
            NetEvent::Reserved { .. } | NetEvent::ReservationLost { .. } => return,
            NetEvent::RelayRestarted => {
                tracing::error!("The relay failed and was started anew");
                Input::RelayRestarted
            }
        };
        self.state.handle_input(input, self.clock.now());
    }

    fn answered(&mut self, answer: Answer) {
        let input = match answer {
            Answer::Stored { id } => Input::Stored { id },
            Answer::Failed { id } => Input::StoreFailed { id },
            Answer::Avatar { link, request, user, picture } => {
                self.reads = self.reads.saturating_sub(1);
                Input::AvatarRead { link, request, user, picture }
            }
            Answer::Broken(error) => {
                tracing::error!(%error, "The database is in an unknown state; stopping");
                self.broken = Some(error.into());
                return;
            }
        };
        self.state.handle_input(input, self.clock.now());
        let standing = self.state.standing_invite().map(ToOwned::to_owned);
        if standing.is_some() {
            *self.standing.write().unwrap_or_else(PoisonError::into_inner) = standing;
        }
    }

    fn admin(&mut self, request: AdminRequest) {
        match request.ask {
            Ask::Rules(command, reply) => self.ask_rules(command, reply),
            Ask::Backup(path, reply) => self.backup(path, reply),
        }
    }

    fn ask_rules(&mut self, command: AdminCommand, reply: Reply) {
        self.next_request += 1;
        let request = self.next_request;
        self.replies.insert(request, reply);
        self.state.handle_input(Input::Admin { request, command }, self.clock.now());
    }

    fn backup(&self, path: PathBuf, reply: oneshot::Sender<Result<u64, crate::store::StoreError>>) {
        // A full queue drops the reply, which the asker sees.
        if !self.store.ask(Command::Backup { path, files: self.files.clone(), reply }) {
            tracing::warn!("The store is too busy for a backup");
        }
    }

    /// Carries out everything that the rules want.
    fn carry_out(&mut self) {
        while let Some(output) = self.state.poll_output() {
            match output {
                Output::Send { link, frame } => self.send(link, Arc::unwrap_or_clone(frame)),
                Output::Admit { link, user } => {
                    self.links.get(&link).into_iter().for_each(|link| link.admit_user(user.0));
                }
                Output::Dial { dial, device, endpoint } => self.dial(dial, device, endpoint),
                Output::Close { link, after_flush } => {
                    let how = if after_flush { Close::AfterFlush } else { Close::Now };
                    self.links.get(&link).into_iter().for_each(|link| link.close(how));
                }
                Output::Persist { id, changes } => {
                    // Never full: reads are counted, and there is one transaction at a time.
                    if !self.store.ask(Command::Write { id, changes }) {
                        self.state.handle_input(Input::StoreFailed { id }, self.clock.now());
                    }
                }
                Output::ReadAvatar { link, request, user } => {
                    let asked =
                        self.reads < MAX_READS && self.store.ask(Command::Avatar { link, request, user });
                    match self.links.get(&link) {
                        _ if asked => self.reads += 1,
                        Some(link) => link.close(Close::Now),
                        None => {}
                    }
                }
                Output::AdminAnswer { request, result } => {
                    // Whoever asked may have gone.
                    self.replies
                        .remove(&request)
                        .into_iter()
                        .for_each(|reply| drop(reply.send(result.clone())));
                }
                Output::Notice(notice) => {
                    let device = notice.device.map(|device| device.short());
                    let user = notice.user.map(|user| user.short());
                    tracing::info!(what = notice.what, device, user, "Notice");
                }
            }
        }
    }

    fn dial(&mut self, dial: DialId, device: DeviceId, endpoint: Endpoint) {
        let target =
            DialTarget { device: Some(device), endpoints: vec![endpoint], channel: Channel::Link, via: None };
        if let Err(error) = self.net.dial(lanchat_net::DialId(dial.0), target) {
            tracing::debug!(%error, "A device that asked to be dialled was not");
            self.state.handle_input(Input::DialFailed { dial, tried: false }, self.clock.now());
        }
    }

    fn send(&self, link: LinkId, frame: lanchat_proto::frame::Frame) {
        if let Some(link) = self.links.get(&link)
            && let Err(error) = link.send(frame)
        {
            tracing::debug!(link = link.id().0, %error, "Frame not taken");
            link.close(Close::Now);
        }
    }
}
