//! Who is dialled when, and at which addresses.
//!
//! Keeps true: of two devices that learn of each other the one with the smaller id dials first; a device has at most one
//! dial under way and all together at most [`MAX_DIALS`]; waits grow with failures and start anew when something
//! changed. Goes in: presence, lost links, outcomes. Goes out: `Dial`. The rules: `docs/protocol.md#reach`.

use crate::boot::{Channel, DialId};
use crate::limits::{
    DIAL_AT_START, DIAL_BACKOFF, DIAL_BACKOFF_MAX, DIAL_BACKOFF_MIN, DIAL_DEADLINE, DIAL_HEAD_START,
    DIAL_JITTER, MAX_DIALS,
};
use crate::output::Output;
use crate::state::NodeState;
use crate::timers::Timer;
use lanchat_proto::ids::{DeviceId, UserId};
use lanchat_proto::limits::MAX_ENDPOINTS;
use lanchat_proto::wire::Endpoint;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// Dials and what they wait for.
#[derive(Clone, Default)]
pub(crate) struct Dialer {
    next_id: u64,
    under_way: BTreeMap<DialId, DeviceId>,
    failures: BTreeMap<DeviceId, u32>,
    /// Devices whose turn came while too many dials were under way, and the same as a set.
    queue: VecDeque<DeviceId>,
    queued: BTreeSet<DeviceId>,
}

impl Dialer {
    pub(crate) fn next_id(&mut self) -> DialId {
        self.next_id += 1;
        DialId(self.next_id)
    }

    fn is_dialling(&self, device: &DeviceId) -> bool {
        self.under_way.values().any(|other| other == device)
    }
}

