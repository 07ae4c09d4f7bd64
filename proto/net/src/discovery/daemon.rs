//! One run of `mdns-sd`: its thread, its channels, and how much of others' records it holds.
//!
//! Keeps true: the thread ends with this value; an end of its own, an overflow of its channels and a flood (its cache
//! has no bound) are an error here, after which a new run begins with nothing.

use super::record::write;
use super::{Announced, DiscoveryConfig, DiscoveryError, Service, probe};
use crate::limits::{
    MDNS_FOUND, MDNS_GOODBYE, MDNS_INTERFACES, MDNS_RECORDS, MDNS_REPLAY, MDNS_TIMERS, MDNS_UNANSWERED,
};
use futures::stream::{BoxStream, SelectAll, StreamExt, once};
use mdns_sd::{DaemonEvent, Error, IfKind, IfPredicate, Metrics, ServiceDaemon, ServiceEvent, ServiceInfo};
use std::collections::BTreeMap;
use std::future::ready;
use tokio::time::sleep;
use tracing::debug;

/// What is heard of it.
pub(crate) enum Heard {
    /// Something about an announcement.
    Service(Service, ServiceEvent),
    /// Something about itself.
    Daemon(DaemonEvent),
}

/// A run.
pub(crate) struct Daemon {
    inner: ServiceDaemon,
    browse: Vec<Service>,
    /// Events of each search; `None` when it ended.
    searches: SelectAll<BoxStream<'static, (Service, Option<ServiceEvent>)>>,
    notices: BoxStream<'static, DaemonEvent>,
    /// What is announced now, by name.
    announced: BTreeMap<String, ServiceInfo>,
    /// Instances found in this run.
    found: usize,
    /// Records of others at the last look.
    records: i64,
    look: Option<mdns_sd::Receiver<Metrics>>,
    unanswered: u32,
}

/// Nothing that this crate asks of `mdns-sd` is wrong, so any failure means that the run is over.
fn ended(error: Error) -> DiscoveryError {
    DiscoveryError::Ended(error.to_string())
}

impl Daemon {
    /// Begins: chooses the adapters. Neither announces nor searches yet.
    pub(crate) fn start(config: &DiscoveryConfig) -> Result<Self, DiscoveryError> {
        probe::check(config.udp_port, config.loopback)?;
        let inner = ServiceDaemon::new_with_port(config.udp_port).map_err(ended)?;
        let notices = inner.monitor().map_err(ended)?.into_stream().boxed();
        let daemon = Self {
            inner,
            browse: Vec::new(),
            searches: SelectAll::new(),
            notices,
            announced: BTreeMap::new(),
            found: 0,
            records: 0,
            look: None,
            unanswered: 0,
        };
        if !config.loopback {
            let loopback = IfPredicate::new(|adapter| adapter.is_loopback());
            daemon.inner.disable_interface(IfKind::Predicate(loopback)).map_err(ended)?;
        }
        daemon.inner.set_ip_check_interval(MDNS_INTERFACES).map_err(ended)?;
        Ok(daemon)
    }

    /// What it looks for.
    pub(crate) fn browse(&self) -> &[Service] {
        &self.browse
    }

    /// Looks for these and for nothing else: asks the network, and `mdns-sd` for all that it knows already.
    pub(crate) fn search(&mut self, browse: &[Service]) -> Result<(), DiscoveryError> {
        self.searches = SelectAll::new();
        for service in self.browse.iter().filter(|service| !browse.contains(service)) {
            self.inner.stop_browse(service.dns_name()).map_err(ended)?;
        }
        self.browse = browse.to_vec();
        for service in self.browse.iter().copied() {
            let events = self.inner.browse(service.dns_name()).map_err(ended)?.into_stream();
            let end = once(ready((service, None)));
            self.searches.push(events.map(move |event| (service, Some(event))).chain(end).boxed());
        }
        Ok(())
    }

    /// Asks again, unless so much is known that the answer would overflow.
    pub(crate) fn search_again(&mut self) -> Result<(), DiscoveryError> {
        if self.records > MDNS_REPLAY {
            return Ok(());
        }
        let browse = self.browse.clone();
        self.search(&browse)
    }

