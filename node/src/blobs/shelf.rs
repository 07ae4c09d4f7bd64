//! Where the files of offers lie, and the small records beside them.
//!
//! Keeps true: no name in here comes from outside (ids and hashes in hexadecimal only); a record is replaced as a whole,
//! and one that cannot be read is as if it were not there.

use super::limits::{KNOWN_PARTS, MAX_PATH, MAX_RECORD};
use crate::platform;
use lanchat_node_core::fetch::UnitSet;
use lanchat_proto::blob::BlobHash;
use lanchat_proto::codec::{self, Blob};
use lanchat_proto::ids::MessageId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The version of every record; one of another version is not read.
const VERSION: u16 = 1;

/// A path as it is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct KeptPath(Blob<MAX_PATH>);

impl KeptPath {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let bytes = platform::path_to_bytes(path);
        Blob::new(bytes).map(Self).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }

    pub(super) fn path(&self) -> PathBuf {
        platform::path_from_bytes(&self.0)
    }

    /// Bytes that it takes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// What a file is for. In the order in which they are removed: no claim outlives what it claims.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Part {
    /// Which units of what came are good.
    Have,
    /// What is offered lies there (named by its hash), as earlier versions kept it: one place.
    Source,
    /// The places where it lies.
    Sources,
    /// The list of chaining values.
    Values,
    /// The bytes that came so far.
    Partial,
    /// Where they are copied to another disk, beside the place where the file is to be saved.
    Copy,
    /// Where the user wants it.
    Wish,
    /// Where it was saved.
    Saved,
}

impl Part {
    const ALL: [Self; 8] = [
        Self::Have,
        Self::Source,
        Self::Sources,
        Self::Values,
        Self::Partial,
        Self::Copy,
        Self::Wish,
        Self::Saved,
    ];

    /// Whether it is there only as long as a file is being fetched.
    pub(super) fn is_fetched(self) -> bool {
        matches!(self, Self::Have | Self::Values | Self::Partial | Self::Copy)
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Have => "have",
            Self::Source => "source",
            Self::Sources => "sources",
            Self::Values => "values",
            Self::Partial => "partial",
            Self::Copy => "copy",
            Self::Wish => "wish",
            Self::Saved => "saved",
        }
    }
}

/// Whom a file belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Owner {
    /// An offer, fetched here.
    Offer(MessageId),
    /// Content, offered from here.
    Content(BlobHash),
}

impl Owner {
    fn stem(&self) -> String {
        match self {
            Self::Offer(offer) => offer.to_string(),
            Self::Content(hash) => hash.to_string(),
        }
    }
}

/// The directory.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    dir: PathBuf,
    /// Units that this run of the program verified, of parts that it looked at.
    known: Arc<Mutex<BTreeMap<MessageId, UnitSet>>>,
}

impl Shelf {
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        platform::create_private_dir(dir)?;
        Ok(Self { dir: dir.to_path_buf(), known: Arc::default() })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn path(&self, owner: &Owner, part: Part) -> PathBuf {
        self.dir.join(format!("{}.{}", owner.stem(), part.extension()))
    }

