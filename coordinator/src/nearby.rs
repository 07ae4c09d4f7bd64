//! The coordinator's announcement in the local network, by which devices find it without a join link's address.
//!
//! Keeps true: that it cannot be announced stops nothing and stands in the status; the end says goodbye. Only a hint:
//! devices take a coordinator by its key. Goes in: where it listens. Goes out: how it goes.

use lanchat_net::{Announced, Discovery, DiscoveryConfig, DiscoveryState, Service};
use lanchat_proto::ids::{DeviceId, RealmId};
use lanchat_proto::wire::Endpoint;
use std::sync::{Arc, Mutex, PoisonError};

/// How the announcement goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// `off`, `starting`, `running`, `waiting`.
    pub(crate) state: &'static str,
    /// What it waits for.
    pub(crate) reason: Option<String>,
    /// Adapters that it uses, with their addresses.
    pub(crate) interfaces: Vec<String>,
}

/// The announcement. Clones are handles of the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nearby(Arc<Mutex<Option<Discovery>>>);

impl Nearby {
    /// Announces, on loopback only for a coordinator that listens nowhere else.
    pub(crate) fn start(device: DeviceId, realm: RealmId, bound: &[Endpoint]) -> Self {
        let loopback = bound.iter().all(|endpoint| endpoint.ip().is_loopback());
        let announced = Announced { realm, listen: bound.to_vec() };
        let usual = DiscoveryConfig::new(device, Service::Coordinator, announced);
        // It looks for nobody, so nobody reads the news.
        let (discovery, _) = Discovery::start(DiscoveryConfig { loopback, browse: Vec::new(), ..usual });
        Self(Arc::new(Mutex::new(Some(discovery))))
    }

    /// How it goes.
    pub(crate) fn status(&self) -> Status {
        let discovery = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let off = || Status { state: "off", reason: None, interfaces: Vec::new() };
        let Some(status) = discovery.as_ref().map(Discovery::status) else { return off() };
        let (state, reason) = match status.state {
            DiscoveryState::Starting => ("starting", None),
            DiscoveryState::Running => ("running", None),
            DiscoveryState::Waiting(error) => ("waiting", Some(error.to_string())),
            DiscoveryState::Stopped => ("off", None),
        };
        let addresses = status.interfaces.into_iter().map(|(name, addresses)| {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            format!("{name} ({})", addresses.join(" "))
        });
        Status { state, reason, interfaces: addresses.collect() }
    }

    /// Says goodbye and ends. Does nothing the second time.
    pub(crate) async fn stop(&self) {
        let discovery = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(discovery) = discovery {
            discovery.stop().await;
        }
    }
}
