//! Every way to a device: its addresses, direct dials, dial-back, circuits through the coordinator, and back to direct.
//!
//! Keeps true: whoever is wanted and has any way gets a link; the best way is tried first and tried for again as long as
//! a worse one is used. Goes in: presence, announcements, lost links, outcomes of dials, the coordinator's answers. Goes
//! out: `Dial`, `Reserve`, frames to the coordinator. The rules: `docs/protocol.md#reach`.

mod addresses;
mod circuits;
mod dialer;
mod probes;

pub use addresses::Subnet;
pub(crate) use addresses::{Hints, Place, ranked};

use crate::boot::DialId;
use crate::limits::{MAX_ANNOUNCED, MAX_TRIED};
use crate::state::NodeState;
use crate::timers::Timer;
use crate::view::{AddressView, ReachView, Route, Source};
use lanchat_proto::ids::{DeviceId, UserId};
use lanchat_proto::limits::MAX_ENDPOINTS;
use lanchat_proto::time::Mono;
use lanchat_proto::wire::Endpoint;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What was tried at an address, and when.
#[derive(Clone, Debug)]
struct Tried {
    endpoint: Endpoint,
    /// `None`: it answered.
    failure: Option<String>,
    at: Mono,
}

/// How far the search for a way to one device is.
#[derive(Clone, Default, Debug)]
struct Pursuit {
    /// Direct rounds in a row that came to nothing.
    failures: u32,
    /// Circuits in a row that came to nothing.
    circuit_failures: u32,
    /// The coordinator said that a circuit may be dialled.
    granted: bool,
    tried: Vec<Tried>,
    /// What became of the last circuit.
    circuit_failure: Option<String>,
}

impl Pursuit {
    fn note(&mut self, endpoint: Endpoint, failure: Option<String>, at: Mono) {
        self.tried.retain(|tried| tried.endpoint != endpoint);
        if self.tried.len() >= MAX_TRIED {
            self.tried.remove(0);
        }
        self.tried.push(Tried { endpoint, failure, at });
    }
}

/// The search for ways to all devices.
#[derive(Clone, Default)]
pub(crate) struct Reach {
    next_id: u64,
    /// Dials under way: to whom, and whether directly or through the coordinator.
    under_way: BTreeMap<DialId, (DeviceId, Route)>,
    pursuits: BTreeMap<DeviceId, Pursuit>,
    /// Devices whose turn came while too many dials were under way, and the same as a set.
    queue: VecDeque<DeviceId>,
    queued: BTreeSet<DeviceId>,
    /// Devices that announce themselves on the own network.
    pub(crate) announced: BTreeMap<DeviceId, Vec<Endpoint>>,
    /// Those of them that said goodbye, until their announcement ends or `GOODBYE_HOLDS` is over.
    left: BTreeMap<DeviceId, Vec<Endpoint>>,
    /// Introductions asked for.
    introductions: BTreeMap<u64, DeviceId>,
    probes: probes::Probes,
}

impl Reach {
    pub(crate) fn next_id(&mut self) -> DialId {
        self.next_id += 1;
        DialId(self.next_id)
    }

    fn is_dialling(&self, device: &DeviceId, route: Route) -> bool {
        self.under_way.values().any(|other| *other == (*device, route))
    }

    fn announced(&self, device: &DeviceId) -> &[Endpoint] {
        self.announced.get(device).map(Vec::as_slice).unwrap_or_default()
    }
}

impl NodeState {
    /// Devices in the peer table, and those that only announce themselves.
    fn devices_anywhere(&self) -> BTreeSet<DeviceId> {
        self.peers.devices.keys().chain(self.reach.announced.keys()).copied().collect()
    }

    /// Whether this node keeps a link to a device, when it can.
    fn wants(&self, device: &DeviceId) -> bool {
        if *device == self.me.device || self.stopping || self.is_revoked(device) {
            return false;
        }
        let announced = self.reach.announced.contains_key(device);
        let everybody = self.peers.users.len() <= self.settings.mesh_size;
        let Some(row) = self.peers.devices.get(device) else { return announced && everybody };
        let reachable = row.online.is_some() || announced || !self.session.is_on();
        reachable && (everybody || row.user == self.me.user || self.logs.talks_with(&self.me.user, &row.user))
    }

