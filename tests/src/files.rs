//! Files between people: made, offered, followed, and looked at where they arrive.
//!
//! Keeps true: what a file holds follows from a number, and does not compress; everything lies on a [`Desk`], a temporary
//! directory that goes with the story. States are read over the local API, so that looking costs little.
//!
//! - [`Desk`]: sources, the directory for what arrives, and [`Desk::look`], who sees everything that appears there
//! - [`Offer`]: what `send-file` told; [`Node::offer`], [`Node::accept`], [`Node::transfer`]
//! - [`SmallDisk`]: a file system that can be full
//! - `chaos`: transfers that are interrupted again and again

#[cfg(target_os = "linux")]
pub mod chaos;
mod disk;

pub use disk::SmallDisk;

use crate::api::Api;
use crate::command::Finished;
use crate::fail::{fail, must};
use crate::lab::AtHost;
use crate::office::Node;
use crate::wait::within;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// How long an offer takes to be seen by the other side, where nothing is broken.
const SEEN: Duration = Duration::from_secs(10);
/// Bytes that are made and written at a time.
const BLOCK: usize = 1024 * 1024;

/// A file that was offered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// The transfer.
    pub id: String,
    /// BLAKE3 of the content in hex, as the sender told it.
    pub blob: String,
}

impl Offer {
    /// That of a transfer.
    #[must_use]
    pub fn of(transfer: &Value) -> Self {
        Self { id: text(transfer, "id"), blob: text(transfer, "blob") }
    }
}

/// BLAKE3 of a file in hex, computed here.
///
/// # Panics
/// When it cannot be read.
#[must_use]
#[track_caller]
pub fn hash_of(path: &Path) -> String {
    let mut hasher = blake3::Hasher::new();
    let file = must(File::open(path), path.display());
    must(hasher.update_reader(file), path.display());
    hasher.finalize().to_hex().to_string()
}

/// A transfer's text under a key; empty for none.
#[must_use]
pub fn text(transfer: &Value, key: &str) -> String {
    transfer.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Bytes of a transfer that are there.
#[must_use]
pub fn done(transfer: &Value) -> u64 {
    transfer.get("done").and_then(Value::as_u64).unwrap_or_default()
}

/// Whether nothing more happens to a transfer by itself.
#[must_use]
pub fn is_over(transfer: &Value) -> bool {
    matches!(text(transfer, "state").as_str(), "complete" | "failed" | "cancelled" | "rejected")
}

impl Node {
    /// Offers a file.
    ///
    /// # Panics
    /// When it is not taken.
    #[track_caller]
    pub fn offer(&self, to: &Self, path: &Path) -> Offer {
        let sent = self.cli(&["send-file", &to.name, &path.display().to_string(), "--json"]).json();
        let offer = sent.pointer("/transfers/0").map(Offer::of);
        let offer = offer.unwrap_or_else(|| fail(format_args!("no transfer in {sent}")));
        assert!(!offer.id.is_empty(), "no transfer in {sent}");
        offer
    }

    /// Waits until an offer is seen here, and accepts it.
    ///
    /// # Panics
    /// When it is not seen in time, or cannot be accepted.
    #[track_caller]
    pub fn accept(&self, offer: &Offer, into: &Path) {
        within(SEEN, "the offer is seen", || self.file_state(offer) == "offered");
        self.cli(&["accept", &offer.id, "--to", &into.display().to_string()]).ok();
    }

    /// Does something with a transfer: `reject`, `pause`, `resume`, `cancel`.
    #[must_use]
    pub fn act(&self, what: &str, offer: &Offer) -> Finished {
        self.cli(&[what, &offer.id])
    }

    /// A transfer as it is shown; null where it is not known, or the node does not run.
    #[must_use]
    pub fn transfer(&self, offer: &Offer) -> Value {
        let asked = Api::connect(self.host(), self.dir())
            .and_then(|mut api| api.get(&format!("/api/v1/transfers/{}", offer.id)));
        asked.unwrap_or_default()
    }

    /// All transfers, those that were offered first in front.
    #[must_use]
    pub fn transfers(&self) -> Vec<Value> {
        Api::connect(self.host(), self.dir()).map(|mut api| api.list("/api/v1/transfers")).unwrap_or_default()
    }

    /// The state of a transfer; empty where it is not known.
    #[must_use]
    pub fn file_state(&self, offer: &Offer) -> String {
        text(&self.transfer(offer), "state")
    }

    /// What is wrong with a transfer, in words; empty for nothing.
    #[must_use]
    pub fn file_error(&self, offer: &Offer) -> String {
        text(&self.transfer(offer), "error")
    }

    /// Sets a setting.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn set(&self, key: &str, value: &str) {
        self.cli(&["config", "set", key, value]).ok();
    }

    /// Waits until this many bytes of a transfer came in, or it is over.
    ///
    /// # Panics
    /// When neither happens in time.
    #[track_caller]
    pub fn has_part(&self, offer: &Offer, bytes: u64, deadline: Duration) {
        within(deadline, &format!("{} has {bytes} bytes", self.name), || {
            let transfer = self.transfer(offer);
            done(&transfer) >= bytes || is_over(&transfer)
        });
    }

    /// Names in its directory for content that belong to an offer and are no record of where the file was saved.
    #[must_use]
    pub fn leftovers(&self, offer: &Offer) -> Vec<String> {
        let mut found = Vec::new();
        collect(&self.dir().join("blobs"), &mut found);
        found.retain(|name| name.starts_with(&offer.id) && !name.ends_with(".saved"));
        found
    }

    /// The most memory that its process ever had, in bytes.
    ///
    /// # Panics
    /// When it does not run, or this is no Linux.
    #[must_use]
    #[track_caller]
    pub fn most_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid().unwrap_or_default());
        let status = must(std::fs::read_to_string(&path), &path);
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.unwrap_or_else(|| fail(format_args!("no VmHWM in {path}"))) * 1024
    }
}

