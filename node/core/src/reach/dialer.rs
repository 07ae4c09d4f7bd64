//! Who is dialled when.
//!
//! Keeps true: of two devices that learn of each other the one with the smaller id dials first; a device has at most one
//! direct dial and one circuit under way, and all direct dials together are at most [`MAX_DIALS`]; waits grow with
//! failures and start anew when something changed.

use crate::boot::{Channel, DialId};
use crate::limits::{
    CIRCUIT_AFTER, DIAL_AT_START, DIAL_BACK_AFTER, DIAL_BACKOFF, DIAL_BACKOFF_MAX, DIAL_BACKOFF_MIN,
    DIAL_DEADLINE, DIAL_HEAD_START, DIAL_JITTER, MAX_DIALS,
};
use crate::output::Output;
use crate::state::NodeState;
use crate::timers::Timer;
use crate::view::Route;
use lanchat_proto::ids::{DeviceId, UserId};
use lanchat_proto::wire::Endpoint;
use std::time::Duration;

/// A wait that doubles with each failure, up to a longest one.
pub(super) fn doubled(first: Duration, failures: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(longest)
}

impl NodeState {
    /// Time that this device leaves to the other, so that the two do not both dial at once.
    pub(super) fn turn(&mut self, device: &DeviceId) -> Duration {
        if self.me.device < *device { Duration::ZERO } else { DIAL_HEAD_START }
    }

    pub(super) fn head_start(&mut self, device: &DeviceId) -> Duration {
        match self.turn(device) {
            Duration::ZERO => Duration::ZERO,
            turn => turn + self.rng.between(Duration::ZERO, DIAL_JITTER),
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
            if !self.has_any(&device) && self.wants(&device) {
                self.dial_soon(device, Duration::ZERO);
            }
        }
    }

    pub(super) fn dial_soon(&mut self, device: DeviceId, wait: Duration) {
        self.timers.set_once(Timer::Dial(device), self.after(wait));
    }

    /// It is a device's turn to be dialled directly.
    pub(crate) fn dial(&mut self, device: DeviceId) {
        let dialling = self.reach.is_dialling(&device, Route::Direct);
        if dialling || self.has_direct(&device) || !self.wants(&device) {
            return;
        }
        let endpoints: Vec<Endpoint> =
            self.addresses(&device).into_iter().map(|(endpoint, _)| endpoint).collect();
        if endpoints.is_empty() {
            self.direct_failed(device);
            return;
        }
        if self.direct_dials() >= MAX_DIALS {
            if self.reach.queued.insert(device) {
                self.reach.queue.push_back(device);
            }
            return;
        }
        if !self.has_any(&device) {
            let turn = self.turn(&device);
            self.timers.set_once(Timer::DialBack(device), self.after(DIAL_BACK_AFTER));
            self.timers.set_once(Timer::Circuit(device), self.after(CIRCUIT_AFTER + turn));
        }
        self.start_dial(device, Route::Direct, endpoints, None);
    }

    fn direct_dials(&self) -> usize {
        self.reach.under_way.values().filter(|(_, route)| *route == Route::Direct).count()
    }

    pub(super) fn start_dial(
        &mut self,
        device: DeviceId,
        route: Route,
        endpoints: Vec<Endpoint>,
        via: Option<DeviceId>,
    ) {
        let dial = self.reach.next_id();
        self.reach.under_way.insert(dial, (device, route));
        self.timers.set(Timer::DialEnd(dial), self.after(DIAL_DEADLINE));
        self.out.push_back(Output::Dial { dial, device, endpoints, channel: Channel::Link, via });
    }

    fn end_dial(&mut self, dial: DialId) -> Option<(DeviceId, Route)> {
        let ended = self.reach.under_way.remove(&dial)?;
        self.timers.cancel(Timer::DialEnd(dial));
        if let Some(next) = self.reach.queue.pop_front() {
            self.reach.queued.remove(&next);
            self.dial_soon(next, Duration::ZERO);
        }
        Some(ended)
    }

    pub(crate) fn dial_opened(&mut self, dial: Option<DialId>, remote: Endpoint, relayed: bool) {
        let Some(dial) = dial else { return };
        self.probe_answered(dial, true);
        if let Some((device, _)) = self.end_dial(dial)
            && !relayed
        {
            let now = self.now.mono;
            self.reach.pursuits.entry(device).or_default().note(remote, None, now);
        }
    }

    pub(crate) fn dial_failed(&mut self, dial: DialId, attempts: Vec<(Endpoint, String)>, reason: String) {
        self.probe_answered(dial, false);
        match self.end_dial(dial) {
            Some((device, Route::Relay)) => self.circuit_failed(device, reason),
            Some((device, _)) => {
                let now = self.now.mono;
                let pursuit = self.reach.pursuits.entry(device).or_default();
                for (endpoint, failure) in attempts {
                    pursuit.note(endpoint, Some(failure), now);
                }
                self.direct_failed(device);
            }
            None => self.session_dial_failed(dial),
        }
    }

    /// The shell never answered.
    pub(crate) fn dial_ended(&mut self, dial: DialId) {
        self.dial_failed(dial, Vec::new(), "no answer".to_owned());
    }

    /// No address leads to a device: through the coordinator then, and directly again later.
    fn direct_failed(&mut self, device: DeviceId) {
        self.dial_after_failure(device);
        if !self.has_any(&device) && self.wants(&device) {
            let wait = self.turn(&device) + self.rng.between(Duration::ZERO, DIAL_JITTER);
            self.circuit_soon(device, wait);
        }
    }

    pub(super) fn dial_after_failure(&mut self, device: DeviceId) {
        let pursuit = self.reach.pursuits.entry(device).or_default();
        pursuit.failures = pursuit.failures.saturating_add(1);
        self.dial_after_wait(device);
    }

    /// The next direct dial, after a wait that fits the failures so far.
    pub(super) fn dial_after_wait(&mut self, device: DeviceId) {
        let failures = self.reach.pursuits.get(&device).map_or(0, |pursuit| pursuit.failures);
        let wait = self.rng.between(DIAL_BACKOFF_MIN, doubled(DIAL_BACKOFF, failures, DIAL_BACKOFF_MAX));
        if self.wants(&device) {
            self.dial_soon(device, wait);
        }
    }
}
