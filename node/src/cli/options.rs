//! What the command line asks of whoever starts programs: it parses, the launcher runs.

use crate::lang::Lang;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use zeroize::Zeroizing;

/// How a node is to run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Its data directory, absolute.
    pub data_dir: PathBuf,
    /// Login in the open LAN.
    pub name: Option<String>,
    /// Coordinators, as people write them; empty: the settings decide.
    pub coordinators: Vec<String>,
    /// False turns mDNS off, whatever the settings say.
    pub mdns: bool,
    /// Multiaddrs to listen on; empty: the settings decide. One that is taken is an error.
    pub listen: Vec<String>,
    /// Where the page is served; `None`: the default port or the next free one. One that is taken is an error.
    pub ui: Option<SocketAddr>,
    /// No desktop notifications.
    pub headless: bool,
    /// Open the page in the user's browser once it is served.
    pub open_browser: bool,
    /// Language of what is said to people; `None`: settings, then locale.
    pub lang: Option<Lang>,
}

/// What is to be restored.
#[derive(Clone)]
pub struct RestoreOptions {
    /// Where to, absolute.
    pub data_dir: PathBuf,
    /// The backup.
    pub file: PathBuf,
    /// What it is encrypted under.
    pub passphrase: Zeroizing<String>,
    /// Language of what is said to people.
    pub lang: Lang,
}

/// Starts programs. Each call returns when the program has ended, with its exit code; errors are told on stderr.
pub trait Launcher {
    /// Runs a node in the foreground.
    fn run(&self, options: RunOptions) -> ExitCode;
    /// Runs a coordinator and three nodes in temporary directories.
    fn demo(&self, lang: Lang) -> ExitCode;
    /// Restores a backup; no node runs for the directory.
    fn restore(&self, options: RestoreOptions) -> ExitCode;
}