    /// Whether a link to a device stands, or is being accepted; one that fell silent does not count.
    fn stands(&self, device: &DeviceId, direct_only: bool) -> bool {
        let now = self.now.mono;
        let mut links = self.links.of_device(device);
        links.any(|(_, link)| !(link.is_suspect(now) || (direct_only && link.relayed)))
    }

    fn has_direct(&self, device: &DeviceId) -> bool {
        self.stands(device, true)
    }

    fn has_any(&self, device: &DeviceId) -> bool {
        self.stands(device, false)
    }

    /// The address book's page of a device, best first.
    fn addresses(&self, device: &DeviceId) -> Vec<(Endpoint, Source)> {
        let row = self.peers.devices.get(device);
        let online = row.and_then(|row| row.online.as_ref());
        let hints = Hints {
            told: online.map(|online| &*online.endpoints).unwrap_or_default(),
            announced: self.reach.announced(device),
            last: row.and_then(|row| row.known.as_ref()).and_then(|known| known.endpoint),
            same_host: online.is_some_and(|online| online.host.0 == self.me.host),
        };
        ranked(hints, &self.me.place)
    }

    /// The address to dial a device at another time, as far as a direct link tells: the one that was dialled, or for an
    /// accepted link the one at the same host that the device told or announced.
    pub(crate) fn good_endpoint(&self, id: &DeviceId, remote: Endpoint, dialler: bool) -> Option<Endpoint> {
        if dialler {
            return Some(remote);
        }
        let online = self.peers.devices.get(id).and_then(|row| row.online.as_ref());
        let told = online.iter().flat_map(|online| online.endpoints.iter());
        let mut all = told.chain(self.reach.announced(id));
        all.find(|endpoint| endpoint.ip() == remote.ip()).copied()
    }

    /// A device is on, or its addresses changed.
    pub(crate) fn device_appeared(&mut self, device: &DeviceId, came: bool) {
        if self.has_direct(device) || !self.wants(device) {
            return;
        }
        if let Some(pursuit) = self.reach.pursuits.get_mut(device) {
            pursuit.failures = 0;
            pursuit.circuit_failures = 0;
        }
        if came || self.timers.is_set(Timer::Dial(*device)) {
            let wait = self.head_start(device);
            self.timers.set(Timer::Dial(*device), self.after(wait));
        } else {
            self.dial_soon(*device, std::time::Duration::ZERO);
        }
    }

    /// A device announced itself on the own network: a hint where it may be, nothing more.
    pub(crate) fn announced(&mut self, device: DeviceId, mut endpoints: Vec<Endpoint>) {
        let known = self.reach.announced.contains_key(&device);
        if device == self.me.device || (!known && self.reach.announced.len() >= MAX_ANNOUNCED) {
            return;
        }
        endpoints.retain(Endpoint::is_usable);
        endpoints.truncate(MAX_ENDPOINTS);
        self.reach.left.remove(&device);
        let news = self.reach.announced.get(&device) != Some(&endpoints);
        self.reach.announced.insert(device, endpoints);
        if news {
            let came = !known && !self.peers.is_online(&device);
            self.device_appeared(&device, came);
        }
    }

    /// A device said goodbye: what was announced of it does not count for now.
    pub(crate) fn announced_one_left(&mut self, device: &DeviceId) {
        if let Some(endpoints) = self.reach.announced.remove(device) {
            self.reach.left.insert(*device, endpoints);
        }
    }

    /// A device that said goodbye is announced all the same: it is back, and nobody says so twice.
    pub(crate) fn announced_in_spite(&mut self, device: &DeviceId) {
        if let Some(endpoints) = self.reach.left.remove(device) {
            self.announced(*device, endpoints);
        }
    }

    /// A device is no longer announced: it left, or its network did.
    pub(crate) fn not_announced(&mut self, device: &DeviceId) {
        self.reach.left.remove(device);
        if self.reach.announced.remove(device).is_some() && !self.wants(device) {
            self.forget_way(device);
        }
    }

    /// The device is off: nothing is tried until it is on again.
    pub(crate) fn forget_way(&mut self, device: &DeviceId) {
        self.reach.pursuits.remove(device);
        if !self.wants(device) {
            for timer in [Timer::Dial(*device), Timer::DialBack(*device), Timer::Circuit(*device)] {
                self.timers.cancel(timer);
            }
        }
    }

