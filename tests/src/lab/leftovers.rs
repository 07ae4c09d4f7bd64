//! What runs that were killed left behind: their namespaces, and the programs in them.

use super::tools::{command, ip};
use std::path::Path;
use std::process::Command;

/// The start of the names of a process's namespaces.
pub(super) fn prefix(process: u32) -> String {
    format!("lc{process}x")
}

/// The process that made a namespace of this name, if a lab did.
fn maker(namespace: &str) -> Option<u32> {
    let (process, _) = namespace.strip_prefix("lc")?.split_once('x')?;
    process.parse().ok()
}

/// Removes the namespaces of labs whose process is gone, and ends what still runs in them. The first lab of a process
/// does it.
///
/// # Panics
/// When namespaces cannot be listed.
pub fn remove() {
    for line in ip(&["netns", "list"]).lines() {
        let Some(name) = line.split(' ').next() else { continue };
        if maker(name).is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            remove_namespace(name);
        }
    }
}

/// Ends what still runs in a namespace and removes it. Another run may do the same at the same time.
fn remove_namespace(name: &str) {
    let inside = command("ip").args(["netns", "pids", name]).output();
    for process in inside.iter().flat_map(|out| out.stdout.split(|byte| *byte == b'\n')) {
        if let Ok(process) = std::str::from_utf8(process).unwrap_or_default().trim().parse::<u32>() {
            drop(Command::new("kill").args(["-KILL", &process.to_string()]).output());
        }
    }
    delete(name);
}

/// Removes a namespace, and with it its adapters; names what cannot be removed, since it would stay for ever.
pub(super) fn delete(name: &str) {
    let removed = command("ip").args(["netns", "del", name]).output();
    if !removed.is_ok_and(|out| out.status.success()) && Path::new("/run/netns").join(name).exists() {
        report(name);
    }
}

#[expect(clippy::print_stderr, reason = "the only place left to tell it")]
fn report(name: &str) {
    eprintln!("the namespace {name} could not be removed; remove it with: ip netns del {name}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_labs_are_ours() {
        assert_eq!(maker(&format!("{}0-sw", prefix(77))), Some(77));
        for name in ["lan", "lcx1", "lc12", "lc-1x0", "my-lc1x0"] {
            assert_eq!(maker(name), None, "{name}");
        }
    }
}