fn collect(dir: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            collect(&entry.path(), names);
        } else {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
}

/// Where somebody keeps what is sent, and somebody else gets what arrives.
#[derive(Debug)]
pub struct Desk {
    dir: TempDir,
}

impl Desk {
    /// An empty one.
    ///
    /// # Panics
    /// When no directory can be made.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("lanchat-story-").tempdir();
        let desk = Self { dir: must(dir, "no temporary directory") };
        must(std::fs::create_dir(desk.inbox()), "the inbox");
        desk
    }

    /// The directory of all.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The directory for what arrives.
    #[must_use]
    pub fn inbox(&self) -> PathBuf {
        self.dir.path().join("inbox")
    }

    /// What lies in the inbox, hidden files too.
    #[must_use]
    pub fn arrived(&self) -> Vec<String> {
        let mut names = Vec::new();
        collect(&self.inbox(), &mut names);
        names.sort();
        names
    }

    /// A file to send, of this many bytes.
    ///
    /// # Panics
    /// When it cannot be written.
    #[track_caller]
    pub fn file(&self, name: &str, len: u64) -> PathBuf {
        let path = self.dir.path().join(name);
        fill(&path, len);
        path
    }

    /// Looks at the inbox without a break, until [`Look::end`].
    #[must_use]
    pub fn look(&self) -> Look {
        let over = Arc::<AtomicBool>::default();
        let (stop, dir) = (over.clone(), self.inbox());
        let eyes = std::thread::spawn(move || {
            let mut seen = BTreeMap::new();
            loop {
                let last = stop.load(Ordering::Relaxed);
                for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
                    let len = entry.metadata().map_or(0, |metadata| metadata.len());
                    seen.entry(entry.file_name().to_string_lossy().into_owned()).or_insert(len);
                }
                if last {
                    return seen;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Look { over, eyes }
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self::new()
    }
}

/// Somebody who looks at a directory.
#[derive(Debug)]
pub struct Look {
    over: Arc<AtomicBool>,
    eyes: JoinHandle<BTreeMap<String, u64>>,
}

impl Look {
    /// Every name that was ever there, with the bytes that the file had when it was first seen.
    ///
    /// # Panics
    /// When looking did.
    #[must_use]
    pub fn end(self) -> BTreeMap<String, u64> {
        self.over.store(true, Ordering::Relaxed);
        self.eyes.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Writes a file of this many bytes, which no other file of the process begins like.
#[track_caller]
fn fill(path: &Path, len: u64) {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let seed = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut bytes = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
    let mut file = must(File::create(path), path.display());
    let (mut left, mut block) = (len, vec![0; BLOCK]);
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK);
        block.truncate(part);
        bytes.fill(&mut block);
        must(file.write_all(&block), path.display());
        left -= part as u64;
    }
}
