//! A device that is signed in and nothing more: it gives signs of life and hears who comes and goes.
//!
//! Keeps true: presence is followed exactly as deltas are numbered; profiles are read only as far as their mark, and
//! their certificates are not checked. It listens nowhere, so nobody links to it.

use crate::error::BenchError;
use crate::light::office::{Identity, Office, receive, send};
use crate::light::random;
use lanchat_net::{Close, Link, Net, NetConfig, NetEvent, NetHandle};
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{DeviceId, Epoch};
use lanchat_proto::limits::HEARTBEAT;
use lanchat_proto::version::Version;
use lanchat_proto::wire::coordinator::{
    AskSnapshot, Change, Delta, DeviceReport, Directory, DirectoryMark, SignIn, SignedIn, Snapshot,
};
use lanchat_proto::wire::link::{Goodbye, GoodbyeReason, Heartbeat};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Called for each change of presence that a session hears, with the session's number.
pub type Watcher = Arc<dyn Fn(usize, &Change) + Send + Sync>;

/// What a session knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Devices that are on, its own included.
    pub online: usize,
    /// How new its copy of the directory is.
    pub directory: DirectoryMark,
    /// Whether that copy is complete.
    pub complete: bool,
    /// Whether the coordinator hung up.
    pub lost: bool,
}

/// A signed-in device; one that is dropped leaves.
#[derive(Debug)]
pub struct Session {
    /// What it knows.
    pub known: watch::Receiver<Known>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Session {
    /// Signs a device in. `directory`: how new the copy is that it has from an earlier session.
    ///
    /// # Errors
    /// [`BenchError`], with the coordinator's reason when it refuses.
    pub async fn sign_in(
        office: &Office,
        identity: &Identity,
        directory: DirectoryMark,
        number: usize,
        watcher: Watcher,
    ) -> Result<Self, BenchError> {
        let config = NetConfig::new(identity.key.clone(), Vec::new());
        let (net, mut events) = Net::start(config).map_err(BenchError::failed("starting the network"))?;
        let link = office.connect(&net, &mut events).await?;
        let sign_in = SignIn {
            request: 1,
            versions: BoundedVec::first(Version::offered()),
            realm: office.realm,
            certificate: identity.certificate.clone(),
            chain: identity.chain.clone(),
            epoch: Epoch(u64::from_le_bytes(random()?)),
            directory,
            revocations: BoundedVec::empty(),
            report: DeviceReport::default(),
        };
        send(&link, Kind::SignIn, &sign_in)?;
        let signed_in: SignedIn = receive(&mut events, Kind::SignedIn).await?;
        let (view, known) = watch::channel(Known { directory, ..Known::default() });
        let (stop, stopped) = oneshot::channel();
        let following = Following {
            link,
            run: signed_in.run,
            delta: None,
            online: BTreeSet::new(),
            view,
            number,
            watcher,
        };
        let task = tokio::spawn(following.run(net, events, stopped));
        Ok(Self { known, stop, task })
    }

    /// Says goodbye and closes the connection; returns when the goodbye is on its way.
    pub fn leave(self) -> JoinHandle<()> {
        drop(self.stop);
        self.task
    }
}

struct Following {
    link: Link,
    run: u64,
    /// Number of the newest delta; `None` while a snapshot is awaited.
    delta: Option<u64>,
    online: BTreeSet<DeviceId>,
    view: watch::Sender<Known>,
    number: usize,
    watcher: Watcher,
}

impl Following {
    async fn run(
        mut self,
        net: NetHandle,
        mut events: mpsc::Receiver<NetEvent>,
        mut stopped: oneshot::Receiver<()>,
    ) {
        let mut beat = tokio::time::interval(HEARTBEAT);
        loop {
            let outcome = tokio::select! {
                biased;
                _ = &mut stopped => break,
                _ = beat.tick() => send(&self.link, Kind::Heartbeat, &Heartbeat { answer: false }),
                event = events.recv() => match event {
                    Some(NetEvent::Frame { frame, .. }) => self.frame(&frame),
                    Some(NetEvent::Closed { .. }) | None => {
                        self.view.send_modify(|known| known.lost = true);
                        break;
                    }
                    Some(_) => Ok(()),
                },
            };
            if outcome.is_err() {
                self.view.send_modify(|known| known.lost = true);
                break;
            }
        }
        // The link may be gone; then there is nobody to say goodbye to.
        drop(send(&self.link, Kind::Goodbye, &Goodbye { reason: GoodbyeReason::Leaving }));
        self.link.close(Close::AfterFlush);
        net.shutdown().await;
    }

    fn frame(&mut self, frame: &Frame) -> Result<(), BenchError> {
        let damaged = |error| BenchError::failed("a frame of the coordinator")(error);
        match frame.known() {
            Some(Kind::Snapshot) => self.snapshot(&frame.decode().map_err(damaged)?),
            Some(Kind::Delta) => self.delta(&frame.decode().map_err(damaged)?)?,
            Some(Kind::Directory) => {
                let page: Directory = frame.decode().map_err(damaged)?;
                self.view.send_modify(|known| {
                    known.complete = page.last;
                    if page.last {
                        known.directory = page.mark;
                    }
                });
            }
            Some(Kind::Heartbeat) => {
                if frame.decode::<Heartbeat>().map_err(damaged)?.answer {
                    send(&self.link, Kind::Heartbeat, &Heartbeat { answer: false })?;
                }
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    fn snapshot(&mut self, page: &Snapshot) {
        if page.first {
            self.online.clear();
        }
        self.online.extend(page.devices.iter().map(|online| online.device));
        if page.last {
            self.delta = Some(page.number);
            self.tell();
        }
    }

    fn delta(&mut self, delta: &Delta) -> Result<(), BenchError> {
        match self.delta {
            // What comes before the snapshot is in it.
            None => return Ok(()),
            Some(number) if delta.run != self.run || delta.number != number + 1 => {
                self.delta = None;
                return send(&self.link, Kind::AskSnapshot, &AskSnapshot { run: self.run });
            }
            Some(_) => self.delta = Some(delta.number),
        }
        for change in &delta.changes {
            match change {
                Change::Online(online) => self.online.insert(online.device),
                Change::Offline { device, .. } => self.online.remove(device),
            };
            (self.watcher)(self.number, change);
        }
        self.tell();
        Ok(())
    }

    fn tell(&self) {
        let online = self.online.len();
        self.view.send_if_modified(|known| {
            let news = known.online != online;
            known.online = online;
            news
        });
    }
}
