//! Which of several links to one device carries the messages, and when the others are closed.
//!
//! Keeps true: both ends come to the same link without asking: a direct one before a relayed one, then the one dialled by
//! the smaller device id, among those of one dialler the older, provided that a byte came on it since the duplicate
//! appeared. The device with the smaller id closes the others; the other device does so only after a grace. Messages use
//! the winner alone; while the best link is silent, one that lives carries them.

use crate::boot::LinkId;
use crate::limits::{DUPLICATE_GRACE, LINK_ANSWER};
use crate::links::Link;
use crate::output::Event;
use crate::state::NodeState;
use crate::timers::Timer;
use crate::view::Route;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::limits::PROBE;
use lanchat_proto::wire::link::{Goodbye, GoodbyeReason, Heartbeat};

impl NodeState {
    /// Links of a device that are up, the preferred one first, with whether a byte came since they were duplicates.
    fn ranked(&self, device: &DeviceId) -> Vec<(LinkId, bool)> {
        let smaller_is_me = self.me.device < *device;
        let mut links: Vec<(bool, bool, u64, LinkId, bool)> = self
            .links
            .of_device(device)
            .filter(|(_, link)| link.is_up())
            .map(|(id, link)| (link.relayed, link.dialler != smaller_is_me, link.age, id, link.confirmed))
            .collect();
        links.sort_unstable();
        links.into_iter().map(|(.., id, confirmed)| (id, confirmed)).collect()
    }

    /// A link came up.
    pub(crate) fn link_added(&mut self, id: LinkId, device: DeviceId) {
        let others: Vec<LinkId> =
            self.ranked(&device).into_iter().map(|(other, _)| other).filter(|other| *other != id).collect();
        if others.is_empty() {
            self.use_link(&device, Some(id));
            return;
        }
        for other in others {
            if let Some(link) = self.links.get_mut(other) {
                link.confirmed = false;
            }
            self.post(other, Frame::new(Kind::Heartbeat, &Heartbeat { answer: true }));
        }
        let patience = if self.me.device < device { PROBE } else { DUPLICATE_GRACE };
        self.timers.set(Timer::Duplicate(device), self.after(patience));
        self.timers.set(Timer::Answer(device), self.after(LINK_ANSWER));
        self.settle_duplicates(&device);
    }

    /// The best link is silent: one that lives carries the messages until it is heard again.
    pub(crate) fn answer_overdue(&mut self, device: &DeviceId) {
        if let Some((lives, _)) = self.ranked(device).iter().find(|(_, confirmed)| *confirmed) {
            self.use_link(device, Some(*lives));
        }
    }

    /// Moves to the preferred link as soon as it has proved to live.
    pub(crate) fn settle_duplicates(&mut self, device: &DeviceId) {
        if !self.timers.is_set(Timer::Duplicate(*device)) {
            return;
        }
        let ranked = self.ranked(device);
        let Some((best, confirmed)) = ranked.first().copied() else { return };
        if confirmed {
            self.use_link(device, Some(best));
            if self.me.device < *device {
                self.close_others(device, best);
            }
        } else if self.links.get(best).is_some_and(|link| link.is_suspect(self.now.mono)) {
            self.answer_overdue(device);
        }
    }

    /// The wait is over: the best link that lives wins, the others are closed.
    pub(crate) fn duplicates_ended(&mut self, device: DeviceId) {
        let ranked = self.ranked(&device);
        let best = ranked.iter().find(|(_, confirmed)| *confirmed).or(ranked.first()).map(|(id, _)| *id);
        if let Some(best) = best {
            self.use_link(&device, Some(best));
            self.close_others(&device, best);
        }
    }

    fn close_others(&mut self, device: &DeviceId, best: LinkId) {
        self.timers.cancel(Timer::Duplicate(*device));
        self.timers.cancel(Timer::Answer(*device));
        for (other, _) in self.ranked(device) {
            if other != best {
                self.post(other, Frame::new(Kind::Goodbye, &Goodbye { reason: GoodbyeReason::Duplicate }));
                self.close(other, true);
            }
        }
    }

    /// A link is gone; another may take its place.
    pub(crate) fn link_removed(&mut self, id: LinkId, link: &Link) {
        let device = link.device;
        let ranked = self.ranked(&device);
        if ranked.len() < 2 {
            self.timers.cancel(Timer::Duplicate(device));
            self.timers.cancel(Timer::Answer(device));
        }
        if self.peers.link_of(&device) == Some(id) {
            let next = ranked.iter().find(|(_, confirmed)| *confirmed).or(ranked.first()).map(|(id, _)| *id);
            self.use_link(&device, next);
        }
        self.link_lost(&device, link.is_up(), link.relayed);
    }

    /// Makes a link the one that carries messages, or says that there is none.
    fn use_link(&mut self, device: &DeviceId, id: Option<LinkId>) {
        if !self.peers.set_link(device, id) {
            return;
        }
        let Some(user) = self.peers.user_of(device) else { return };
        let link = id.and_then(|id| self.links.get(id));
        let addr = link.map(|link| link.remote);
        let route = link.map_or(Route::None, Link::route);
        self.event(Event::Link { user, device: *device, route, addr });
        self.show_presence(&user);
        if let Some(id) = id {
            self.begin_sync(id);
        }
        self.move_transfers(device);
    }
}
