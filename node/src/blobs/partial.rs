//! What of a file has come so far, on disk.
//!
//! Keeps true: a unit is claimed only after a sync of the disk that covers its bytes, and a claim that is not believed any
//! more is taken back on disk before anything is written; bytes that are not there are not claimed; what was claimed last
//! is hashed again before it is believed, and what may have come after it is hashed too, so that neither a crash nor a
//! full disk costs more than it has to; what an earlier run of the program claimed and this one did not look at is hashed
//! before the file is saved. Nothing here is named by anybody else.

use super::limits::{HASH_BLOCK, REHASH_BYTES, REHASH_UNITS};
use super::shelf::{Owner, Part, Shelf};
use super::source::read_exact_at;
use crate::platform;
use lanchat_node_core::fetch::UnitSet;
use lanchat_proto::blob::{BlobHash, UnitHasher, UnitList, Units};
use lanchat_proto::codec::Blob;
use lanchat_proto::entry::FileBody;
use lanchat_proto::ids::MessageId;
use lanchat_proto::limits::MAX_HELD;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is kept of how far a fetch is.
#[derive(Serialize, Deserialize)]
struct Have {
    hash: BlobHash,
    size: u64,
    units: Blob<MAX_HELD>,
}

impl Have {
    /// The units that it claims, of those that lie in the first so many bytes: what is not there cannot be good.
    fn claims(&self, there: u64) -> Option<UnitSet> {
        let units = Units::of(self.size).ok()?;
        let mut claimed = UnitSet::from_bytes(units.count(), &self.units)?;
        drop_beyond(&mut claimed, &units, there);
        Some(claimed)
    }
}

/// Bytes of an offer's file that were claimed and are there, whatever the file is, and how many it has.
pub(super) fn claimed_bytes(shelf: &Shelf, owner: &Owner) -> Option<(u64, u64)> {
    let have = shelf.kept::<Have>(owner, Part::Have)?;
    let there = std::fs::metadata(shelf.path(owner, Part::Partial)).map_or(0, |metadata| metadata.len());
    Some((bytes_of(&Units::of(have.size).ok()?, &have.claims(there)?), have.size))
}

/// Bytes of these units.
fn bytes_of(units: &Units, set: &UnitSet) -> u64 {
    set.iter().filter_map(|unit| units.range(unit).ok()).map(|(_, len)| len).sum()
}

/// Whether all of a unit lies in the first so many bytes.
fn lies_within(units: &Units, unit: u32, there: u64) -> bool {
    units.range(unit).is_ok_and(|(start, len)| start + len <= there)
}

/// Leaves out the units that do not.
fn drop_beyond(set: &mut UnitSet, units: &Units, there: u64) {
    for unit in set.iter().filter(|unit| !lies_within(units, *unit, there)).collect::<Vec<_>>() {
        set.remove(unit);
    }
}

/// These units less those others.
fn without(set: &UnitSet, others: Option<&UnitSet>) -> UnitSet {
    let mut rest = set.clone();
    others.into_iter().flat_map(UnitSet::iter).for_each(|unit| rest.remove(unit));
    rest
}

/// A file that is being fetched.
#[derive(Clone, Debug)]
pub(super) struct Partial {
    shelf: Shelf,
    offer: MessageId,
    hash: BlobHash,
    units: Units,
    list: Option<Arc<UnitList>>,
    /// Units that are claimed, and of which this run of the program computed no hash.
    believed: Arc<Mutex<UnitSet>>,
    pub(super) file: Arc<File>,
}

/// What was found of it.
pub(super) struct Found {
    pub(super) partial: Partial,
    pub(super) done: UnitSet,
    /// The list of chaining values, checked.
    pub(super) list: Option<Arc<UnitList>>,
    /// What is claimed on disk.
    recorded: Option<Have>,
    /// This run of the program looked at it already.
    known: bool,
}

/// What became of looking at all that a file consists of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Confirmed {
    /// All of it is good.
    Good,
    /// So many bytes are good, the others are claimed no more.
    Damaged(u64),
    /// Nobody waits for it any more.
    Stopped,
}

impl Found {
    /// Whether nothing is missing.
    pub(super) fn is_whole(&self) -> bool {
        self.done.len() == self.partial.units.count()
    }

    /// Bytes that are there.
    pub(super) fn done_bytes(&self) -> u64 {
        bytes_of(&self.partial.units, &self.done)
    }

    /// Hashes what is not to be believed without, if this run of the program did not do so before, and takes back on disk
    /// what is claimed and not believed. To be done before anything is written. Blocks.
    pub(super) fn look(&mut self) -> io::Result<()> {
        if let Some(list) = self.list.as_ref().filter(|_| !self.known) {
            self.partial.look_again(list, &mut self.done)?;
        }
        let recorded = self.recorded.take();
        let same = match &recorded {
            Some(have) => have.is_of(&self.partial) && *have.units == *self.done.to_bytes(),
            None => self.done.is_empty(),
        };
        if !same {
            return self.partial.claim(&self.done);
        }
        self.partial.know(&self.done);
        Ok(())
    }
}

impl Have {
    fn is_of(&self, partial: &Partial) -> bool {
        self.hash == partial.hash && self.size == partial.units.size()
    }
}