    /// Everything that lies here and is named as a file of ours.
    pub(super) fn list(&self) -> io::Result<Vec<(Owner, Part, PathBuf)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let extension = path.extension().and_then(|extension| extension.to_str());
            let part = Part::ALL.into_iter().find(|part| Some(part.extension()) == extension);
            let owner = stem.parse().map(Owner::Offer).ok().or_else(|| stem.parse().map(Owner::Content).ok());
            if let (Some(owner), Some(part)) = (owner, part) {
                found.push((owner, part, path));
            }
        }
        Ok(found)
    }

    /// What lies here of one owner, in the order in which it is removed.
    pub(super) fn parts(&self, owner: &Owner) -> BTreeMap<Part, PathBuf> {
        let paths = Part::ALL.into_iter().map(|part| (part, self.path(owner, part)));
        paths.filter(|(_, path)| path.symlink_metadata().is_ok()).collect()
    }

    /// Temporary files that a crash may have left.
    pub(super) fn temporary(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let ours = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.starts_with(".lanchat-"))
        };
        entries.map(|entry| entry.path()).filter(ours).collect()
    }

    /// Writes a record.
    pub(super) fn keep<T: Serialize>(&self, owner: &Owner, part: Part, value: &T) -> io::Result<()> {
        let bytes = codec::encode(&(VERSION, value)).map_err(io::Error::other)?;
        platform::write_private(&self.path(owner, part), &bytes)
    }

    /// Reads a record.
    pub(super) fn kept<T: DeserializeOwned>(&self, owner: &Owner, part: Part) -> Option<T> {
        let bytes = read_small(&self.path(owner, part), MAX_RECORD).ok()?;
        let (version, value) = codec::decode::<(u16, T)>(&bytes, MAX_RECORD).ok()?;
        (version == VERSION).then_some(value)
    }

    /// Writes a list of chaining values.
    pub(super) fn keep_values(&self, owner: &Owner, values: &[[u8; 32]]) -> io::Result<()> {
        platform::write_private(&self.path(owner, Part::Values), values.as_flattened())
    }

    /// Reads a list of so many chaining values. Whether they are the right ones is for the reader to check.
    pub(super) fn values(&self, owner: &Owner, count: u32) -> Option<Vec<[u8; 32]>> {
        let len = count as usize * 32;
        let bytes = read_small(&self.path(owner, Part::Values), len).ok()?;
        (bytes.len() == len).then(|| bytes.as_chunks::<32>().0.to_vec())
    }

    /// Removes a file; one that is not there is removed already.
    pub(super) fn remove(&self, owner: &Owner, part: Part) {
        remove(&self.path(owner, part));
    }

    fn all_known(&self) -> MutexGuard<'_, BTreeMap<MessageId, UnitSet>> {
        // Every change of it is whole before anything can panic.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The units of a part that this run of the program verified; `None`: it has to look at it.
    pub(super) fn known(&self, offer: &MessageId) -> Option<UnitSet> {
        self.all_known().get(offer).cloned()
    }

    /// Remembers which units of a part were verified, once all that is known of it is written down.
    pub(super) fn know(&self, offer: MessageId, verified: UnitSet) {
        let mut known = self.all_known();
        if known.len() < KNOWN_PARTS || known.contains_key(&offer) {
            known.insert(offer, verified);
        }
    }

    /// Has a part looked at again.
    pub(super) fn forget(&self, offer: &MessageId) {
        self.all_known().remove(offer);
    }

    /// Removes whatever a fetch of an offer needs, and no word of where it was saved.
    pub(super) fn remove_fetch(&self, offer: &MessageId) {
        for part in [Part::Have, Part::Values, Part::Partial, Part::Wish] {
            self.remove(&Owner::Offer(*offer), part);
        }
        self.remove_copy(offer);
        self.forget(offer);
    }

    /// Removes what was copied to another disk, and the record of it once it is gone.
    pub(super) fn remove_copy(&self, offer: &MessageId) {
        let owner = Owner::Offer(*offer);
        let copy = self.kept::<KeptPath>(&owner, Part::Copy).map(|copy| copy.path());
        if let Some(copy) = copy.filter(|copy| copy.file_name() == Some(copy_name(offer).as_ref())) {
            remove(&copy);
            if copy.symlink_metadata().is_ok() {
                return;
            }
        }
        self.remove(&owner, Part::Copy);
    }
}

/// The name of a copy that is not whole yet, in the directory where a file is to be saved.
pub(super) fn copy_name(offer: &MessageId) -> String {
    format!(".lanchat-{offer}.partial")
}

/// Removes a file, and says so in the log when it cannot be.
pub(super) fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(%error, "A file of a transfer could not be removed"),
    }
}

/// Reads a file of at most so many bytes.
fn read_small(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a record is too long"));
    }
    Ok(bytes)
}
