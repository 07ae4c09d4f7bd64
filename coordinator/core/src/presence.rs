//! Who is on, and what changed since the last delta.
//!
//! Keeps true: the rows are what a snapshot says; every change of a row is in exactly the next delta; numbers rise by
//! one. A row outlives its link by the lease.

use crate::io::LinkId;
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::ids::{DeviceId, Epoch};
use lanchat_proto::limits::{MAX_DELTA, MAX_PAGE};
use lanchat_proto::time::{Mono, Wall};
use lanchat_proto::wire::coordinator::{Change, Delta, OnlineDevice, Snapshot};
use std::collections::{BTreeMap, BTreeSet};

/// A device that is on.
pub(crate) struct Online {
    pub(crate) row: OnlineDevice,
    pub(crate) epoch: Epoch,
    /// Its link; `None` while the lease of a broken one runs.
    pub(crate) link: Option<LinkId>,
    pub(crate) heard: Mono,
    pub(crate) heard_at: Wall,
    pub(crate) since: Wall,
}

/// All devices that are on.
pub(crate) struct Presence {
    run: u64,
    number: u64,
    rows: BTreeMap<DeviceId, Online>,
    changed: BTreeSet<DeviceId>,
    left: BTreeMap<DeviceId, Wall>,
}

impl Presence {
    pub(crate) fn new(run: u64) -> Self {
        Self { run, number: 0, rows: BTreeMap::new(), changed: BTreeSet::new(), left: BTreeMap::new() }
    }

    pub(crate) fn run(&self) -> u64 {
        self.run
    }

    pub(crate) fn get(&self, device: &DeviceId) -> Option<&Online> {
        self.rows.get(device)
    }

    pub(crate) fn get_mut(&mut self, device: &DeviceId) -> Option<&mut Online> {
        self.rows.get_mut(device)
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &Online> {
        self.rows.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether a delta is due.
    pub(crate) fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// A device comes on, or its row changed.
    pub(crate) fn put(&mut self, online: Online) {
        let device = online.row.device;
        let same = self.rows.get(&device).is_some_and(|before| before.row == online.row);
        self.rows.insert(device, online);
        if !same {
            self.changed.insert(device);
        }
    }

    /// A device is off; returns whether it was on.
    pub(crate) fn remove(&mut self, device: &DeviceId) -> Option<Online> {
        let gone = self.rows.remove(device)?;
        self.changed.insert(*device);
        self.left.insert(*device, gone.heard_at);
        Some(gone)
    }

    /// The deltas for what changed, and nothing is changed any more.
    pub(crate) fn deltas(&mut self) -> Vec<Delta> {
        let (rows, left) = (&self.rows, &self.left);
        let changes = self.changed.iter().map(|device| match rows.get(device) {
            Some(online) => Change::Online(online.row.clone()),
            None => {
                Change::Offline { device: *device, last_seen: left.get(device).copied().unwrap_or_default() }
            }
        });
        let changes: Vec<Change> = changes.collect();
        self.changed.clear();
        self.left.clear();
        let deltas = changes.chunks(MAX_DELTA).map(|chunk| {
            self.number += 1;
            Delta { run: self.run, number: self.number, changes: BoundedVec::first(chunk.iter().cloned()) }
        });
        deltas.collect()
    }

    /// The pages of a snapshot, at least one.
    pub(crate) fn snapshot(&self) -> Vec<Snapshot> {
        let rows: Vec<&Online> = self.rows.values().collect();
        let mut chunks: Vec<&[&Online]> = rows.chunks(MAX_PAGE).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        let count = chunks.len();
        let page = |(at, chunk): (usize, &[&Online])| Snapshot {
            run: self.run,
            number: self.number,
            first: at == 0,
            last: at + 1 == count,
            devices: BoundedVec::first(chunk.iter().map(|online| online.row.clone())),
        };
        chunks.into_iter().enumerate().map(page).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanchat_proto::ids::UserId;
    use lanchat_proto::wire::coordinator::{HostIdField, Presence as Mood};

    fn online(n: u16) -> Online {
        let [a, b] = n.to_be_bytes();
        let mut device = DeviceId([0; 32]);
        device.0[0] = a;
        device.0[1] = b;
        let row = OnlineDevice {
            device,
            user: UserId([1; 16]),
            endpoints: BoundedVec::empty(),
            host: HostIdField::default(),
            presence: Mood::Online,
        };
        let (heard, heard_at, since) = (Mono::default(), Wall(u64::from(n)), Wall(0));
        Online { row, epoch: Epoch(1), link: None, heard, heard_at, since }
    }

    #[test]
    fn a_tick_tells_each_device_once_as_it_is_in_the_end() {
        let mut presence = Presence::new(9);
        presence.put(online(1));
        presence.put(online(2));
        presence.remove(&online(2).row.device);
        let deltas = presence.deltas();
        assert_eq!(deltas.len(), 1);
        assert_eq!((deltas[0].run, deltas[0].number), (9, 1));
        assert!(matches!(&deltas[0].changes[0], Change::Online(row) if row.device == online(1).row.device));
        assert!(matches!(&deltas[0].changes[1], Change::Offline { last_seen: Wall(2), .. }));
        presence.put(online(1));
        assert!(!presence.has_changes() && presence.deltas().is_empty());
    }

    #[test]
    fn more_changes_than_fit_are_split_and_a_snapshot_has_pages() {
        let mut presence = Presence::new(9);
        let many = u16::try_from(MAX_DELTA + 1).unwrap();
        (0..many).for_each(|n| presence.put(online(n)));
        let deltas = presence.deltas();
        assert_eq!(deltas.iter().map(|delta| delta.number).collect::<Vec<_>>(), [1, 2]);
        let pages = presence.snapshot();
        assert_eq!(pages.len(), 3);
        assert!(pages[0].first && !pages[0].last && pages[2].last && !pages[2].first);
        assert!(pages.iter().all(|page| page.number == 2));
        assert_eq!(pages.iter().map(|page| page.devices.len()).sum::<usize>(), MAX_DELTA + 1);
        let empty = Presence::new(1).snapshot();
        assert!(empty.len() == 1 && empty[0].first && empty[0].last);
    }
}
