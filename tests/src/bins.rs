//! Where the programs are, for stories and for measurements.
//!
//! Keeps true: a release program, the bench for one, uses release programs unless it is told otherwise. Goes out, first
//! that applies:
//! - what `LANCHAT_BIN_DIR` names
//! - for a release program, what stands beside it: both programs
//! - what cargo builds, once for each process, in the profile that we were built in

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Whether we are a debug program: cargo's dev and test profiles.
const DEBUG: bool = cfg!(debug_assertions);

/// The node's program.
#[must_use]
pub fn lanchat() -> PathBuf {
    node_in(dir())
}

/// The coordinator's program.
#[must_use]
pub fn coordinator() -> PathBuf {
    coordinator_in(dir())
}

fn node_in(dir: &Path) -> PathBuf {
    dir.join(format!("lanchat{}", std::env::consts::EXE_SUFFIX))
}

fn coordinator_in(dir: &Path) -> PathBuf {
    dir.join(format!("lanchat-coordinator{}", std::env::consts::EXE_SUFFIX))
}

fn dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| match std::env::var_os("LANCHAT_BIN_DIR") {
        Some(dir) => root().join(PathBuf::from(dir)),
        None => beside().unwrap_or_else(build),
    })
}

/// Where a release program stands, when both programs do too. A debug program has cargo look whether they are new.
fn beside() -> Option<PathBuf> {
    let own = std::env::current_exe().ok().filter(|_| !DEBUG)?;
    let dir = own.parent()?;
    (node_in(dir).is_file() && coordinator_in(dir).is_file()).then(|| dir.to_path_buf())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

#[expect(clippy::panic, reason = "a story without programs cannot be told")]
fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let (profile, place) = if DEBUG { ("dev", "debug") } else { ("release", "release") };
    let built = Command::new(cargo)
        .current_dir(root())
        .args([
            "build",
            "--quiet",
            "--profile",
            profile,
            "-p",
            "lanchat",
            "-p",
            "lanchat-coordinator",
            "--bins",
        ])
        .status();
    match built {
        Ok(status) if status.success() => {}
        other => panic!("the programs cannot be built (or set LANCHAT_BIN_DIR): {other:?}"),
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join(place)
}
