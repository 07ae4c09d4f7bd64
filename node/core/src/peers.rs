//! The peer table: a row for each user with its devices, their addresses and links, and the presence that follows.
//!
//! Keeps true: a user is on while the coordinator says so of a device, or a device has a link; a change of that is told
//! once. A device belongs to one user for ever. Goes in: the directory, presence, links. Goes out: [`UserView`], events.

use crate::boot::{DeviceTrust, KnownDevice, LinkId, StoredRoot};
use crate::limits::GOODBYE_HOLDS;
use crate::output::Event;
use crate::state::{Me, NodeState};
use crate::timers::Timer;
use crate::view::{DeviceView, Route, UserView};
use lanchat_proto::certificate::check_chain;
use lanchat_proto::ids::{DeviceId, RealmId, UserId};
use lanchat_proto::time::Wall;
use lanchat_proto::wire::coordinator::{OnlineDevice, Presence, Profile};
use std::collections::{BTreeMap, BTreeSet};

/// A user.
#[derive(Clone, Debug, Default)]
pub(crate) struct User {
    pub(crate) profile: Option<Profile>,
    /// The login as a certificate names it, for a user who is not in the directory.
    pub(crate) login: String,
    pub(crate) devices: BTreeSet<DeviceId>,
    /// The user's first device as this node knows it: where the chains of the others have to begin.
    pub(crate) root: Option<DeviceId>,
    /// The root whose safety code was compared.
    pub(crate) confirmed: Option<DeviceId>,
    pub(crate) last_seen: Option<Wall>,
    shown: Option<Presence>,
}

/// A device.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) user: UserId,
    /// What is stored of it; `None` for one that so far only the presence list names.
    pub(crate) known: Option<KnownDevice>,
    /// What the coordinator says of it while it is on.
    pub(crate) online: Option<OnlineDevice>,
    /// What it said of it before the device said goodbye, until it says that it is off.
    left: Option<OnlineDevice>,
    /// The link that carries messages.
    pub(crate) link: Option<LinkId>,
}

/// All users and devices, this node's own included.
#[derive(Clone, Default)]
pub(crate) struct Peers {
    pub(crate) users: BTreeMap<UserId, User>,
    pub(crate) devices: BTreeMap<DeviceId, Device>,
    /// Whether what the coordinator said of presence is too old to be shown.
    stale: bool,
}

impl Peers {
    pub(crate) fn restore(
        &mut self,
        me: &Me,
        profiles: Vec<Profile>,
        roots: Vec<StoredRoot>,
        devices: Vec<KnownDevice>,
    ) {
        for stored in roots {
            let user = self.users.entry(stored.user).or_default();
            (user.root, user.confirmed) = (Some(stored.root), stored.confirmed);
        }
        for profile in profiles {
            self.set_profile(profile);
        }
        for known in devices {
            self.set_known(known, &me.realm);
        }
        let own = self.users.entry(me.user).or_default();
        own.login = me.name.to_string();
        own.devices.insert(me.device);
        if let Ok(chain) = check_chain(&me.chain, &me.realm, &me.user, &me.device) {
            own.root = chain.first().copied();
        } else if me.realm == RealmId::OPEN {
            own.root = Some(me.device);
        }
    }

    pub(crate) fn user_of(&self, device: &DeviceId) -> Option<UserId> {
        self.devices.get(device).map(|device| device.user)
    }

    pub(crate) fn known(&self, device: &DeviceId) -> Option<&KnownDevice> {
        self.devices.get(device)?.known.as_ref()
    }

    pub(crate) fn link_of(&self, device: &DeviceId) -> Option<LinkId> {
        self.devices.get(device)?.link
    }

    pub(crate) fn is_online(&self, device: &DeviceId) -> bool {
        self.devices.get(device).is_some_and(|device| device.online.is_some())
    }

    /// Links that carry messages, with their devices and users.
    pub(crate) fn linked(&self) -> impl Iterator<Item = (DeviceId, UserId, LinkId)> {
        self.devices.iter().filter_map(|(id, device)| device.link.map(|link| (*id, device.user, link)))
    }

    /// Makes a link the device's own. Returns whether that is a change.
    pub(crate) fn set_link(&mut self, id: &DeviceId, link: Option<LinkId>) -> bool {
        let Some(device) = self.devices.get_mut(id) else { return false };
        let change = device.link != link;
        device.link = link;
        change
    }