    /// Announces this, again where it is announced already, and says goodbye for what is no longer so.
    pub(crate) fn announce(
        &mut self,
        config: &DiscoveryConfig,
        wanted: &Announced,
    ) -> Result<(), DiscoveryError> {
        let infos = write(&config.device, config.service, wanted, config.loopback).map_err(ended)?;
        let named = infos.into_iter().map(|info| (info.get_fullname().to_owned(), info));
        let infos: BTreeMap<String, ServiceInfo> = named.collect();
        for name in self.announced.keys().filter(|name| !infos.contains_key(*name)) {
            // Its answer says only whether the name was known.
            drop(self.inner.unregister(name).map_err(ended)?);
        }
        for info in infos.values() {
            self.inner.register(info.clone()).map_err(ended)?;
        }
        self.announced = infos;
        Ok(())
    }

    /// The next thing that is heard. May be dropped and called again.
    pub(crate) async fn heard(&mut self) -> Result<Heard, DiscoveryError> {
        tokio::select! {
            event = self.searches.next(), if !self.searches.is_empty() => match event {
                Some((service, Some(event))) => {
                    self.count(&event)?;
                    Ok(Heard::Service(service, event))
                }
                // It ended because too much was waiting in it: what is known here may be wrong from now on.
                Some((_, None)) | None => Err(DiscoveryError::Ended("a search ended".to_owned())),
            },
            notice = self.notices.next() => match notice {
                Some(notice) => Ok(Heard::Daemon(notice)),
                None => Err(DiscoveryError::Ended("its thread ended".to_owned())),
            },
        }
    }

    /// Counts instances: `mdns-sd` remembers the name of each one that it ever resolved.
    fn count(&mut self, event: &ServiceEvent) -> Result<(), DiscoveryError> {
        if matches!(event, ServiceEvent::ServiceFound(..)) {
            self.found += 1;
        }
        if self.found > MDNS_FOUND { Err(DiscoveryError::Flooded) } else { Ok(()) }
    }

    /// Looks at how much is held, or rather at the answer to the previous look, so as not to wait for it.
    pub(crate) fn check(&mut self) -> Result<(), DiscoveryError> {
        if let Some(look) = &self.look {
            let Ok(held) = look.try_recv() else {
                self.unanswered += 1;
                return if self.unanswered > MDNS_UNANSWERED { Err(DiscoveryError::Flooded) } else { Ok(()) };
            };
            let of = |name: &str| held.get(name).copied().unwrap_or_default();
            let kinds = ["cached-ptr", "cached-srv", "cached-addr", "cached-txt", "cached-nsec"];
            let records = kinds.into_iter().map(of).sum::<i64>() + of("cached-subtype");
            let timers = of("timer");
            if records > MDNS_RECORDS || timers > MDNS_TIMERS {
                debug!(records, timers, "mDNS is flooded");
                return Err(DiscoveryError::Flooded);
            }
            self.records = of("cached-ptr");
        }
        self.unanswered = 0;
        self.look = Some(self.inner.get_metrics().map_err(ended)?);
        Ok(())
    }

    /// Says goodbye, more than once since it may be lost. The thread ends when this is dropped.
    pub(crate) async fn goodbye(self) {
        for name in self.announced.keys() {
            if let Err(error) = self.inner.unregister(name) {
                debug!(%error, "No goodbye");
            }
        }
        if self.announced.is_empty() {
            return;
        }
        sleep(MDNS_GOODBYE).await;
        // A thread that was held up meanwhile has sent an answer, made before, behind its goodbyes, and others believe the
        // last word. Whatever is registered when the thread ends gets a goodbye that nothing follows; until then
        // nothing is said of what would first be probed.
        for info in self.announced.values() {
            let mut info = info.clone();
            info.set_requires_probe(true);
            if let Err(error) = self.inner.register(info) {
                debug!(%error, "No last goodbye");
            }
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The thread holds its own end of the command channel, so it has to be told.
        if let Err(error) = self.inner.shutdown() {
            debug!(%error, "mDNS was not told to end");
        }
    }
}