    /// A hello was accepted.
    pub(crate) fn way_found(&mut self, device: &DeviceId, relayed: bool) {
        self.timers.cancel(Timer::DialBack(*device));
        self.timers.cancel(Timer::Circuit(*device));
        let pursuit = self.reach.pursuits.entry(*device).or_default();
        pursuit.circuit_failures = 0;
        pursuit.granted = false;
        if relayed {
            pursuit.circuit_failure = None;
            self.dial_after_wait(*device);
        } else {
            pursuit.failures = 0;
            self.timers.cancel(Timer::Dial(*device));
        }
    }

    /// A link is gone: one that had been up is tried again at once, another after a wait.
    pub(crate) fn link_lost(&mut self, device: &DeviceId, was_up: bool, relayed: bool) {
        if self.has_direct(device) || !self.wants(device) {
            return;
        }
        if relayed {
            self.circuit_lost(device);
        } else if was_up {
            let wait = self.rng.between(std::time::Duration::ZERO, crate::limits::DIAL_JITTER);
            self.dial_soon(*device, wait);
        } else {
            self.dial_after_failure(*device);
        }
    }

    /// A link fell silent: other ways are tried beside it, since people should not wait until it counts as dead.
    pub(crate) fn link_suspect(&mut self, device: &DeviceId) {
        if self.has_any(device) || !self.wants(device) {
            return;
        }
        self.timers.set(Timer::Dial(*device), self.now.mono);
        let wait = self.turn(device);
        self.timers.set(Timer::Circuit(*device), self.after(wait));
    }

    /// Waits end now: the network changed, or the coordinator is gone and known devices are tried without it.
    pub(crate) fn redial_all(&mut self) {
        for device in self.devices_anywhere() {
            if !self.has_direct(&device) && self.wants(&device) {
                if let Some(pursuit) = self.reach.pursuits.get_mut(&device) {
                    pursuit.failures = 0;
                }
                let wait = self.rng.between(std::time::Duration::ZERO, crate::limits::DIAL_JITTER);
                self.timers.set(Timer::Dial(device), self.after(wait));
            }
        }
    }

    /// What is known and was tried to reach the devices of others, for whoever asks why somebody is not reached.
    #[must_use]
    pub fn ways(&self) -> Vec<ReachView> {
        let devices = self.devices_anywhere();
        let others = devices.iter().filter(|device| **device != self.me.device);
        others.map(|device| self.ways_to(device)).collect()
    }

    fn ways_to(&self, device: &DeviceId) -> ReachView {
        let pursuit = self.reach.pursuits.get(device);
        let tried = |endpoint: &Endpoint| {
            pursuit.and_then(|pursuit| pursuit.tried.iter().find(|tried| tried.endpoint == *endpoint))
        };
        let mut addresses = self.addresses(device);
        for tried in pursuit.iter().flat_map(|pursuit| &pursuit.tried) {
            if !addresses.iter().any(|(endpoint, _)| *endpoint == tried.endpoint) {
                addresses.push((tried.endpoint, Source::Forgotten));
            }
        }
        let view = |(endpoint, source): (Endpoint, Source)| AddressView {
            endpoint,
            source,
            tried_ago: tried(&endpoint).map(|tried| self.now.mono.since(tried.at)),
            failure: tried(&endpoint).and_then(|tried| tried.failure.clone()),
        };
        let link = self.peers.link_of(device).and_then(|link| self.links.get(link));
        let next =
            self.timers.at(Timer::Dial(*device)).into_iter().chain(self.timers.at(Timer::Circuit(*device)));
        ReachView {
            device: *device,
            user: self.peers.user_of(device).unwrap_or(UserId([0; 16])),
            route: link.map_or(Route::None, |link| link.route()),
            addr: link.map(|link| link.remote),
            wanted: self.wants(device),
            addresses: addresses.into_iter().map(view).collect(),
            circuit_failure: pursuit.and_then(|pursuit| pursuit.circuit_failure.clone()),
            next_try: next.min().map(|at| at.since(self.now.mono)),
        }
    }
}
