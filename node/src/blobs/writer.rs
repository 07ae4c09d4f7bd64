//! The disk's side of a fetch: one thread that writes and hashes what comes.
//!
//! Keeps true: a unit that was found good is never written to again, whatever else comes for it; zeros beyond the file's
//! end are left to the file system; what waits here is what was asked for, so the credit bounds it.

use crate::platform;
use lanchat_node_core::fetch::{Placed, SourceId, UnitSet};
use lanchat_proto::blob::{BlobError, UnitHasher, UnitList};
use lanchat_proto::wire::blob::PIECE_HEADER;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Something for the thread.
pub(super) enum Job {
    /// The list of chaining values; before any bytes.
    List(Arc<UnitList>),
    /// A piece.
    Write {
        source: SourceId,
        placed: Placed,
        /// A piece's frame, with its header.
        payload: Vec<u8>,
    },
}

/// What became of a piece.
pub(super) struct Wrote {
    pub(super) source: SourceId,
    pub(super) unit: u32,
    pub(super) len: u64,
    /// The memory, to be used again.
    pub(super) payload: Vec<u8>,
    /// After a unit's last piece: whether it is good.
    pub(super) hashed: Option<Result<(), BlobError>>,
    /// The disk did not take it.
    pub(super) failed: Option<io::Error>,
}

struct Writer {
    file: Arc<File>,
    /// Bytes of the file.
    end: u64,
    list: Option<Arc<UnitList>>,
    good: UnitSet,
    hashers: BTreeMap<u32, UnitHasher>,
}

/// Runs until nothing more can come.
pub(super) fn run(
    file: Arc<File>,
    good: UnitSet,
    mut jobs: mpsc::Receiver<Job>,
    wrote: &mpsc::Sender<Wrote>,
) {
    let end = file.metadata().map_or(0, |metadata| metadata.len());
    let mut writer = Writer { file, end, list: None, good, hashers: BTreeMap::new() };
    while let Some(job) = jobs.blocking_recv() {
        match job {
            Job::List(list) => writer.list = Some(list),
            Job::Write { source, placed, payload } => {
                let bytes = payload.get(PIECE_HEADER..).unwrap_or_default();
                let len = bytes.len() as u64;
                let (hashed, failed) = match writer.take(&placed, bytes) {
                    Ok(hashed) => (hashed, None),
                    Err(error) => (None, Some(error)),
                };
                let done = Wrote { source, unit: placed.unit, len, payload, hashed, failed };
                if wrote.blocking_send(done).is_err() {
                    return;
                }
            }
        }
    }
}

impl Writer {
    fn take(&mut self, placed: &Placed, bytes: &[u8]) -> io::Result<Option<Result<(), BlobError>>> {
        if self.good.has(placed.unit) {
            return Ok(placed.last.then_some(Ok(())));
        }
        let list = self.list.clone().ok_or_else(|| io::Error::other("a piece before the list"))?;
        if placed.first {
            let hasher = UnitHasher::new(&list.units(), placed.unit).map_err(io::Error::other)?;
            self.hashers.insert(placed.unit, hasher);
        }
        self.write(bytes, placed.at)?;
        if let Some(hasher) = self.hashers.get_mut(&placed.unit) {
            hasher.update(bytes);
        }
        if !placed.last {
            return Ok(None);
        }
        // A unit whose beginning did not come here is not known to be good.
        let hasher = self.hashers.remove(&placed.unit);
        let verdict =
            hasher.map_or(Err(BlobError::Damaged(placed.unit)), |hasher| list.verify(placed.unit, &hasher));
        if verdict.is_ok() {
            let (start, len) = list.units().range(placed.unit).map_err(io::Error::other)?;
            if self.end < start + len {
                self.file.set_len(start + len)?;
                self.end = start + len;
            }
            self.good.add(placed.unit);
        }
        Ok(Some(verdict))
    }

    fn write(&mut self, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
        // Whatever was never written reads as zeros.
        if at >= self.end && bytes.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        while !bytes.is_empty() {
            match platform::write_at(&self.file, bytes, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    at += written as u64;
                    bytes = bytes.get(written..).unwrap_or_default();
                    self.end = self.end.max(at);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
