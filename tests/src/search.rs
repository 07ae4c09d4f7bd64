//! Whether something is to be found where it must not be: in a program's memory, in files, on the wire.

use crate::fail::must;
use std::path::Path;

/// Whether these bytes hold the marker in one piece.
#[must_use]
pub fn holds(bytes: &[u8], marker: &[u8]) -> bool {
    let Some(first) = marker.first() else { return true };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        rest = rest.get(at..).unwrap_or_default();
        if rest.starts_with(marker) {
            return true;
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

/// Files below a directory that hold the marker.
///
/// # Panics
/// When the directory cannot be read.
#[must_use]
#[track_caller]
pub fn files_with(dir: &Path, marker: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in must(std::fs::read_dir(dir), dir.display()) {
        let path = must(entry, dir.display()).path();
        if path.is_dir() {
            found.extend(files_with(&path, marker));
        } else if holds(&std::fs::read(&path).unwrap_or_default(), marker.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Parts of a running program's memory that hold the marker, as the kernel names them.
///
/// # Panics
/// When the memory may not be read.
#[cfg(target_os = "linux")]
#[must_use]
#[track_caller]
pub fn memory_with(process: u32, marker: &str) -> Vec<String> {
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    /// Bytes that are read at a time.
    const WINDOW: u64 = 4 * 1024 * 1024;
    let maps = must(std::fs::read_to_string(format!("/proc/{process}/maps")), "the memory's map");
    let memory = must(File::open(format!("/proc/{process}/mem")), "the memory");
    let overlap = marker.len() as u64;
    let mut found = Vec::new();
    for map in maps.lines().filter(|map| map.split(' ').nth(1).is_some_and(|may| may.starts_with('r'))) {
        let span = map.split(' ').next().and_then(|span| span.split_once('-'));
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let Some((mut at, end)) = span.and_then(|(at, end)| Some((number(at)?, number(end)?))) else {
            continue;
        };
        while at < end {
            let mut bytes = vec![0; usize::try_from((end - at).min(WINDOW + overlap)).unwrap_or_default()];
            // The kernel's own pages are listed and cannot be read.
            let length = memory.read_at(&mut bytes, at).unwrap_or(0);
            if holds(bytes.get(..length).unwrap_or_default(), marker.as_bytes()) {
                found.push(map.to_owned());
                break;
            }
            at += WINDOW;
        }
    }
    found
}

/// Memory of a running program in bytes, without what is swapped out.
#[cfg(target_os = "linux")]
#[must_use]
pub fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_where_it_is() {
        for (text, found) in [("a needle", true), ("needl", false), ("neneedle", true), ("", false)] {
            assert_eq!(holds(text.as_bytes(), b"needle"), found, "{text}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_marker_in_memory_is_found() {
        // Made here, so that the text of the program does not hold it.
        let marker: String = (0..24).map(|n| char::from(b'a' + (n * 7) % 26)).collect();
        assert!(!memory_with(std::process::id(), &marker).is_empty());
    }
}
