//! What is gathered and told once for all: profiles, presence, snapshots.
//!
//! Keeps true: a profile is told before the presence of its devices, unless the store is slow: presence does not wait; a link that waits for a snapshot gets the one that
//! includes the newest delta, and deltas from the next on. Equal frames are encoded once.

use crate::directory;
use crate::io::{LinkId, Output};
use crate::limits::PAGES_IN_TICK;
use crate::state::CoordinatorState;
use lanchat_proto::frame::{Frame, Kind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A directory page as it goes out: the frame, and the version where it ends.
type Page = (Arc<Frame>, u64);

impl CoordinatorState {
    /// Tells what is new.
    pub(crate) fn tick(&mut self) {
        self.tell_directory();
        self.tell_deltas();
        self.tell_snapshots();
        let newest = self.records.mark().version;
        let mut told = self.sessions.values().filter_map(|session| session.told.as_ref());
        self.news = told.any(|told| told.owed || told.wants_snapshot || told.version < newest);
    }

    fn tell_directory(&mut self) {
        let newest = self.records.mark().version;
        let mut pages: BTreeMap<(u64, bool), Option<Page>> = BTreeMap::new();
        for (link, session) in &mut self.sessions {
            let Some(told) = session.told.as_mut() else { continue };
            for _ in 0..PAGES_IN_TICK {
                if !told.owed && told.version >= newest {
                    break;
                }
                let records = &self.records;
                let page = pages.entry((told.version, told.fresh)).or_insert_with(|| {
                    let page = directory::page(records, told.version, told.fresh);
                    let frame = Frame::new(Kind::Directory, &page).ok()?;
                    Some((Arc::new(frame), page.mark.version))
                });
                let Some((frame, version)) = page else { break };
                self.out.push_back(Output::Send { link: *link, frame: Arc::clone(frame) });
                told.version = *version;
                told.fresh = false;
                told.owed = false;
            }
        }
    }

    pub(crate) fn tell_deltas(&mut self) {
        for delta in self.presence.deltas() {
            self.stats.deltas += 1;
            let Ok(frame) = Frame::new(Kind::Delta, &delta).map(Arc::new) else { continue };
            for (link, session) in &self.sessions {
                if session.told.as_ref().is_some_and(|told| !told.wants_snapshot) {
                    self.out.push_back(Output::Send { link: *link, frame: Arc::clone(&frame) });
                }
            }
        }
    }

    fn tell_snapshots(&mut self) {
        let newest = self.records.mark().version;
        let ready: Vec<LinkId> = self
            .sessions
            .iter_mut()
            .filter_map(|(link, session)| session.told.as_mut().map(|told| (*link, told)))
            .filter(|(_, told)| told.wants_snapshot && !told.owed && told.version >= newest)
            .map(|(link, told)| {
                told.wants_snapshot = false;
                link
            })
            .collect();
        if ready.is_empty() {
            return;
        }
        let pages = self.presence.snapshot();
        let frames: Vec<Arc<Frame>> =
            pages.iter().filter_map(|page| Frame::new(Kind::Snapshot, page).ok().map(Arc::new)).collect();
        for link in ready {
            self.out.extend(frames.iter().map(|frame| Output::Send { link, frame: Arc::clone(frame) }));
        }
    }
}
