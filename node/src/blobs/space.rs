//! Room on a disk.
//!
//! Keeps true: a fetch leaves [`ROOM_LEFT`] bytes, or a hundredth of the disk if that is less.

use super::limits::ROOM_LEFT;
use std::io;
use std::path::Path;

/// Whether so many bytes still fit on the disk of this directory. A system that does not tell is believed to have room:
/// a write that fails says so later.
pub(super) fn has_room(dir: &Path, bytes: u64) -> bool {
    // What is not made yet will lie on the disk of what is above it.
    let Some(there) = dir.ancestors().find(|dir| dir.is_dir()) else { return true };
    fs4::statvfs(there).map_or(true, |stats| {
        let left = ROOM_LEFT.min(stats.total_space() / 100);
        stats.available_space() >= bytes.saturating_add(left)
    })
}

/// Whether an error says that there is no room.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
