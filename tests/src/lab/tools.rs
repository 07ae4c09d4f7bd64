//! The system's tools, and what to say where they are missing.

use crate::fail::{fail, must};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Tool and the Debian package that holds it.
const PACKAGES: [(&str, &str); 3] = [("ip", "iproute2"), ("tc", "iproute2"), ("nft", "nftables")];

/// Where a tool is; administrators' directories are not in everybody's PATH.
#[track_caller]
fn find(tool: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let further = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let found =
        std::env::split_paths(&path).chain(further).map(|dir| dir.join(tool)).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        let package = PACKAGES.iter().find(|(name, _)| *name == tool).map_or(tool, |(_, package)| package);
        fail(format_args!("the lab needs '{tool}'; install it with: apt-get install -y {package}"))
    })
}

/// Fails loudly when a tool is missing.
#[track_caller]
pub(super) fn check() {
    for (tool, _) in PACKAGES {
        find(tool);
    }
}

/// A command of one of them.
#[track_caller]
pub(super) fn command(tool: &str) -> Command {
    Command::new(find(tool))
}

#[track_caller]
fn finished(what: &str, out: std::io::Result<Output>) -> String {
    let out = must(out, what);
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        fail(format_args!(
            "{what}: {}\nthe lab needs root and a kernel with network namespaces, veth, bridge and nf_tables",
            said.trim()
        ));
    }
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// `ip` with these words.
#[track_caller]
pub(super) fn ip(args: &[&str]) -> String {
    finished(&format!("ip {}", args.join(" ")), command("ip").args(args).output())
}

/// `ip` in a namespace; `words` are split at spaces.
#[track_caller]
pub(super) fn ip_in(namespace: &str, words: &str) -> String {
    let args: Vec<&str> = ["-n", namespace].into_iter().chain(words.split(' ')).collect();
    ip(&args)
}

/// `tc` in a namespace; `words` are split at spaces.
#[track_caller]
pub(super) fn tc_in(namespace: &str, words: &str) {
    let args: Vec<&str> = ["-n", namespace].into_iter().chain(words.split(' ')).collect();
    finished(&format!("tc {}", args.join(" ")), command("tc").args(args).output());
}

/// Loads firewall rules in a namespace, all or none of them.
#[track_caller]
pub(super) fn nft_in(namespace: &str, rules: &str) {
    let mut command = command("ip");
    command.args(["netns", "exec", namespace]).arg(find("nft")).args(["-f", "-"]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = must(child, "nft");
    if let Some(mut stdin) = child.stdin.take() {
        must(stdin.write_all(rules.as_bytes()), "nft");
    }
    finished(&format!("nft -f - <<'END'\n{rules}END\n"), child.wait_with_output());
}

/// Moves the calling thread into a namespace.
#[track_caller]
pub(super) fn enter(namespace: &str) {
    let path = Path::new("/run/netns").join(namespace);
    let door = must(File::open(&path), path.display());
    must(move_into_link_name_space(door.as_fd(), Some(LinkNameSpaceType::Network)), path.display());
}

/// Sets kernel parameters below `/proc/sys/net` in a namespace.
#[track_caller]
pub(super) fn sysctl_in(namespace: &str, parameters: &[(&str, &str)]) {
    let done = std::thread::scope(|scope| {
        let set = || {
            enter(namespace);
            for (name, value) in parameters {
                must(std::fs::write(Path::new("/proc/sys/net").join(name), value), name);
            }
        };
        scope.spawn(set).join()
    });
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}
