//! The task behind [`super::Discovery`]: runs of mDNS, one after another, and the news that come of them.
//!
//! Keeps true: waits for nothing but its select; a run that fails is followed by another after a pause; a slow reader
//! holds up only its own news.

use super::daemon::{Daemon, Heard};
use super::record::{Unreadable, read};
use super::table::Table;
use super::{DiscoveryConfig, DiscoveryError, DiscoveryEvent, DiscoveryState, Progress, Service, Wanted};
use crate::limits::{MDNS_ASK, MDNS_CHECK, MDNS_RETRY, MDNS_RETRY_MAX, MDNS_STALE};
use crate::lock;
use mdns_sd::{DaemonEvent, ServiceEvent};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep, sleep_until};
use tracing::{debug, info, warn};

/// The task's state.
pub(crate) struct Task {
    config: DiscoveryConfig,
    wanted: watch::Receiver<Wanted>,
    again: Arc<Notify>,
    /// Resolves when the handle stops or drops.
    stopped: oneshot::Receiver<()>,
    /// `None` once nobody reads.
    news: Option<mpsc::Sender<DiscoveryEvent>>,
    progress: Arc<Mutex<Progress>>,
    table: Table,
}

impl Task {
    /// Not running yet.
    pub(crate) fn new(
        config: DiscoveryConfig,
        wanted: watch::Receiver<Wanted>,
        again: Arc<Notify>,
        stopped: oneshot::Receiver<()>,
        news: mpsc::Sender<DiscoveryEvent>,
        progress: Arc<Mutex<Progress>>,
    ) -> Self {
        let table = Table::new(config.device);
        Self { config, wanted, again, stopped, news: Some(news), progress, table }
    }

    /// Runs until it is stopped.
    pub(crate) async fn run(mut self) {
        let mut pause = MDNS_RETRY;
        loop {
            let began = Instant::now();
            let Err(error) = self.serve().await else { break };
            if began.elapsed() > MDNS_RETRY_MAX {
                pause = MDNS_RETRY;
            }
            self.waits(&error);
            let patient = wait(&error, &mut pause);
            tokio::select! {
                _ = &mut self.stopped => break,
                () = self.again.notified(), if error != DiscoveryError::Flooded => {}
                () = sleep(patient) => {}
            }
        }
        self.state(DiscoveryState::Stopped);
    }

    /// One run of mDNS; ends in order only when all is over.
    async fn serve(&mut self) -> Result<(), DiscoveryError> {
        let mut daemon = Daemon::start(&self.config)?;
        self.table.begin();
        self.apply(&mut daemon)?;
        self.state(DiscoveryState::Running);
        info!(port = self.config.udp_port, "mDNS runs");
        let now = Instant::now();
        let mut check = interval(MDNS_CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ask = interval_at(now + MDNS_ASK, MDNS_ASK);
        ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let sweep = sleep_until(now + MDNS_STALE);
        tokio::pin!(sweep);
        let mut swept = false;
        loop {
            let unread = self.news.clone().filter(|_| self.table.has_news());
            tokio::select! {
                _ = &mut self.stopped => {
                    daemon.goodbye().await;
                    return Ok(());
                }
                Ok(()) = self.wanted.changed() => self.apply(&mut daemon)?,
                () = self.again.notified() => self.once_more(&mut daemon)?,
                heard = daemon.heard() => match heard? {
                    Heard::Service(service, event) => self.service(service, event),
                    Heard::Daemon(event) => self.notice(event, &mut daemon)?,
                },
                permit = reserve(unread) => match permit {
                    Some(permit) => {
                        if let Some(event) = self.table.tell() {
                            permit.send(event);
                        }
                    }
                    None => self.news = None,
                },
                _ = check.tick() => daemon.check()?,
                _ = ask.tick() => daemon.search_again()?,
                () = &mut sweep, if !swept => {
                    swept = true;
                    self.table.sweep();
                }
            }
            lock(&self.progress).devices = self.table.len();
        }
    }

    /// Announces and asks again.
    fn once_more(&mut self, daemon: &mut Daemon) -> Result<(), DiscoveryError> {
        let wanted = self.wanted.borrow().clone();
        daemon.announce(&self.config, &wanted.announced)?;
        daemon.search_again()
    }

    /// Does what the owner wants now.
    fn apply(&mut self, daemon: &mut Daemon) -> Result<(), DiscoveryError> {
        let wanted = self.wanted.borrow_and_update().clone();
        daemon.announce(&self.config, &wanted.announced)?;
        if daemon.browse() != wanted.browse {
            daemon.search(&wanted.browse)?;
            self.table.keep(&wanted.browse);
        }
        Ok(())
    }

    /// Something about an announcement.
    fn service(&mut self, service: Service, event: ServiceEvent) {
        match event {
            ServiceEvent::ServiceResolved(resolved) => {
                let name = resolved.get_fullname();
                match read(&resolved, self.config.loopback) {
                    Ok(record) if record.device == self.config.device => {}
                    Ok(record) => {
                        lock(&self.progress).heard = Some(std::time::Instant::now());
                        let device = record.device;
                        if !self.table.file(service, name, record) {
                            debug!(device = %device.short(), "No room for a device in the local network");
                        }
                    }
                    Err(Unreadable::Incomplete) => {}
                    Err(Unreadable::Bad(key)) => {
                        debug!(key, "An announcement in the local network is left out");
                        self.table.forget(service, name);
                    }
                }
            }
            ServiceEvent::ServiceRemoved(_, name) => self.table.forget(service, &name),
            _ => {}
        }
    }

    /// Something about mDNS itself.
    fn notice(&mut self, event: DaemonEvent, daemon: &mut Daemon) -> Result<(), DiscoveryError> {
        match event {
            DaemonEvent::Announce(..) => lock(&self.progress).announcements += 1,
            DaemonEvent::Error(error) => warn!(%error, "mDNS reports an error"),
            DaemonEvent::IpAdd(address) => {
                debug!(%address, "mDNS speaks at a new address");
                // It announces and asks there once; a new link often loses the first packets.
                return self.once_more(daemon);
            }
            DaemonEvent::IpDel(address) => debug!(%address, "mDNS lost an address"),
            DaemonEvent::NameChange(change) => debug!(?change, "mDNS took another name"),
            _ => {}
        }
        Ok(())
    }

    fn state(&self, state: DiscoveryState) {
        lock(&self.progress).state = state;
    }

    /// Notes why it does not run; tells it once, not at each attempt.
    fn waits(&self, error: &DiscoveryError) {
        let state = DiscoveryState::Waiting(error.clone());
        let mut progress = lock(&self.progress);
        if progress.state != state {
            warn!(%error, "mDNS does not run");
        }
        progress.state = state;
    }
}

/// How long to wait after this error. A missing adapter may come at any moment and is looked for often.
fn wait(error: &DiscoveryError, pause: &mut Duration) -> Duration {
    match error {
        DiscoveryError::NoInterface | DiscoveryError::NoMulticast(_) => MDNS_RETRY,
        DiscoveryError::Port { .. } | DiscoveryError::Flooded | DiscoveryError::Ended(_) => {
            let now = *pause;
            *pause = (now * 2).min(MDNS_RETRY_MAX);
            now
        }
    }
}

/// A place in the reader's queue; `None` when it is gone. Without a queue nothing is waited for.
async fn reserve(news: Option<mpsc::Sender<DiscoveryEvent>>) -> Option<mpsc::OwnedPermit<DiscoveryEvent>> {
    match news {
        Some(news) => news.reserve_owned().await.ok(),
        None => std::future::pending().await,
    }
}
