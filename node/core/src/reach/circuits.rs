//! Introductions by the coordinator: dial-back, and circuits through it.
//!
//! Keeps true: the coordinator carries only for pairs without a direct link; it is asked before a circuit is dialled, so
//! that it can spread what would come all at once; a circuit that failed is tried again for as long as it is needed.

use super::dialer::doubled;
use crate::limits::{
    CIRCUIT_BACKOFF, CIRCUIT_BACKOFF_MAX, CIRCUIT_BACKOFF_MIN, CIRCUIT_JITTER, INTRODUCTION_DEADLINE,
    MAX_INTRODUCTION_WAIT, MAX_INTRODUCTIONS,
};
use crate::output::Output;
use crate::state::NodeState;
use crate::timers::Timer;
use crate::view::{RelayState, Route};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::wire::reach::{Introduce, Introduced, Introduction, Knock, RelayTerms, Way};
use std::time::Duration;

impl NodeState {
    /// The coordinator carries circuits: a place is reserved there, and whoever has no link gets one through it.
    pub(crate) fn relay_offered(&mut self, terms: RelayTerms) {
        let Some((relay, endpoint)) = self.session.relay_address() else { return };
        // Told again after a failure of the relay, which a reservation may have outlived.
        if self.session.relay == RelayState::None {
            self.session.relay = RelayState::Reserving;
        }
        self.session.terms = Some(terms);
        self.out.push_back(Output::Reserve { relay, endpoint });
        for device in self.devices_anywhere() {
            let tried = self.reach.pursuits.get(&device).is_some_and(|pursuit| pursuit.failures > 0);
            if tried && !self.has_any(&device) && self.wants(&device) {
                let wait = self.rng.between(Duration::ZERO, CIRCUIT_JITTER);
                self.circuit_soon(device, wait);
            }
        }
    }

    /// The session ended, and with it what the coordinator carries.
    pub(crate) fn relay_gone(&mut self) {
        self.reach.introductions.clear();
        if std::mem::take(&mut self.session.relay) != RelayState::None {
            self.session.terms = None;
            self.out.push_back(Output::Release);
        }
    }

    /// The place at the relay is there, or is gone and being made again.
    pub(crate) fn reserved(&mut self, there: bool) {
        if self.session.relay != RelayState::None {
            self.session.relay = if there { RelayState::Reserved } else { RelayState::Reserving };
        }
    }

    /// A direct dial takes its time: the other is asked to dial.
    pub(crate) fn ask_dial_back(&mut self, device: DeviceId) {
        if !self.has_any(&device) && self.wants(&device) {
            self.introduce(device, Way::DialBack);
        }
    }

    /// Asks for an introduction. Returns whether it could be asked for.
    fn introduce(&mut self, device: DeviceId, way: Way) -> bool {
        let Some(link) = self.session.on() else { return false };
        if self.reach.introductions.len() >= MAX_INTRODUCTIONS {
            return false;
        }
        let request = self.session.request_id();
        if way == Way::Circuit {
            self.reach.introductions.insert(request, device);
        }
        self.post(link, Frame::new(Kind::Introduce, &Introduce { request, device, way }));
        true
    }

    pub(super) fn circuit_soon(&mut self, device: DeviceId, wait: Duration) {
        let at = self.after(wait);
        if self.timers.at(Timer::Circuit(device)).is_none_or(|set| set > at) {
            self.timers.set(Timer::Circuit(device), at);
        }
    }

    /// It is time for a circuit, or to ask for one.
    pub(crate) fn circuit(&mut self, device: DeviceId) {
        let needed = !self.has_any(&device) && self.wants(&device);
        if !needed || self.session.terms.is_none() || self.reach.is_dialling(&device, Route::Relay) {
            return;
        }
        let pursuit = self.reach.pursuits.entry(device).or_default();
        if !std::mem::take(&mut pursuit.granted) {
            self.introduce(device, Way::Circuit);
            self.timers.set(Timer::Circuit(device), self.after(INTRODUCTION_DEADLINE));
        } else if let Some((relay, endpoint)) = self.session.relay_address() {
            self.start_dial(device, Route::Relay, vec![endpoint], Some(relay));
        }
    }

    pub(crate) fn introduction_came(&mut self, introduction: Introduction) {
        let Some(device) = self.reach.introductions.remove(&introduction.request) else { return };
        if introduction.outcome == Introduced::Yes {
            self.reach.pursuits.entry(device).or_default().granted = true;
            let wait = Duration::from_millis(introduction.wait_ms.into()).min(MAX_INTRODUCTION_WAIT);
            self.timers.set(Timer::Circuit(device), self.after(wait));
        } else {
            self.circuit_failed(device, format!("the coordinator said {:?}", introduction.outcome));
        }
    }

    pub(super) fn circuit_failed(&mut self, device: DeviceId, reason: String) {
        let pursuit = self.reach.pursuits.entry(device).or_default();
        pursuit.circuit_failures = pursuit.circuit_failures.saturating_add(1);
        pursuit.circuit_failure = Some(reason);
        let longest = doubled(CIRCUIT_BACKOFF, pursuit.circuit_failures, CIRCUIT_BACKOFF_MAX);
        let wait = self.rng.between(CIRCUIT_BACKOFF_MIN, longest);
        if !self.has_any(&device) && self.wants(&device) {
            self.timers.set(Timer::Circuit(device), self.after(wait));
        }
    }

    /// A relayed link is gone: another one and a direct one are tried for. The jitter spreads what a restart of the
    /// coordinator ends all at once.
    pub(super) fn circuit_lost(&mut self, device: &DeviceId) {
        let wait = self.rng.between(Duration::ZERO, CIRCUIT_JITTER);
        self.dial_soon(*device, wait);
        self.circuit_soon(*device, wait);
    }

    /// A device asked, through the coordinator, to be dialled.
    pub(crate) fn knocked(&mut self, knock: Knock) {
        let device = knock.device.device;
        self.device_online(knock.device);
        self.dial(device);
        // The other is at it already: asking it back would go round in circles.
        self.timers.cancel(Timer::DialBack(device));
    }
}
