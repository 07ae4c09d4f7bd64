//! What a process uses, as the kernel counts it. Linux only: elsewhere the files are missing and nothing is told.

use std::fs;
use std::time::Duration;

/// Memory of a process in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Resident: with shared pages (the program's own file, libraries) counted whole.
    pub rss: u64,
    /// Proportional: shared pages divided among those who share them.
    pub pss: u64,
    /// Resident pages that no file backs: heap and stacks.
    pub anonymous: u64,
}

impl Memory {
    /// Of the process with this id.
    #[must_use]
    pub fn of(process: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
        Some(Self {
            rss: kilobytes(&text, "Rss:")?,
            pss: kilobytes(&text, "Pss:")?,
            anonymous: kilobytes(&text, "Anonymous:")?,
        })
    }
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Processor time that a process has used until now, in user space and in the kernel.
#[must_use]
pub fn processor_time(process: u32) -> Option<Duration> {
    time(&process.to_string(), 11)
}

/// Processor time of all processes that this one has started and waited for, and of those that they waited for.
#[must_use]
pub fn children_time() -> Option<Duration> {
    time("self", 13)
}

/// Two fields of a process' line, in user space and in the kernel, of those after its name.
fn time(process: &str, user: usize) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold spaces.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(user)?.parse::<u64>().ok()? + fields.get(user + 1)?.parse::<u64>().ok()?;
    // Linux shows user space 100 ticks a second on every architecture.
    Some(Duration::from_millis(ticks * 10))
}

/// Megabytes (10^6).
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "figures of memory are shown to three digits")]
pub fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_has_memory_and_used_time() {
        let memory = Memory::of(std::process::id()).unwrap();
        assert!(memory.rss >= memory.pss && memory.rss >= memory.anonymous && memory.pss > 0);
        assert!(processor_time(std::process::id()).is_some());
    }
}
