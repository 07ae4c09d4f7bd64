//! What the coordinator tells while this device is signed in: profiles, who is on, announcements.
//!
//! Keeps true: a copy of the directory counts only when it is complete; presence follows one run of the coordinator
//! without a gap, or a new snapshot is asked for. Goes in: frames of the session. Goes out: changes, presence, events.

use crate::boot::LinkId;
use crate::limits::{MAX_DIRECTORY, MAX_SNAPSHOT};
use crate::output::{Change, Event, Notice};
use crate::state::NodeState;
use crate::timers::Timer;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::wire::coordinator::{
    Announcement, AskSnapshot, Change as PresenceChange, Delta, Directory, OnlineDevice, Profile, Snapshot,
};
use std::collections::BTreeSet;

impl NodeState {
    /// A frame on a session that is up. `None`: it breaks the protocol, the session is closed.
    pub(crate) fn coordinator_frame(&mut self, link: LinkId, kind: Kind, frame: &Frame) -> Option<()> {
        match kind {
            Kind::Directory => self.directory_came(frame.decode().ok()?)?,
            Kind::Snapshot => self.snapshot_came(link, frame.decode().ok()?)?,
            Kind::Delta => self.delta_came(link, frame.decode().ok()?),
            Kind::Announcement => self.announcement_came(&frame.decode().ok()?),
            Kind::Done => self.answer_done(&frame.decode().ok()?),
            Kind::Salt => self.answer_salt(&frame.decode().ok()?),
            Kind::Avatar => self.answer_avatar(frame.decode().ok()?),
            Kind::Renewed => self.renewed_by_coordinator(frame.decode().ok()?)?,
            Kind::RelayTerms => self.relay_offered(frame.decode().ok()?),
            Kind::Introduction => self.introduction_came(frame.decode().ok()?),
            Kind::Knock => self.knocked(frame.decode().ok()?),
            Kind::DialledYou => self.dialled_you_came(link, &frame.decode().ok()?),
            Kind::Goodbye => return None,
            _ => {}
        }
        Some(())
    }

    fn directory_came(&mut self, page: Directory) -> Option<()> {
        self.session.pages_fresh |= page.fresh;
        self.session.pages.extend(page.profiles);
        if self.session.pages.len() > MAX_DIRECTORY {
            return None;
        }
        if page.last {
            let profiles = std::mem::take(&mut self.session.pages);
            let fresh = std::mem::take(&mut self.session.pages_fresh);
            self.session.mark = page.mark;
            self.take_directory(fresh, profiles, page.mark);
        }
        Some(())
    }

    fn take_directory(
        &mut self,
        fresh: bool,
        profiles: Vec<Profile>,
        mark: lanchat_proto::wire::coordinator::DirectoryMark,
    ) {
        if fresh {
            self.peers.users.values_mut().for_each(|user| user.profile = None);
        }
        let mut changes = Vec::new();
        for profile in &profiles {
            changes.extend(self.take_profile_devices(profile));
            let before = self.peers.users.get(&profile.user).and_then(|user| user.profile.as_ref());
            if before != Some(profile) {
                self.peers.set_profile(profile.clone());
                self.event(Event::Profile { user: profile.user });
            }
        }
        changes.push(Change::Profiles { fresh, profiles, mark: Some(mark) });
        self.save(changes);
    }

    fn take_profile_devices(&mut self, profile: &Profile) -> Vec<Change> {
        let mut changes = Vec::new();
        for device in &profile.devices {
            let Ok(member) = device.certificate.check_ever(&self.me.realm) else { continue };
            let theirs = member.membership.device == device.device && member.membership.user == profile.user;
            let taken = self.peers.user_of(&device.device).is_some_and(|user| user != profile.user);
            if theirs && !taken && device.device != self.me.device {
                changes.extend(self.take_device(
                    device.device,
                    &member,
                    &device.certificate,
                    &device.chain,
                    None,
                ));
            }
        }
        changes
    }

    fn snapshot_came(&mut self, link: LinkId, page: Snapshot) -> Option<()> {
        if page.first {
            self.session.run = page.run;
            self.session.snapshot = Some(Vec::new());
            self.session.early.clear();
        }
        let devices = self.session.snapshot.as_mut()?;
        devices.extend(page.devices);
        if devices.len() > MAX_SNAPSHOT {
            return None;
        }
        if page.last {
            let devices = self.session.snapshot.take()?;
            self.session.snapshot_done(page.number);
            self.take_snapshot(devices);
            for delta in std::mem::take(&mut self.session.early) {
                self.delta_came(link, delta);
            }
        }
        Some(())
    }

    fn take_snapshot(&mut self, devices: Vec<OnlineDevice>) {
        self.peers.forget_goodbyes();
        let on: BTreeSet<DeviceId> = devices.iter().map(|online| online.device).collect();
        devices.into_iter().for_each(|online| self.device_online(online));
        let missing: Vec<DeviceId> = self
            .peers
            .devices
            .iter()
            .filter(|(id, device)| !on.contains(id) && (device.online.is_some() || device.link.is_some()))
            .map(|(id, _)| *id)
            .collect();
        let wall = self.wall();
        missing.iter().for_each(|device| self.device_offline(device, wall));
        self.timers.cancel(Timer::Stale);
        self.set_stale(false);
    }

    fn delta_came(&mut self, link: LinkId, delta: Delta) {
        if self.session.snapshot.is_some() && delta.run == self.session.run {
            // Pages of a snapshot are on their way: what happens meanwhile counts after them.
            self.session.early.push(delta);
            if self.session.early.len() > MAX_SNAPSHOT {
                self.session.early.clear();
            }
            return;
        }
        let Some(number) = self.session.number.filter(|_| delta.run == self.session.run) else {
            self.ask_snapshot(link);
            return;
        };
        if delta.number <= number {
            return;
        }
        if number.checked_add(1) != Some(delta.number) {
            self.ask_snapshot(link);
            return;
        }
        self.session.number = Some(delta.number);
        for change in delta.changes {
            match change {
                PresenceChange::Online(online) => self.device_online(online),
                PresenceChange::Offline { device, last_seen } => self.device_offline(&device, last_seen),
            }
        }
    }

    /// Asks once; until the snapshot comes, what comes is not asked about again.
    fn ask_snapshot(&mut self, link: LinkId) {
        if self.session.ask_snapshot() {
            let ask = AskSnapshot { run: self.session.run };
            self.post(link, Frame::new(Kind::AskSnapshot, &ask));
        }
    }

    fn announcement_came(&mut self, announcement: &Announcement) {
        if announcement.number <= self.announcement {
            return;
        }
        self.announcement = announcement.number;
        let (number, at) = (announcement.number, announcement.at);
        let text = announcement.text.to_string();
        self.save(vec![Change::Announcement { number, at, text: text.clone() }]);
        self.notice(Notice::Announcement { at, text });
    }
}