impl Partial {
    /// Opens what is there of an offered file, or begins it. Blocks.
    pub(super) fn open(shelf: &Shelf, offer: MessageId, body: &FileBody) -> io::Result<Found> {
        let owner = Owner::Offer(offer);
        let units = Units::of(body.size).map_err(io::Error::other)?;
        let file = platform::open_private(&shelf.path(&owner, Part::Partial))?;
        let there = file.metadata()?.len();
        let list =
            if units.count() == 1 { Some(vec![body.hash.0]) } else { shelf.values(&owner, units.count()) };
        let list = list.and_then(|values| UnitList::check(units, values, &body.hash).ok()).map(Arc::new);
        let mut partial = Self {
            shelf: shelf.clone(),
            offer,
            hash: body.hash,
            units,
            list: list.clone(),
            believed: Arc::new(Mutex::new(UnitSet::none(units.count()))),
            file: Arc::new(file),
        };
        let recorded = shelf.kept::<Have>(&owner, Part::Have);
        let claimed = recorded.as_ref().filter(|have| have.is_of(&partial));
        // Without its list nothing can be believed.
        let claimed = claimed.filter(|_| list.is_some()).and_then(|have| have.claims(there));
        let verified = shelf.known(&offer).filter(|_| claimed.is_some());
        let known = verified.is_some();
        let done = claimed.unwrap_or_else(|| UnitSet::none(units.count()));
        partial.believed = Arc::new(Mutex::new(without(&done, verified.as_ref())));
        Ok(Found { partial, done, list, recorded, known })
    }

    /// Remembers which of these units were verified.
    fn know(&self, done: &UnitSet) {
        self.shelf.know(self.offer, without(done, Some(&self.believed())));
    }

    fn believed(&self) -> MutexGuard<'_, UnitSet> {
        // Every change of it is whole before anything can panic.
        self.believed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hashes the last units that are claimed, and those that may have come after them.
    fn look_again(&self, list: &UnitList, done: &mut UnitSet) -> io::Result<()> {
        let units = list.units();
        let there = self.file.metadata()?.len();
        let most = u32::try_from(REHASH_BYTES / units.unit_len()).unwrap_or(u32::MAX).clamp(1, REHASH_UNITS)
            as usize;
        let all: Vec<u32> = done.iter().collect();
        let after = all.last().map_or(0, |last| last + 1);
        let claimed = all.iter().rev().take(most).copied();
        let maybe = (0..units.count()).filter(|unit| !done.has(*unit)).take(most);
        let late = (after..units.count()).take(most);
        let looked: Vec<u32> = claimed.chain(maybe).chain(late).collect();
        let mut block = vec![0; HASH_BLOCK];
        for unit in looked {
            self.believed().remove(unit);
            if self.is_good(list, unit, there, &mut block) {
                done.add(unit);
            } else {
                done.remove(unit);
            }
        }
        Ok(())
    }

    /// Whether the bytes of a unit are its own. Some that cannot be read are not: they are fetched and written again.
    fn is_good(&self, list: &UnitList, unit: u32, there: u64, block: &mut [u8]) -> bool {
        let units = list.units();
        let Ok((start, len)) = units.range(unit) else { return false };
        let Ok(mut hasher) = UnitHasher::new(&units, unit) else { return false };
        if !lies_within(&units, unit, there) {
            return false;
        }
        let mut at = 0;
        while at < len {
            let most = usize::try_from(len - at).unwrap_or(usize::MAX).min(block.len());
            let part = block.get_mut(..most).unwrap_or_default();
            if let Err(error) = read_exact_at(&self.file, part, start + at) {
                tracing::warn!(%error, unit, "A unit of a file that is being fetched cannot be read");
                return false;
            }
            hasher.update(part);
            at += most as u64;
        }
        list.verify(unit, &hasher).is_ok()
    }

    /// Whether no hash is to be computed again before the file is saved.
    pub(super) fn is_verified(&self) -> bool {
        self.believed().is_empty()
    }

    /// Looks at whatever of a file that is to be saved no hash was computed of since the start of the program. What is
    /// not good is claimed no more. Blocks until `given_up` says that nobody waits for it.
    pub(super) fn confirm(&self, given_up: impl Fn() -> bool) -> io::Result<Confirmed> {
        let there = self.file.metadata()?.len();
        if there > self.units.size() {
            // Nothing of ours lies there.
            self.file.set_len(self.units.size())?;
        }
        let mut done = UnitSet::all(self.units.count());
        drop_beyond(&mut done, &self.units, there);
        let mut block = vec![0; HASH_BLOCK];
        let believed: Vec<u32> = self.believed().iter().collect();
        for unit in believed {
            if given_up() {
                self.claim(&done)?;
                return Ok(Confirmed::Stopped);
            }
            let good = self.list.as_ref().is_some_and(|list| self.is_good(list, unit, there, &mut block));
            if !good {
                done.remove(unit);
            }
            self.believed().remove(unit);
        }
        if done.len() == self.units.count() {
            return Ok(Confirmed::Good);
        }
        self.claim(&done)?;
        Ok(Confirmed::Damaged(bytes_of(&self.units, &done)))
    }

    /// Claims all of it, so that what came is not fetched again. Blocks.
    pub(super) fn claim_all(&self) -> io::Result<()> {
        self.claim(&UnitSet::all(self.units.count()))
    }

    /// Keeps the list of chaining values.
    pub(super) fn keep_list(&self, list: &UnitList) -> io::Result<()> {
        self.shelf.keep_values(&self.owner(), list.values())
    }

    /// Syncs the disk. Blocks.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Syncs the disk, then claims these units, whose bytes were written before. Blocks.
    pub(super) fn claim(&self, done: &UnitSet) -> io::Result<()> {
        // Should this fail, what is on the disk is looked at again.
        self.shelf.forget(&self.offer);
        self.sync()?;
        let units = Blob::new(done.to_bytes().to_vec()).map_err(io::Error::other)?;
        let have = Have { hash: self.hash, size: self.units.size(), units };
        self.shelf.keep(&self.owner(), Part::Have, &have)?;
        self.know(done);
        Ok(())
    }

    fn owner(&self) -> Owner {
        Owner::Offer(self.offer)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.shelf.path(&self.owner(), Part::Partial)
    }
}
