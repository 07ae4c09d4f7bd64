//! Links that end, devices that fall silent, and what is done now and then.
//!
//! Keeps true: a device whose link broke stays on until its lease ends, counted from the last byte heard; one that says
//! goodbye is off at once; a stop announces nobody offline. A timer that comes early looks at the clock again, so no
//! byte heard has to move one.

use crate::io::{LinkId, Output};
use crate::limits::{ENROL_DEADLINE, MAX_JOBS};
use crate::record::Change;
use crate::state::{CoordinatorState, Job, Origin, Step, Timer};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::limits::{HELLO_DEADLINE, LEASE, LINK_SUSPECT};
use lanchat_proto::time::Now;
use lanchat_proto::wire::link::Heartbeat;

impl CoordinatorState {
    /// Closes a link; its device stays on until its lease ends.
    pub(crate) fn close(&mut self, link: LinkId, after_flush: bool) {
        self.out.push_back(Output::Close { link, after_flush });
        self.lost(link);
    }

    /// A link is gone; its device stays on until its lease ends.
    pub(crate) fn lost(&mut self, link: LinkId) {
        let Some(session) = self.sessions.remove(&link) else { return };
        self.probes.lost(link);
        if session.told.is_none() {
            self.strangers = self.strangers.saturating_sub(1);
        } else if let Some(online) = self.presence.get_mut(&session.device)
            && online.link == Some(link)
        {
            online.link = None;
            self.timers.insert((online.heard.plus(LEASE), Timer::Lease(session.device)));
        }
    }

    /// A device is off, at once.
    pub(crate) fn offline(&mut self, device: &DeviceId) {
        if let Some(gone) = self.presence.remove(device) {
            self.seen.insert(gone.row.user, gone.heard_at);
            self.notice("offline", Some(*device), Some(gone.row.user));
        }
    }

    pub(crate) fn end_lease(&mut self, device: &DeviceId, now: Now) {
        let over = self
            .presence
            .get(device)
            .is_some_and(|online| online.link.is_none() && now.mono.since(online.heard) >= LEASE);
        if over {
            self.offline(device);
        }
    }

    /// Looks whether a link has been silent for too long.
    pub(crate) fn look_at(&mut self, link: LinkId, now: Now) {
        let Some(session) = self.sessions.get_mut(&link) else { return };
        let silent = now.mono.since(session.heard);
        if session.told.is_none() {
            let limit = if session.enrolling { ENROL_DEADLINE } else { HELLO_DEADLINE };
            if now.mono.since(session.opened) >= limit {
                self.close(link, false);
            } else {
                self.timers.insert((session.opened.plus(limit), Timer::Link(link)));
            }
        } else if silent >= LEASE {
            let device = session.device;
            self.close(link, false);
            self.end_lease(&device, now);
        } else if silent >= LINK_SUSPECT && !session.asked {
            session.asked = true;
            self.timers.insert((session.heard.plus(LEASE), Timer::Link(link)));
            self.send(link, Frame::new(Kind::Heartbeat, &Heartbeat { answer: true }));
        } else {
            let wait = if session.asked { LEASE } else { LINK_SUSPECT };
            self.timers.insert((session.heard.plus(wait), Timer::Link(link)));
        }
    }

    pub(crate) fn keep_house(&mut self, now: Now) {
        self.guesses.forget(now.mono);
        self.introductions.forget(now.mono);
        self.probes.forget(now.mono);
        if !self.seen.is_empty() {
            self.jobs.push_back(Job::LastSeen);
        }
        let due: Vec<LinkId> =
            self.sessions.keys().copied().filter(|link| self.renewal_due(*link, now)).collect();
        let room = MAX_JOBS.saturating_sub(self.jobs.len());
        self.jobs.extend(due.into_iter().take(room).map(Job::Renew));
    }

    pub(crate) fn flush_seen(&mut self) -> Step {
        let seen = self.seen.clone();
        let changes = seen.iter().map(|(user, at)| Change::LastSeen { user: *user, at: *at }).collect();
        Step::new(Origin::System, changes, move |state, _| {
            state.seen.retain(|user, at| seen.get(user) != Some(at));
        })
    }

    pub(crate) fn stop(&mut self) {
        self.stopping = true;
        let last = self.presence.rows().map(|online| (online.row.user, online.heard_at));
        self.seen.extend(last.collect::<Vec<_>>());
        self.jobs.push_back(Job::LastSeen);
        let links: Vec<LinkId> = self.sessions.keys().copied().collect();
        self.out.extend(links.into_iter().map(|link| Output::Close { link, after_flush: true }));
        self.sessions.clear();
        self.timers.clear();
    }
}
