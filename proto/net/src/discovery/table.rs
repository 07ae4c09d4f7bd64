//! The devices that are announced, and what of that its reader has not heard yet.
//!
//! Keeps true: at most [`MAX_DISCOVERED`] devices with [`MAX_INSTANCES`] announcements each; what is told last of a device
//! is what is known of it, and nothing is told twice in a row; announcements of one device are merged in turns, so that
//! a false one does not crowd the true one out.

use super::record::Record;
use super::{DiscoveryEvent, Found, Lost, Service};
use crate::limits::{MAX_DISCOVERED, MAX_INSTANCES};
use lanchat_proto::ids::{DeviceId, RealmId};
use lanchat_proto::limits::MAX_ENDPOINTS;
use lanchat_proto::wire::Endpoint;
use std::collections::{BTreeMap, VecDeque};

/// A device in a realm; one that names another realm is another entry.
type Key = (Service, DeviceId, RealmId);

/// What was told, or would be.
type Telling = (Vec<Endpoint>, u16);

/// The devices.
#[derive(Debug)]
pub(crate) struct Table {
    mine: DeviceId,
    /// Counts the runs of mDNS: each begins with nothing known, and finds again who is still there.
    run: u64,
    devices: BTreeMap<Key, Device>,
    /// Where each announcement is filed.
    instances: BTreeMap<(Service, String), Key>,
    /// Devices of which something may be to tell.
    news: VecDeque<Key>,
}

#[derive(Debug, Default)]
struct Device {
    instances: BTreeMap<String, (Record, u64)>,
    told: Option<Telling>,
    queued: bool,
}

impl Device {
    /// What all its announcements say together.
    fn telling(&self) -> Option<Telling> {
        let version = self.instances.values().map(|(record, _)| record.version).max()?;
        let mut merged: Vec<Endpoint> = Vec::new();
        for turn in 0..MAX_ENDPOINTS {
            for (record, _) in self.instances.values() {
                let one = record.endpoints.get(turn).filter(|endpoint| !merged.contains(endpoint));
                merged.extend(one);
            }
        }
        merged.truncate(MAX_ENDPOINTS);
        Some((merged, version))
    }
}

impl Table {
    /// Empty; leaves out what says that it is `mine`.
    pub(crate) fn new(mine: DeviceId) -> Self {
        let (devices, instances, news) = (BTreeMap::new(), BTreeMap::new(), VecDeque::new());
        Self { mine, run: 0, devices, instances, news }
    }

    /// A new run of mDNS begins.
    pub(crate) fn begin(&mut self) {
        self.run += 1;
    }

    /// Forgets what this run has not found again.
    pub(crate) fn sweep(&mut self) {
        let run = self.run;
        let old = |name: &str, key: &Key| {
            let device = self.devices.get(key);
            device.and_then(|device| device.instances.get(name)).is_none_or(|(_, seen)| *seen < run)
        };
        let gone: Vec<(Service, String)> = self
            .instances
            .iter()
            .filter(|((_, name), key)| old(name, key))
            .map(|(instance, _)| instance.clone())
            .collect();
        for (service, name) in gone {
            self.forget(service, &name);
        }
    }

    /// Forgets what is of other services than these.
    pub(crate) fn keep(&mut self, services: &[Service]) {
        let other = |(service, _): &&(Service, String)| !services.contains(service);
        let gone: Vec<(Service, String)> = self.instances.keys().filter(other).cloned().collect();
        for (service, name) in gone {
            self.forget(service, &name);
        }
    }

    /// Files an announcement; answers whether it is of another device and there was room.
    pub(crate) fn file(&mut self, service: Service, name: &str, record: Record) -> bool {
        let name = name.to_lowercase();
        if record.device == self.mine {
            self.forget(service, &name);
            return false;
        }
        let key = (service, record.device, record.realm);
        let instance = (service, name.clone());
        if self.instances.get(&instance).is_some_and(|filed| *filed != key) {
            self.forget(service, &name);
        }
        let full = self.devices.len() >= MAX_DISCOVERED;
        let device = match self.devices.get_mut(&key) {
            Some(device) => device,
            None if full => return false,
            None => self.devices.entry(key).or_default(),
        };
        if device.instances.len() >= MAX_INSTANCES && !device.instances.contains_key(&name) {
            return false;
        }
        device.instances.insert(name, (record, self.run));
        self.instances.insert(instance, key);
        self.queue(key);
        true
    }

    /// An announcement holds no more.
    pub(crate) fn forget(&mut self, service: Service, name: &str) {
        let name = name.to_lowercase();
        let Some(key) = self.instances.remove(&(service, name.clone())) else { return };
        if let Some(device) = self.devices.get_mut(&key) {
            device.instances.remove(&name);
        }
        self.queue(key);
    }

    /// Notes that there is something to tell of a device, if there is.
    fn queue(&mut self, key: Key) {
        let Some(device) = self.devices.get_mut(&key) else { return };
        if !device.queued && device.telling() != device.told {
            device.queued = true;
            self.news.push_back(key);
        } else if !device.queued && device.instances.is_empty() {
            self.devices.remove(&key);
        }
    }

    /// Whether there may be something to tell.
    pub(crate) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// The next thing to tell, which then counts as told.
    pub(crate) fn tell(&mut self) -> Option<DiscoveryEvent> {
        while let Some(key) = self.news.pop_front() {
            let Some(device) = self.devices.get_mut(&key) else { continue };
            device.queued = false;
            let telling = device.telling();
            let told = std::mem::replace(&mut device.told, telling.clone());
            let (service, id, realm) = key;
            match telling {
                Some(now) if told.as_ref() != Some(&now) => {
                    let (endpoints, version) = now;
                    let found = Found { service, device: id, realm, endpoints, version };
                    return Some(DiscoveryEvent::Found(found));
                }
                Some(_) => {}
                None => {
                    self.devices.remove(&key);
                    if told.is_some() {
                        return Some(DiscoveryEvent::Lost(Lost { service, device: id, realm }));
                    }
                }
            }
        }
        None
    }

    /// Devices that are known, or of which it is still to be told that they are gone.
    pub(crate) fn len(&self) -> usize {
        self.devices.len()
    }
}

#[cfg(test)]
mod tests;
