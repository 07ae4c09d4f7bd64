//! Devices and how far they are trusted to be their user's; endorsing one's own.
//!
//! Keeps true: the first endorsed device of a user that this node meets fixes where the chains of all the others have to
//! begin, until a device with another beginning is accepted. A device without such a chain is announced to the user and
//! gets nothing that was said before it came (of a user whose safety code was confirmed: nothing at all).

use crate::boot::{DeviceTrust, KnownDevice};
use crate::output::{Change, CommandError, Notice};
use crate::state::NodeState;
use lanchat_proto::certificate::{Certificate, DeviceChain, Endorsement, Member, check_chain};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{DeviceId, LogId, RealmId, UserId};
use lanchat_proto::signed::Signed;
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::link::Renewed;

impl NodeState {
    /// Takes note of a device whose certificate was checked.
    pub(crate) fn note_device(
        &mut self,
        device: DeviceId,
        member: &Member,
        certificate: &Certificate,
        chain: &DeviceChain,
        endpoint: Option<Endpoint>,
    ) {
        let changes = self.take_device(device, member, certificate, chain, endpoint);
        self.save(changes.into_iter().collect());
    }

    /// As [`Self::note_device`], leaving it to the caller to store the change.
    pub(crate) fn take_device(
        &mut self,
        device: DeviceId,
        member: &Member,
        certificate: &Certificate,
        chain: &DeviceChain,
        endpoint: Option<Endpoint>,
    ) -> Option<Change> {
        let user = member.membership.user;
        let before = self.peers.known(&device).cloned();
        let newer = before.as_ref().is_none_or(|before| {
            before.certificate.membership.peek().is_ok_and(|m| m.serial <= member.membership.serial)
        });
        let chain_kept =
            before.as_ref().filter(|before| chain.is_empty() || !before.chain.is_empty() && !newer);
        let chain = chain_kept.map_or_else(|| chain.clone(), |before| before.chain.clone());
        let trust = self.trust_in(&device, &user, &chain, before.as_ref());
        let known = KnownDevice {
            device,
            user,
            trust,
            certificate: before
                .as_ref()
                .filter(|_| !newer)
                .map_or_else(|| certificate.clone(), |before| before.certificate.clone()),
            chain,
            since: before.as_ref().map_or_else(|| self.logs.arrival(), |before| before.since),
            endpoint: endpoint.or(before.as_ref().and_then(|before| before.endpoint)),
        };
        if before.as_ref() == Some(&known) {
            return None;
        }
        // A user whose first device has not shown its chain yet is no cause for alarm.
        let known_root = self.peers.users.get(&user).is_some_and(|user| user.root.is_some());
        if before.is_none() && trust == DeviceTrust::Unendorsed && known_root {
            self.notice(Notice::UnendorsedDevice { user, device });
        }
        let risen = before.is_some_and(|before| before.trust < trust);
        let was = self.is_verified(&user);
        self.peers.set_known(known.clone(), &self.me.realm);
        self.verified_changed(&user, was);
        if risen {
            self.compare_again(&device);
        }
        Some(Change::Device(known))
    }

    fn trust_in(
        &self,
        device: &DeviceId,
        user: &UserId,
        chain: &DeviceChain,
        before: Option<&KnownDevice>,
    ) -> DeviceTrust {
        if let Some(before) = before.filter(|before| before.trust > DeviceTrust::Unendorsed) {
            return before.trust;
        }
        // In the open LAN a user is one device.
        if self.me.realm == RealmId::OPEN {
            return DeviceTrust::Endorsed;
        }
        let first = check_chain(chain, &self.me.realm, user, device)
            .ok()
            .and_then(|devices| devices.first().copied());
        let root = self.peers.users.get(user).and_then(|user| user.root);
        match first {
            Some(first) if root.is_none_or(|root| root == first) => DeviceTrust::Endorsed,
            Some(_) | None => DeviceTrust::Unendorsed,
        }
    }

    /// The arrival number after which a device gets entries: 0 for one that is trusted.
    pub(crate) fn floor_of(&self, device: &DeviceId) -> u64 {
        match self.peers.known(device) {
            Some(known) if known.trust > DeviceTrust::Unendorsed => 0,
            Some(known) => known.since,
            None => self.logs.arrival(),
        }
    }

