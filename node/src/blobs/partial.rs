//! What of a file has come so far, on disk.
//!
//! Keeps true: a unit is claimed only after a sync of the disk that covers its bytes; what was claimed last is hashed
//! again before it is believed, and what may have come after it is hashed too, so that neither a crash nor a full disk
//! costs more than it has to. Nothing here is named by anybody else.

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
use std::sync::Arc;

/// What is kept of how far a fetch is.
#[derive(Serialize, Deserialize)]
struct Have {
    hash: BlobHash,
    size: u64,
    units: Blob<MAX_HELD>,
}

/// Bytes of an offer's file that were claimed, whatever the file is.
pub(super) fn claimed_bytes(shelf: &Shelf, owner: &Owner) -> Option<u64> {
    let have = shelf.kept::<Have>(owner, Part::Have)?;
    let units = Units::of(have.size).ok()?;
    let claimed = UnitSet::from_bytes(units.count(), &have.units)?;
    Some(claimed.iter().filter_map(|unit| units.range(unit).ok()).map(|(_, len)| len).sum())
}

/// A file that is being fetched.
#[derive(Clone, Debug)]
pub(super) struct Partial {
    shelf: Shelf,
    owner: Owner,
    hash: BlobHash,
    size: u64,
    pub(super) file: Arc<File>,
}

/// What was found of it.
pub(super) struct Found {
    pub(super) partial: Partial,
    pub(super) done: UnitSet,
    /// The list of chaining values, checked.
    pub(super) list: Option<UnitList>,
}

impl Found {
    /// Bytes of a unit.
    pub(super) fn unit_len(&self, unit: u32) -> Option<u64> {
        let units = Units::of(self.partial.size).ok()?;
        units.range(unit).ok().map(|(_, len)| len)
    }
}

impl Partial {
    /// Opens what is there of an offered file, or begins it. Blocks.
    pub(super) fn open(shelf: &Shelf, offer: MessageId, body: &FileBody) -> io::Result<Found> {
        let owner = Owner::Offer(offer);
        let units = Units::of(body.size).map_err(io::Error::other)?;
        let file = platform::open_private(&shelf.path(&owner, Part::Partial))?;
        let partial =
            Self { shelf: shelf.clone(), owner, hash: body.hash, size: body.size, file: Arc::new(file) };
        let list =
            if units.count() == 1 { Some(vec![body.hash.0]) } else { shelf.values(&owner, units.count()) };
        let list = list.and_then(|values| UnitList::check(units, values, &body.hash).ok());
        let claimed = shelf.kept::<Have>(&owner, Part::Have);
        let claimed = claimed.filter(|have| have.hash == body.hash && have.size == body.size);
        let claimed = claimed.and_then(|have| UnitSet::from_bytes(units.count(), &have.units));
        let mut done = claimed.unwrap_or_else(|| UnitSet::none(units.count()));
        match &list {
            Some(list) => partial.look_again(list, &mut done)?,
            // Without its list nothing can be believed.
            None => done = UnitSet::none(units.count()),
        }
        Ok(Found { partial, done, list })
    }

    /// Hashes the last units that are claimed, and those that may have come after them.
    fn look_again(&self, list: &UnitList, done: &mut UnitSet) -> io::Result<()> {
        let units = list.units();
        let len = self.file.metadata()?.len();
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
            if self.is_good(list, unit, len, &mut block)? {
                done.add(unit);
            } else {
                done.remove(unit);
            }
        }
        Ok(())
    }

    fn is_good(&self, list: &UnitList, unit: u32, file_len: u64, block: &mut [u8]) -> io::Result<bool> {
        let units = list.units();
        let (start, len) = units.range(unit).map_err(io::Error::other)?;
        if start + len > file_len {
            return Ok(false);
        }
        let mut hasher = UnitHasher::new(&units, unit).map_err(io::Error::other)?;
        let mut at = 0;
        while at < len {
            let most = usize::try_from(len - at).unwrap_or(usize::MAX).min(block.len());
            let part = block.get_mut(..most).unwrap_or_default();
            read_exact_at(&self.file, part, start + at)?;
            hasher.update(part);
            at += most as u64;
        }
        Ok(list.verify(unit, &hasher).is_ok())
    }

    /// Keeps the list of chaining values.
    pub(super) fn keep_list(&self, list: &UnitList) -> io::Result<()> {
        self.shelf.keep_values(&self.owner, list.values())
    }

    /// Syncs the disk. Blocks.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Syncs the disk, then claims these units, whose bytes were written before. Blocks.
    pub(super) fn claim(&self, done: &UnitSet) -> io::Result<()> {
        self.sync()?;
        let units = Blob::new(done.to_bytes().to_vec()).map_err(io::Error::other)?;
        let have = Have { hash: self.hash, size: self.size, units };
        self.shelf.keep(&self.owner, Part::Have, &have)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.shelf.path(&self.owner, Part::Partial)
    }
}
