//! Files that are offered from here: looked at, hashed, and noticed when they change.
//!
//! Keeps true: only regular files are offered, so that nothing hangs or is read for ever; a file counts as the one that
//! was offered as long as its size, time of change and identity are those of when it was hashed; content that was offered
//! from several places can be sent as long as it lies in one of them; hashing takes memory that does not depend on the
//! size, and ends when nobody waits for it. The units: `docs/protocol.md#blobs`.

use super::limits::{HASH_BLOCK, HASH_THREADS, MAX_PATH, PLACES};
use super::shelf::{KeptPath, Owner, Part, Shelf};
use crate::platform;
use lanchat_proto::blob::{BlobError, BlobHash, UnitHasher, UnitList, Units};
use lanchat_proto::codec::BoundedVec;
use serde::{Deserialize, Serialize};
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

/// Why a file cannot be offered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// Nothing is there.
    #[error("there is no file {0}")]
    Missing(PathBuf),
    /// A directory.
    #[error("{0} is a directory; directories cannot be sent yet")]
    Directory(PathBuf),
    /// A device, a pipe, a socket, or a file that the system makes up while it is read.
    #[error("{0} is no ordinary file (a device, a pipe, a socket or one that the system makes up)")]
    Special(PathBuf),
    /// It cannot be read.
    #[error("{path} cannot be read: {reason}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It was written to while it was read.
    #[error("{0} changed while it was read; send it once nothing writes to it any more")]
    Changed(PathBuf),
    /// No receiver could save it under its name, or the name is too long.
    #[error("{path} cannot be sent under its name: {reason}")]
    Name {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What is to be remembered of it cannot be written.
    #[error("what is needed to send {path} later cannot be kept: {reason}")]
    Keep {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The node ends.
    #[error("lanchat is shutting down")]
    Stopped,
}

/// What tells whether a file is still the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Stamp {
    size: u64,
    changed: (u64, u32),
    identity: (u64, u64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let changed = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let changed = changed.map_or((0, 0), |since| (since.as_secs(), since.subsec_nanos()));
        Self { size: metadata.len(), changed, identity: platform::file_identity(metadata) }
    }
}

/// What is kept of a file that is offered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Source {
    path: KeptPath,
    stamp: Stamp,
}

/// A source cannot be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SourceFault {
    Gone,
    Changed,
}

impl Source {
    pub(super) fn path(&self) -> PathBuf {
        self.path.path()
    }

    /// Whether the file at the path is still the one that was hashed.
    pub(super) fn check(&self) -> Result<(), SourceFault> {
        let metadata = std::fs::metadata(self.path()).map_err(|_| SourceFault::Gone)?;
        if metadata.is_file() && Stamp::of(&metadata) == self.stamp {
            Ok(())
        } else {
            Err(SourceFault::Changed)
        }
    }

    /// Opens it for reading, if it is still the same.
    pub(super) fn open(&self) -> Result<File, SourceFault> {
        self.check()?;
        let file = File::open(self.path()).map_err(|_| SourceFault::Gone)?;
        if self.is(&file) { Ok(file) } else { Err(SourceFault::Changed) }
    }

    /// Whether an open file is still the one that was hashed.
    pub(super) fn is(&self, file: &File) -> bool {
        file.metadata().is_ok_and(|metadata| Stamp::of(&metadata) == self.stamp)
    }
}

/// Where content that is offered lies: the place that was offered last first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Sources(BoundedVec<Source, PLACES>);

impl Sources {
    /// What is kept of some content, also by an earlier version.
    pub(super) fn kept(shelf: &Shelf, hash: &BlobHash) -> Self {
        let owner = Owner::Content(*hash);
        let kept = shelf.kept::<Self>(&owner, Part::Sources);
        kept.unwrap_or_else(|| Self(BoundedVec::first(shelf.kept::<Source>(&owner, Part::Source))))
    }

    /// Keeps one more place, before all others. One at a time.
    pub(super) fn add(shelf: &Shelf, hash: &BlobHash, source: &Source) -> io::Result<()> {
        let owner = Owner::Content(*hash);
        let mut all = vec![source.clone()];
        all.extend(Self::kept(shelf, hash).0.iter().filter(|other| other.path != source.path).cloned());
        // A record is as long as its longest path may be, and somewhat more.
        let fits = |all: &[Source]| {
            let bytes: usize = all.iter().map(|source| source.path.len()).sum();
            all.len() <= PLACES && (bytes <= MAX_PATH || all.len() == 1)
        };
        if !fits(&all) {
            all.retain(|source| source.check().is_ok());
        }
        while !fits(&all) {
            all.pop();
        }
        shelf.keep(&owner, Part::Sources, &Self(BoundedVec::first(all)))?;
        shelf.remove(&owner, Part::Source);
        Ok(())
    }

    /// Opens the first that is still the same and has this size. `Changed`: there is something else in one of the places.
    pub(super) fn open(&self, size: u64) -> Result<(Source, File), SourceFault> {
        let mut fault = SourceFault::Gone;
        for source in self.0.iter() {
            match source.open() {
                Ok(file) if source.stamp.size == size => return Ok((source.clone(), file)),
                Ok(_) | Err(SourceFault::Changed) => fault = SourceFault::Changed,
                Err(SourceFault::Gone) => {}
            }
        }
        Err(fault)
    }

    /// Where it lies, or lay last.
    pub(super) fn path(&self) -> Option<PathBuf> {
        let good = self.0.iter().find(|source| source.check().is_ok());
        good.or_else(|| self.0.first()).map(Source::path)
    }
}

/// A file that was hashed.
pub(super) struct Hashed {
    pub(super) source: Source,
    pub(super) list: UnitList,
    pub(super) hash: BlobHash,
    pub(super) size: u64,
    /// Milliseconds since 1970.
    pub(super) changed: u64,
}

