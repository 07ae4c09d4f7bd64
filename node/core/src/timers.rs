//! What is to happen when: one moment for each purpose, the earliest first.
//!
//! Keeps true: setting a timer replaces the one of the same purpose; nothing fires early.

use crate::boot::{DialId, LinkId, RequestId};
use lanchat_proto::ids::{ConversationId, DeviceId, LogId, MessageId};
use lanchat_proto::time::Mono;
use std::collections::{BTreeMap, BTreeSet};

/// What a timer is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Timer {
    /// A link's hello has to be accepted by now.
    Hello(LinkId),
    /// A link may need a heartbeat, be suspect or dead.
    Beat(LinkId),
    /// A device that the coordinator calls offline has to have answered by now.
    Probe(LinkId),
    /// A link of which the network changed has to have shown that it lives by now.
    Doubt(LinkId),
    /// The coordinator should have said by now that a device which said goodbye is off.
    Left(DeviceId),
    /// Several links to a device have to be settled by now.
    Duplicate(DeviceId),
    /// The best link to a device has to have shown that it lives by now, or another that does is used.
    Answer(DeviceId),
    /// A device is to be dialled directly.
    Dial(DeviceId),
    /// A device that does not answer is to be asked to dial back.
    DialBack(DeviceId),
    /// A circuit to a device is to be asked for, or dialled.
    Circuit(DeviceId),
    /// A dial should have ended by now.
    DialEnd(DialId),
    /// A device that asked to be dialled is to have its answer by now.
    ProbeEnd(LinkId),
    /// The coordinator is to be tried, or has not answered.
    Session,
    /// The certificate is old enough to be renewed.
    Renew,
    /// The coordinator's list of who is on is too old to be shown.
    Stale,
    /// A request to the coordinator has timed out.
    Request(RequestId),
    /// Entries of others are to be passed on.
    PassOn(ConversationId),
    /// Changes that the store did not take are tried again.
    StoreRetry,
    /// The end of a log is read again.
    LogEnd(LogId),
    /// A transfer that broke or had no room is tried again.
    Transfer(MessageId),
    /// What a link's other end did not take is offered again.
    Unstick(LinkId),
    /// More state records may go out on a link.
    States(LinkId),
}

impl Timer {
    fn name(self) -> &'static str {
        match self {
            Self::Hello(_) => "hello deadline",
            Self::Beat(_) => "heartbeat",
            Self::Probe(_) => "offline probe",
            Self::Doubt(_) => "link after a network change",
            Self::Left(_) => "goodbye",
            Self::Duplicate(_) => "duplicate links",
            Self::Answer(_) => "answer of the best link",
            Self::Dial(_) => "dial",
            Self::DialBack(_) => "dial-back",
            Self::Circuit(_) => "circuit",
            Self::DialEnd(_) => "dial deadline",
            Self::ProbeEnd(_) => "dial test deadline",
            Self::Session => "coordinator session",
            Self::Renew => "certificate renewal",
            Self::Stale => "presence without coordinator",
            Self::Request(_) => "request deadline",
            Self::PassOn(_) => "pass entries on",
            Self::StoreRetry => "store retry",
            Self::LogEnd(_) => "log end",
            Self::Transfer(_) => "transfer",
            Self::Unstick(_) => "offer again",
            Self::States(_) => "state records",
        }
    }
}

/// All timers.
#[derive(Clone, Default)]
pub(crate) struct Timers {
    order: BTreeSet<(Mono, Timer)>,
    set: BTreeMap<Timer, Mono>,
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, at: Mono) {
        self.cancel(timer);
        self.set.insert(timer, at);
        self.order.insert((at, timer));
    }

    /// Sets the timer unless it is set already.
    pub(crate) fn set_once(&mut self, timer: Timer, at: Mono) {
        if !self.set.contains_key(&timer) {
            self.set(timer, at);
        }
    }

    /// Sets the timer unless it is due before.
    pub(crate) fn set_sooner(&mut self, timer: Timer, at: Mono) {
        if self.at(timer).is_none_or(|set| set > at) {
            self.set(timer, at);
        }
    }

    pub(crate) fn cancel(&mut self, timer: Timer) {
        if let Some(at) = self.set.remove(&timer) {
            self.order.remove(&(at, timer));
        }
    }

    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.set.contains_key(&timer)
    }

    /// When the timer is due.
    pub(crate) fn at(&self, timer: Timer) -> Option<Mono> {
        self.set.get(&timer).copied()
    }

    pub(crate) fn next(&self) -> Option<(Mono, &'static str)> {
        self.order.first().map(|(at, timer)| (*at, timer.name()))
    }

    /// Takes the earliest timer that is due.
    pub(crate) fn due(&mut self, now: Mono) -> Option<Timer> {
        let (at, timer) = self.order.first().copied()?;
        if at > now {
            return None;
        }
        self.cancel(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_later_setting_replaces_the_earlier_and_nothing_fires_early() {
        let at = |seconds| Mono(Duration::from_secs(seconds));
        let mut timers = Timers::default();
        timers.set(Timer::Session, at(5));
        timers.set(Timer::Session, at(2));
        timers.set_once(Timer::Session, at(1));
        timers.set(Timer::Stale, at(3));
        assert_eq!(timers.next(), Some((at(2), "coordinator session")));
        assert_eq!(timers.due(at(1)), None);
        assert_eq!(timers.due(at(4)), Some(Timer::Session));
        assert_eq!(timers.due(at(4)), Some(Timer::Stale));
        assert_eq!(timers.due(at(9)), None);
    }
}