/// Whether two addresses are in one /24 or /64.
fn same_subnet(a: IpAddr, b: IpAddr) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.octets().first_chunk::<3>() == b.octets().first_chunk::<3>(),
        (IpAddr::V6(a), IpAddr::V6(b)) => a.octets().first_chunk::<8>() == b.octets().first_chunk::<8>(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// Usable addresses, best first: loopback where it is the same machine, then the own subnets, then the rest. The last
/// good one comes before others of its class; when nothing else is known (`only_last`) it may be loopback.
pub(crate) fn sort_endpoints(
    told: &[Endpoint],
    last: Option<Endpoint>,
    same_host: bool,
    only_last: bool,
    listening: &[Endpoint],
) -> Vec<Endpoint> {
    let mut rows: Vec<(u8, usize, Endpoint)> = Vec::new();
    for (at, endpoint) in last.iter().chain(told).enumerate() {
        let loopback = endpoint.ip().is_loopback();
        let near = || listening.iter().any(|own| same_subnet(own.ip(), endpoint.ip()));
        let known = rows.iter().any(|(_, _, other)| other == endpoint);
        if known || !endpoint.is_usable() || (loopback && !same_host && !only_last) {
            continue;
        }
        let class = if loopback { 0 } else { 2 - u8::from(near()) };
        rows.push((class, at, *endpoint));
    }
    rows.sort_unstable();
    rows.into_iter().map(|(_, _, endpoint)| endpoint).take(MAX_ENDPOINTS).collect()
}

impl NodeState {
    /// Whether this node keeps a link to a device, when it can.
    fn wants(&self, device: &DeviceId) -> bool {
        let Some(row) = self.peers.devices.get(device) else { return false };
        if *device == self.me.device || self.stopping || self.is_revoked(device) {
            return false;
        }
        let reachable = row.online.is_some() || !self.session.is_on();
        let everybody = self.peers.users.len() <= self.settings.mesh_size;
        reachable && (everybody || row.user == self.me.user || self.logs.talks_with(&self.me.user, &row.user))
    }

    /// A device is on, or its addresses changed.
    pub(crate) fn device_appeared(&mut self, device: &DeviceId, came: bool) {
        if self.links.of_device(device).next().is_some() || !self.wants(device) {
            return;
        }
        self.dialer.failures.remove(device);
        if came || self.timers.is_set(Timer::Dial(*device)) {
            let wait = if self.me.device < *device {
                Duration::ZERO
            } else {
                DIAL_HEAD_START + self.rng.between(Duration::ZERO, DIAL_JITTER)
            };
            self.timers.set(Timer::Dial(*device), self.after(wait));
        } else {
            self.dial_soon(*device, Duration::ZERO);
        }
    }

    /// At the start: devices that were linked before, for the case that there is no coordinator.
    pub(crate) fn dial_known_devices(&mut self) {
        let devices: Vec<DeviceId> = self.peers.devices.keys().copied().collect();
        for device in devices {
            if self.peers.known(&device).is_some_and(|known| known.endpoint.is_some()) {
                let wait = self.rng.between(Duration::ZERO, DIAL_AT_START);
                self.dial_soon(device, wait);
            }
        }
    }

    /// Something is to be sent to a user: devices without a link are dialled if they are on.
    pub(crate) fn dial_user(&mut self, user: &UserId) {
        let devices = self.peers.users.get(user).map(|user| user.devices.clone()).unwrap_or_default();
        for device in devices {
            if self.links.of_device(&device).next().is_none() && self.wants(&device) {
                self.dial_soon(device, Duration::ZERO);
            }
        }
    }

    fn dial_soon(&mut self, device: DeviceId, wait: Duration) {
        self.timers.set_once(Timer::Dial(device), self.after(wait));
    }

    /// It is a device's turn.
    pub(crate) fn dial(&mut self, device: DeviceId) {
        let linked = self.links.of_device(&device).next().is_some();
        if linked || self.dialer.is_dialling(&device) || !self.wants(&device) {
            return;
        }
        let endpoints = self.peers.endpoints(&device, &self.me);
        if endpoints.is_empty() {
            return;
        }
        if self.dialer.under_way.len() >= MAX_DIALS {
            if self.dialer.queued.insert(device) {
                self.dialer.queue.push_back(device);
            }
            return;
        }
        let dial = self.dialer.next_id();
        self.dialer.under_way.insert(dial, device);
        self.timers.set(Timer::DialEnd(device), self.after(DIAL_DEADLINE));
        self.out.push_back(Output::Dial { dial, device, endpoints, channel: Channel::Link });
    }

    fn end_dial(&mut self, dial: DialId) -> Option<DeviceId> {
        let device = self.dialer.under_way.remove(&dial)?;
        self.timers.cancel(Timer::DialEnd(device));
        if let Some(next) = self.dialer.queue.pop_front() {
            self.dialer.queued.remove(&next);
            self.dial_soon(next, Duration::ZERO);
        }
        Some(device)
    }

    pub(crate) fn dial_opened(&mut self, dial: Option<DialId>) {
        if let Some(dial) = dial {
            self.end_dial(dial);
        }
    }

    pub(crate) fn dial_failed(&mut self, dial: DialId) {
        match self.end_dial(dial) {
            Some(device) => self.dial_after_failure(device),
            None => self.session_dial_failed(dial),
        }
    }

    /// The shell never answered.
    pub(crate) fn dial_ended(&mut self, device: DeviceId) {
        let dial = self.dialer.under_way.iter().find(|(_, other)| **other == device).map(|(dial, _)| *dial);
        if let Some(dial) = dial {
            self.dial_failed(dial);
        }
    }

    fn dial_after_failure(&mut self, device: DeviceId) {
        let failures = self.dialer.failures.entry(device).or_default();
        *failures = failures.saturating_add(1);
        let longest =
            DIAL_BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(DIAL_BACKOFF_MAX);
        let wait = self.rng.between(DIAL_BACKOFF_MIN, longest);
        if self.wants(&device) {
            self.dial_soon(device, wait);
        }
    }

    /// A hello was accepted.
    pub(crate) fn dial_succeeded(&mut self, device: &DeviceId) {
        self.dialer.failures.remove(device);
        self.timers.cancel(Timer::Dial(*device));
    }

    /// A link is gone: one that had been up is tried again at once, another after a wait.
    pub(crate) fn link_lost(&mut self, device: &DeviceId, was_up: bool) {
        if self.links.of_device(device).next().is_some() || !self.wants(device) {
            return;
        }
        if was_up {
            let wait = self.rng.between(Duration::ZERO, DIAL_JITTER);
            self.dial_soon(*device, wait);
        } else {
            self.dial_after_failure(*device);
        }
    }

    /// The device is off: nothing is tried until it is on again.
    pub(crate) fn forget_dial(&mut self, device: &DeviceId) {
        if self.session.is_on() {
            self.timers.cancel(Timer::Dial(*device));
        }
        self.dialer.failures.remove(device);
    }

    /// Waits end now: the network changed, or the coordinator is gone and known devices are tried without it.
    pub(crate) fn redial_all(&mut self) {
        self.dialer.failures.clear();
        let devices: Vec<DeviceId> = self.peers.devices.keys().copied().collect();
        for device in devices {
            if self.links.of_device(&device).next().is_none() && self.wants(&device) {
                let wait = self.rng.between(Duration::ZERO, DIAL_JITTER);
                self.timers.set(Timer::Dial(device), self.after(wait));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Endpoint {
        Endpoint::new(text.parse().unwrap())
    }

    #[test]
    fn near_addresses_come_first_and_loopback_only_on_one_machine() {
        let own = [at("192.168.7.2:7420")];
        let told = [at("10.0.0.5:1"), at("127.0.0.1:1"), at("192.168.7.9:1"), at("0.0.0.0:1")];
        let last = Some(at("10.0.0.9:1"));
        assert_eq!(
            sort_endpoints(&told, last, false, false, &own),
            [at("192.168.7.9:1"), at("10.0.0.9:1"), at("10.0.0.5:1")]
        );
        assert_eq!(sort_endpoints(&told, None, true, false, &own).first(), Some(&at("127.0.0.1:1")));
        assert_eq!(sort_endpoints(&[], Some(at("127.0.0.1:9")), false, true, &own), [at("127.0.0.1:9")]);
    }
}
