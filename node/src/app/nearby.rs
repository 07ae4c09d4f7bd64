//! The own network as mDNS shows it to a membership: who of its realm is announced, and where its coordinator is.
//!
//! Keeps true: mDNS runs when the command line and the settings both allow it, and its failure stops nothing; only what
//! names the own realm gets through, and whatever was told is taken back when mDNS ends. All of it are hints.
//! Goes in: [`DiscoveryEvent`]s. Goes out: [`News`] for the event loop.

use lanchat_net::{
    Announced, Discovery, DiscoveryConfig, DiscoveryEvent, DiscoveryState, DiscoveryStatus, Found, Service,
};
use lanchat_proto::ids::{DeviceId, RealmId};
use lanchat_proto::wire::Endpoint;
use std::collections::BTreeSet;
use tokio::sync::mpsc;

/// Addresses of the coordinator that are believed from the own network; further ones are left out.
pub(crate) const MAX_COORDINATOR_ADDRESSES: usize = 4;

/// What the own network brings.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A device of the realm is announced.
    Announced(DeviceId, Vec<Endpoint>),
    /// It is announced no more.
    NotAnnounced(DeviceId),
    /// The coordinator of the realm is announced at other addresses than before.
    Coordinator,
}

/// The own network.
#[derive(Debug)]
pub(crate) struct Nearby {
    device: DeviceId,
    realm: RealmId,
    /// The coordinator's key.
    pinned: Option<DeviceId>,
    running: Option<(Discovery, mpsc::Receiver<DiscoveryEvent>)>,
    /// Devices that were told as announced.
    told: BTreeSet<DeviceId>,
    /// Where the coordinator is announced.
    coordinator: Vec<Endpoint>,
}

impl Nearby {
    /// mDNS does not run yet.
    pub(crate) fn new(device: DeviceId, realm: RealmId, pinned: Option<DeviceId>) -> Self {
        Self { device, realm, pinned, running: None, told: BTreeSet::new(), coordinator: Vec::new() }
    }

    /// Starts mDNS; does nothing when it runs. On loopback only for a node that listens nowhere else, which then sees
    /// those of its kind.
    pub(crate) fn start(&mut self, listen: &[Endpoint], loopback: bool) {
        if self.running.is_none() {
            let announced = Announced { realm: self.realm, listen: listen.to_vec() };
            let mut config = DiscoveryConfig::new(self.device, Service::Node, announced);
            config.loopback = loopback;
            self.running = Some(Discovery::start(config));
        }
    }

    /// Ends mDNS: takes back what was told, and gives the rest of the work to whoever waits for the goodbye.
    pub(crate) fn stop(&mut self) -> (Vec<News>, Option<Discovery>) {
        self.coordinator.clear();
        let told = std::mem::take(&mut self.told);
        let news = told.into_iter().map(News::NotAnnounced).collect();
        (news, self.running.take().map(|(discovery, _)| discovery))
    }

    /// Announces and asks again: the network changed.
    pub(crate) fn refresh(&self) {
        if let Some((discovery, _)) = &self.running {
            discovery.refresh();
        }
    }

    /// How it goes; `None` when it was not started.
    pub(crate) fn status(&self) -> Option<DiscoveryStatus> {
        self.running.as_ref().map(|(discovery, _)| discovery.status())
    }

    /// Whether it really runs.
    pub(crate) fn is_running(&self) -> bool {
        self.status().is_some_and(|status| status.state == DiscoveryState::Running)
    }

    /// Where the coordinator is announced.
    pub(crate) fn coordinator(&self) -> &[Endpoint] {
        &self.coordinator
    }

    /// Waits for the next news; for ever while mDNS does not run.
    pub(crate) async fn next(&mut self) -> DiscoveryEvent {
        if let Some((_, events)) = &mut self.running
            && let Some(event) = events.recv().await
        {
            return event;
        }
        std::future::pending().await
    }