    pub(crate) fn set_profile(&mut self, profile: Profile) {
        let user = self.users.entry(profile.user).or_default();
        user.login = profile.name.to_string();
        if profile.last_seen > Wall(0) {
            user.last_seen = user.last_seen.max(Some(profile.last_seen));
        }
        user.profile = Some(profile);
    }

    fn device(&mut self, id: DeviceId, user: UserId) -> &mut Device {
        self.users.entry(user).or_default().devices.insert(id);
        self.devices.entry(id).or_insert(Device { user, known: None, online: None, left: None, link: None })
    }

    /// Takes a device into the table, and its user's root from its chain if that is the first one known. In the open LAN
    /// a user is one device, which needs nobody to vouch for it.
    pub(crate) fn set_known(&mut self, known: KnownDevice, realm: &RealmId) {
        let user = self.users.entry(known.user).or_default();
        if *realm == RealmId::OPEN {
            user.root = Some(known.device);
        } else if user.root.is_none() && known.trust == DeviceTrust::Endorsed {
            let chain = check_chain(&known.chain, realm, &known.user, &known.device);
            user.root = chain.ok().and_then(|chain| chain.first().copied());
        }
        if user.login.is_empty()
            && let Ok(membership) = known.certificate.membership.peek()
        {
            user.login = membership.name.to_string();
        }
        let (device, user) = (known.device, known.user);
        self.device(device, user).known = Some(known);
    }

    /// Takes note of a device that is on. Returns `false` for one that belongs to somebody else.
    pub(crate) fn set_online(&mut self, online: OnlineDevice) -> bool {
        let device = self.device(online.device, online.user);
        let same = device.user == online.user;
        if same {
            device.online = Some(online);
            device.left = None;
        }
        same
    }

    /// The device is off now. Returns its user when that is news.
    pub(crate) fn set_offline(&mut self, id: &DeviceId, last_seen: Wall) -> Option<UserId> {
        let device = self.devices.get_mut(id)?;
        let user = device.user;
        let was = device.online.take().is_some();
        device.left = None;
        let row = self.users.entry(user).or_default();
        row.last_seen = row.last_seen.max(Some(last_seen));
        was.then_some(user)
    }

    /// The device said goodbye. The coordinator will say so too, unless the device is on again by then.
    fn set_left(&mut self, id: &DeviceId, last_seen: Wall) -> Option<UserId> {
        let online = self.devices.get(id).and_then(|device| device.online.clone());
        let user = self.set_offline(id, last_seen);
        if let Some(device) = self.devices.get_mut(id) {
            device.left = online;
        }
        user
    }

    /// A new list of who is on: what is not in it is off.
    pub(crate) fn forget_goodbyes(&mut self) {
        self.devices.values_mut().for_each(|device| device.left = None);
    }

    fn presence(&self, user: &User) -> Option<Presence> {
        let mut all: Vec<Presence> = Vec::new();
        for device in user.devices.iter().filter_map(|id| self.devices.get(id)) {
            match &device.online {
                Some(online) if device.link.is_some() || !self.stale => all.push(online.presence),
                None if device.link.is_some() => all.push(Presence::Online),
                Some(_) | None => {}
            }
        }
        // A wish not to be disturbed holds on every device; otherwise the device at which the user sits counts.
        [Presence::Busy, Presence::Online, Presence::Away].into_iter().find(|presence| all.contains(presence))
    }

    fn view(&self, id: &UserId, user: &User, links: &crate::links::Links, verified: bool) -> UserView {
        let mut devices: Vec<DeviceView> = Vec::new();
        for (device_id, device) in user.devices.iter().filter_map(|id| Some((id, self.devices.get(id)?))) {
            let link = device.link.and_then(|link| links.get(link));
            let trust = device.known.as_ref().map(|known| known.trust);
            devices.push(DeviceView {
                device: *device_id,
                route: link.map_or(Route::None, crate::links::Link::route),
                addr: link.map(|link| link.remote),
                endorsed: trust.is_some_and(|trust| trust > DeviceTrust::Unendorsed),
            });
        }
        let best = devices.iter().max_by_key(|device| device.route);
        let text = |pick: fn(&Profile) -> String| user.profile.as_ref().map(pick).unwrap_or_default();
        UserView {
            user: *id,
            name: user.login.clone(),
            display_name: user
                .profile
                .as_ref()
                .map_or_else(|| user.login.clone(), |profile| profile.display_name.to_string()),
            department: text(|profile| profile.department.to_string()),
            title: text(|profile| profile.title.to_string()),
            note: text(|profile| profile.note.to_string()),
            avatar: user.profile.as_ref().map_or([0; 32], |profile| profile.avatar),
            presence: self.presence(user),
            route: best.map_or(Route::None, |device| device.route),
            addr: best.and_then(|device| device.addr),
            verified,
            gone: user.profile.as_ref().is_some_and(|profile| profile.gone),
            last_seen: user.last_seen,
            devices,
        }
    }
}

