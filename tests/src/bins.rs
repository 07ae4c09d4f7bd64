//! Where the programs are: `LANCHAT_BIN_DIR`, else cargo builds them once for each test process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The node's program.
#[must_use]
pub fn lanchat() -> PathBuf {
    dir().join(format!("lanchat{}", std::env::consts::EXE_SUFFIX))
}

/// The coordinator's program.
#[must_use]
pub fn coordinator() -> PathBuf {
    dir().join(format!("lanchat-coordinator{}", std::env::consts::EXE_SUFFIX))
}

fn dir() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| match std::env::var_os("LANCHAT_BIN_DIR") {
        Some(dir) => root().join(PathBuf::from(dir)),
        None => build(),
    })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

#[expect(clippy::panic, reason = "a story without programs cannot be told")]
fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .current_dir(root())
        .args(["build", "--quiet", "-p", "lanchat", "-p", "lanchat-coordinator", "--bins"])
        .status();
    match built {
        Ok(status) if status.success() => {}
        other => panic!("the programs cannot be built: {other:?}"),
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("debug")
}