    /// What an event means here.
    pub(crate) fn take(&mut self, event: DiscoveryEvent) -> Option<News> {
        match event {
            DiscoveryEvent::Found(found) if found.realm == self.realm => self.found(found),
            DiscoveryEvent::Lost(lost) if lost.realm == self.realm => match lost.service {
                Service::Node => self.told.remove(&lost.device).then_some(News::NotAnnounced(lost.device)),
                Service::Coordinator => {
                    if Some(lost.device) == self.pinned {
                        self.coordinator.clear();
                    }
                    None
                }
            },
            DiscoveryEvent::Found(_) | DiscoveryEvent::Lost(_) => None,
        }
    }

    fn found(&mut self, found: Found) -> Option<News> {
        match found.service {
            Service::Node => {
                self.told.insert(found.device);
                Some(News::Announced(found.device, found.endpoints))
            }
            Service::Coordinator => {
                let mut endpoints = found.endpoints;
                endpoints.truncate(MAX_COORDINATOR_ADDRESSES);
                let news = Some(found.device) == self.pinned && endpoints != self.coordinator;
                if news {
                    self.coordinator = endpoints;
                }
                news.then_some(News::Coordinator)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanchat_net::Lost;

    const HOME: RealmId = RealmId([1; 32]);
    const ELSEWHERE: RealmId = RealmId([2; 32]);
    const BOB: DeviceId = DeviceId([7; 32]);
    const OFFICE: DeviceId = DeviceId([8; 32]);

    fn nearby() -> Nearby {
        Nearby::new(DeviceId([1; 32]), HOME, Some(OFFICE))
    }

    fn at(text: &str) -> Vec<Endpoint> {
        vec![Endpoint::new(text.parse().unwrap())]
    }

    fn found(service: Service, device: DeviceId, realm: RealmId, place: &str) -> DiscoveryEvent {
        DiscoveryEvent::Found(Found { service, device, realm, endpoints: at(place), version: 1 })
    }

    #[test]
    fn only_the_own_realm_gets_through() {
        let mut nearby = nearby();
        assert_eq!(nearby.take(found(Service::Node, BOB, ELSEWHERE, "10.0.0.2:1")), None);
        let news = nearby.take(found(Service::Node, BOB, HOME, "10.0.0.2:1"));
        assert_eq!(news, Some(News::Announced(BOB, at("10.0.0.2:1"))));
        let lost = |realm| DiscoveryEvent::Lost(Lost { service: Service::Node, device: BOB, realm });
        assert_eq!(nearby.take(lost(ELSEWHERE)), None);
        assert_eq!(nearby.take(lost(HOME)), Some(News::NotAnnounced(BOB)));
        assert_eq!(nearby.take(lost(HOME)), None);
    }

    #[test]
    fn a_coordinator_counts_when_it_is_the_pinned_one_and_moved() {
        let mut nearby = nearby();
        assert_eq!(nearby.take(found(Service::Coordinator, BOB, HOME, "10.0.0.9:7422")), None);
        assert_eq!(nearby.take(found(Service::Coordinator, OFFICE, ELSEWHERE, "10.0.0.9:7422")), None);
        assert!(nearby.coordinator().is_empty());
        let here = || found(Service::Coordinator, OFFICE, HOME, "10.0.0.5:7422");
        assert_eq!(nearby.take(here()), Some(News::Coordinator));
        assert_eq!(nearby.take(here()), None);
        assert_eq!(nearby.coordinator(), at("10.0.0.5:7422"));
    }

    #[test]
    fn what_was_told_is_taken_back_at_the_end() {
        let mut nearby = nearby();
        nearby.take(found(Service::Node, BOB, HOME, "10.0.0.2:1"));
        nearby.take(found(Service::Coordinator, OFFICE, HOME, "10.0.0.5:7422"));
        let (news, discovery) = nearby.stop();
        assert_eq!(news, [News::NotAnnounced(BOB)]);
        assert!(discovery.is_none() && nearby.coordinator().is_empty());
    }
}