    /// This device, for which nobody vouches, begins a chain of its own: all older ones of its user are lost. Others
    /// believe it only when they accept it.
    fn begin_anew(&mut self) -> Result<(), CommandError> {
        let own = self.endorsement(self.me.device)?;
        self.me.chain.push(own).map_err(|_| CommandError::NotEndorsed)?;
        self.peers.users.entry(self.me.user).or_default().root = Some(self.me.device);
        self.own_changed();
        self.sign_in_again();
        Ok(())
    }

    fn endorsement(&self, device: DeviceId) -> Result<Signed<Endorsement>, CommandError> {
        let (realm, user, by, at) = (self.me.realm, self.me.user, self.me.device, self.wall());
        Signed::sign(&Endorsement { realm, user, device, by, at }, &self.me.key)
            .map_err(|_| CommandError::NoSuchDevice)
    }

    /// Whether a log is not this device's to pass on: what others wrote goes to an unendorsed device of the own user from
    /// them alone, for they may have verified the user.
    pub(crate) fn is_withheld(&self, device: &DeviceId, log: &LogId) -> bool {
        let theirs = self.logs.all.get(log).is_some_and(|row| row.author != self.me.user);
        let unendorsed = |known: &KnownDevice| known.trust == DeviceTrust::Unendorsed;
        let known = self.peers.known(device).filter(|known| known.user == self.me.user);
        theirs && known.is_some_and(unendorsed)
    }

    /// Vouches for another device of the own user: its chain is the own one with one link more.
    pub(crate) fn endorse(&mut self, device: DeviceId) -> Result<(), CommandError> {
        if device == self.me.device && self.me.chain.is_empty() && self.in_organisation() {
            return self.begin_anew();
        }
        let known = self.peers.known(&device).cloned().ok_or(CommandError::NoSuchDevice)?;
        if known.user != self.me.user || device == self.me.device {
            return Err(CommandError::NoSuchDevice);
        }
        if self.me.chain.is_empty() {
            return Err(CommandError::NotEndorsed);
        }
        let mut chain = self.me.chain.clone();
        chain.push(self.endorsement(device)?).map_err(|_| CommandError::NotEndorsed)?;
        let known = KnownDevice { trust: DeviceTrust::Endorsed, chain: chain.clone(), ..known };
        self.peers.set_known(known.clone(), &self.me.realm);
        if let Some(link) = self.peers.link_of(&device) {
            let renewed = Renewed { certificate: known.certificate.clone(), chain };
            self.post(link, Frame::new(Kind::Renewed, &renewed));
        }
        self.save(vec![Change::Device(known)]);
        self.compare_again(&device);
        Ok(())
    }

    /// Another device of the own user vouches for this one.
    pub(crate) fn endorsed_by(&mut self, by: DeviceId, renewed: &Renewed) {
        let ours = self.peers.user_of(&by) == Some(self.me.user);
        let chain = check_chain(&renewed.chain, &self.me.realm, &self.me.user, &self.me.device);
        let Some(root) = chain.ok().and_then(|devices| devices.first().copied()) else { return };
        if !ours || !self.me.chain.is_empty() {
            return;
        }
        self.me.chain = renewed.chain.clone();
        self.peers.users.entry(self.me.user).or_default().root = Some(root);
        self.own_changed();
        self.fetch_whole_logs();
        self.sign_in_again();
    }

    /// Stores the own certificate and chain and shows them to everybody who is linked.
    pub(crate) fn own_changed(&mut self) {
        let (certificate, chain) = (self.me.certificate.clone(), self.me.chain.clone());
        self.save(vec![Change::Own { certificate: certificate.clone(), chain: chain.clone() }]);
        let links: Vec<_> = self.links.up().map(|(id, ..)| id).collect();
        let renewed = Renewed { certificate, chain };
        for link in links {
            self.post(link, Frame::new(Kind::Renewed, &renewed));
        }
    }

    /// This node's user says that another's device is right.
    pub(crate) fn accept_device(&mut self, device: DeviceId) -> Result<(), CommandError> {
        let known = self.peers.known(&device).cloned().ok_or(CommandError::NoSuchDevice)?;
        if known.trust == DeviceTrust::Unendorsed {
            let (user, known) = (known.user, KnownDevice { trust: DeviceTrust::Accepted, ..known });
            let was = self.is_verified(&user);
            self.peers.set_known(known.clone(), &self.me.realm);
            let root = self.adopt_root(&device);
            self.verified_changed(&user, was);
            self.save(std::iter::once(Change::Device(known)).chain(root).collect());
            self.compare_again(&device);
        }
        Ok(())
    }
}