impl NodeState {
    /// Everybody but oneself, known from the directory or from a hello.
    #[must_use]
    pub fn users(&self) -> Vec<UserView> {
        let others = self.peers.users.iter().filter(|(id, _)| **id != self.me.user);
        others.map(|(id, user)| self.peers.view(id, user, &self.links, self.is_verified(id))).collect()
    }

    /// One user as the table has it, oneself included.
    #[must_use]
    pub fn user(&self, user: &UserId) -> Option<UserView> {
        let row = self.peers.users.get(user)?;
        Some(self.peers.view(user, row, &self.links, self.is_verified(user)))
    }

    /// Oneself, with the own devices.
    #[must_use]
    pub fn me(&self) -> UserView {
        let row = self.peers.users.get(&self.me.user).cloned().unwrap_or_default();
        let mut view = self.peers.view(&self.me.user, &row, &self.links, false);
        view.presence = Some(self.settings.presence);
        view
    }

    /// Tells a user's presence when it changed.
    pub(crate) fn show_presence(&mut self, id: &UserId) {
        let Some(user) = self.peers.users.get(id) else { return };
        let presence = self.peers.presence(user);
        let wall = self.wall();
        let Some(user) = self.peers.users.get_mut(id) else { return };
        if user.shown == presence {
            return;
        }
        if presence.is_none() {
            user.last_seen = user.last_seen.max(Some(wall));
        }
        user.shown = presence;
        if *id != self.me.user {
            self.event(Event::Presence { user: *id, presence });
        }
    }

    /// A device said that it leaves: it is off at once, whatever the coordinator still believes.
    pub(crate) fn device_left(&mut self, device: &DeviceId) {
        let wall = self.wall();
        let user = self.peers.set_left(device, wall);
        self.timers.set(Timer::Left(*device), self.after(GOODBYE_HOLDS));
        let links: Vec<LinkId> = self.links.of_device(device).map(|(id, _)| id).collect();
        links.into_iter().for_each(|link| self.close(link, false));
        self.announced_one_left(device);
        self.forget_way(device);
        user.iter().for_each(|user| self.show_presence(user));
    }

    /// The coordinator never said that a device which said goodbye is off: it came back before that was noticed.
    pub(crate) fn goodbye_is_old(&mut self, device: &DeviceId) {
        self.announced_in_spite(device);
        let left = self.peers.devices.get_mut(device).and_then(|row| row.left.take());
        if let Some(online) = left.filter(|_| self.session.is_on()) {
            self.device_online(online);
        }
    }

    /// The coordinator says that a device is on, or changed.
    pub(crate) fn device_online(&mut self, online: OnlineDevice) {
        let (device, user) = (online.device, online.user);
        if device == self.me.device {
            return;
        }
        let before = self.peers.devices.get(&device).and_then(|row| row.online.as_ref());
        let came = before.is_none();
        let moved = before.is_none_or(|before| before.endpoints != online.endpoints);
        if self.peers.set_online(online) {
            self.show_presence(&user);
            if moved {
                self.device_appeared(&device, came);
            }
        }
    }

    /// The coordinator says that a device is off: true unless a link proves otherwise.
    pub(crate) fn device_offline(&mut self, device: &DeviceId, last_seen: Wall) {
        let user = self.peers.set_offline(device, last_seen);
        match self.peers.link_of(device) {
            Some(link) => self.probe(link),
            None => self.forget_way(device),
        }
        user.iter().for_each(|user| self.show_presence(user));
    }

    /// Whoever is on only by the word of a coordinator that is out of reach is shown as off.
    pub(crate) fn coordinator_presence_stale(&mut self) {
        self.set_stale(true);
    }

    pub(crate) fn set_stale(&mut self, stale: bool) {
        self.peers.stale = stale;
        let users: Vec<UserId> = self.peers.users.keys().copied().collect();
        users.iter().for_each(|user| self.show_presence(user));
    }
}