/// How far the hashing is, and whether somebody still waits for it.
#[derive(Default, Debug)]
pub(super) struct Watched {
    pub(super) done: AtomicU64,
    pub(super) given_up: AtomicBool,
    /// The program ends: nobody waits for anything any more.
    pub(super) stopping: Arc<AtomicBool>,
}

impl Watched {
    pub(super) fn new(stopping: &Arc<AtomicBool>) -> Self {
        Self { stopping: stopping.clone(), ..Self::default() }
    }

    fn is_over(&self) -> bool {
        self.given_up.load(Ordering::Relaxed) || self.stopping.load(Ordering::Relaxed)
    }
}

/// Looks at a file and hashes it. Blocks.
pub(super) fn hash_file(path: &Path, watched: &Watched) -> Result<Hashed, OfferError> {
    let read = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => OfferError::Missing(path.to_path_buf()),
        _ => OfferError::Read { path: path.to_path_buf(), reason: error.to_string() },
    };
    // Before it is opened, since opening a pipe waits for a writer.
    check_kind(path, &std::fs::metadata(path).map_err(read)?)?;
    let file = File::open(path).map_err(read)?;
    let metadata = file.metadata().map_err(read)?;
    check_kind(path, &metadata)?;
    let stamp = Stamp::of(&metadata);
    let units = Units::of(stamp.size)
        .map_err(|error| OfferError::Read { path: path.to_path_buf(), reason: error.to_string() })?;
    let values = match hash_units(&file, &units, watched) {
        Ok(values) => values,
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(OfferError::Stopped),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(OfferError::Changed(path.to_path_buf()));
        }
        Err(error) => return Err(read(error)),
    };
    let path_kept = KeptPath::new(&absolute(path)).map_err(read)?;
    let source = Source { path: path_kept, stamp };
    let same = file.metadata().is_ok_and(|metadata| Stamp::of(&metadata) == stamp);
    if !same || source.check().is_err() {
        return Err(OfferError::Changed(path.to_path_buf()));
    }
    if stamp.size == 0 && platform::read_at(&file, &mut [0], 0).map_err(read)? > 0 {
        let grew = file.metadata().is_ok_and(|metadata| metadata.len() > 0);
        let what = if grew { OfferError::Changed } else { OfferError::Special };
        return Err(what(path.to_path_buf()));
    }
    let (list, hash) = UnitList::hashed(units, values)
        .map_err(|error| OfferError::Read { path: path.to_path_buf(), reason: error.to_string() })?;
    let changed = stamp.changed.0.saturating_mul(1000).saturating_add(u64::from(stamp.changed.1 / 1_000_000));
    Ok(Hashed { source, list, hash, size: stamp.size, changed })
}

fn check_kind(path: &Path, metadata: &Metadata) -> Result<(), OfferError> {
    if metadata.is_dir() {
        return Err(OfferError::Directory(path.to_path_buf()));
    }
    if metadata.is_file() { Ok(()) } else { Err(OfferError::Special(path.to_path_buf())) }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

/// A unit and its chaining value.
type Valued = (u32, [u8; 32]);

/// Hashes all units, on several threads. `Interrupted`: nobody waits for it any more; `UnexpectedEof`: the file is shorter.
fn hash_units(file: &File, units: &Units, watched: &Watched) -> io::Result<Vec<[u8; 32]>> {
    let next = AtomicU32::new(0);
    let failed = AtomicBool::new(false);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // Half of the cores, so that people and talks have the rest.
    let threads = cores.div_ceil(2).min(HASH_THREADS).min(units.count() as usize).max(1);
    let work = || {
        let mut mine = Vec::new();
        let mut block = vec![0; HASH_BLOCK];
        loop {
            let unit = next.fetch_add(1, Ordering::Relaxed);
            if unit >= units.count() || failed.load(Ordering::Relaxed) {
                return Ok(mine);
            }
            match hash_unit(file, units, unit, &mut block, watched) {
                Ok(value) => mine.push((unit, value)),
                Err(error) => {
                    failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let parts: Vec<io::Result<Vec<Valued>>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let died = |_| Err(io::Error::other("a hashing thread died"));
        handles.into_iter().map(|handle| handle.join().unwrap_or_else(died)).collect()
    });
    let mut all = Vec::new();
    for part in parts {
        all.extend(part?);
    }
    all.sort_unstable_by_key(|(unit, _)| *unit);
    Ok(all.into_iter().map(|(_, value)| value).collect())
}

fn hash_unit(
    file: &File,
    units: &Units,
    unit: u32,
    block: &mut [u8],
    watched: &Watched,
) -> io::Result<[u8; 32]> {
    let wrong = |error: BlobError| io::Error::new(io::ErrorKind::InvalidInput, error);
    let (start, len) = units.range(unit).map_err(wrong)?;
    let mut hasher = UnitHasher::new(units, unit).map_err(wrong)?;
    let mut at = 0;
    while at < len {
        if watched.is_over() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let most = usize::try_from(len - at).unwrap_or(usize::MAX).min(block.len());
        let part = block.get_mut(..most).unwrap_or_default();
        read_exact_at(file, part, start + at)?;
        hasher.update(part);
        at += most as u64;
        watched.done.fetch_add(most as u64, Ordering::Relaxed);
    }
    Ok(hasher.finish())
}

/// Fills a buffer from a place in a file; `UnexpectedEof` when the file ends before.
pub(super) fn read_exact_at(file: &File, mut into: &mut [u8], mut at: u64) -> io::Result<()> {
    while !into.is_empty() {
        match platform::read_at(file, into, at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                at += read as u64;
                into = into.get_mut(read..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
