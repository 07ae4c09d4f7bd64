//! The bytes of files: offered, sent, fetched, saved.
//!
//! Keeps true: nothing is saved under its final name before it is whole and verified, and nothing is replaced; what was
//! fetched survives a crash up to what the disk was last told to keep; memory is bounded whatever the size; all reading,
//! hashing and writing happens off the event loop. Goes in: orders of the core, streams of content, paths of the user.
//! Goes out: [`FromFiles`] for the event loop. On disk: `docs/storage.md#files`; the rules: `docs/protocol.md#transfer`.

mod collect;
mod fetcher;
mod finish;
mod holder;
pub mod limits;
mod pace;
mod partial;
mod server;
mod shelf;
mod source;
mod space;
#[cfg(test)]
mod tests;
mod writer;

pub use source::OfferError;

use crate::config::Settings;
use crate::platform;
use fetcher::Running;
pub use finish::SaveError;
use lanchat_net::LinkId as NetLink;
use lanchat_node_core::boot::{LinkId, StoredTransfer};
use lanchat_node_core::fetch::Flow;
use lanchat_node_core::input::FetchEnd;
use lanchat_proto::blob::BlobHash;
use lanchat_proto::codec::Text;
use lanchat_proto::entry::FileBody;
use lanchat_proto::file_name::{FileName, FileNameError};
use lanchat_proto::ids::MessageId;
use lanchat_proto::limits::{MAX_FILE_NAME, MAX_MEDIA_TYPE};
use lanchat_proto::time::{Mono, Wall};
use lanchat_proto::wire::blob::{BlobOpen, BlobRefusal};
use limits::Waits;
use pace::Gate;
use shelf::{KeptPath, Owner, Part, Shelf};
use source::{Hashed, Sources, Watched};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

/// What the event loop is told or asked.
#[derive(Debug)]
pub enum FromFiles {
    /// A fetch ended.
    FetchEnded {
        /// The offer.
        offer: MessageId,
        /// The link of its order.
        link: LinkId,
        /// How.
        end: FetchEnd,
    },
    /// All of a file is here, and could not be saved yet, or was not when the program ended.
    Whole {
        /// The offer.
        offer: MessageId,
    },
    /// The saving of a file that was all here ended.
    SaveEnded {
        /// The offer.
        offer: MessageId,
        /// How.
        end: FetchEnd,
    },
    /// A unit of a running fetch was verified and written.
    GoesOn {
        /// The offer.
        offer: MessageId,
    },
    /// An offered file is being sent, or no more.
    Serving {
        /// The offer.
        offer: MessageId,
        /// Whether it is.
        now: bool,
    },
    /// An offered file cannot be sent any more.
    SourceLost {
        /// The offer.
        offer: MessageId,
        /// What whoever asked for it is told.
        reason: BlobRefusal,
    },
    /// May the other end of this link have that?
    MayFetch {
        /// The link.
        link: LinkId,
        /// What it asks for.
        open: BlobOpen,
        /// Where the answer goes.
        answer: oneshot::Sender<Result<StoredTransfer, BlobRefusal>>,
    },
    /// Which transfers are there? What belongs to none of them is collected.
    Transfers {
        /// Where the answer goes.
        answer: oneshot::Sender<Vec<StoredTransfer>>,
    },
}

/// A file that was hashed and can be offered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prepared {
    /// What is offered, for `Command::OfferFile`.
    pub file: FileBody,
    /// Where it lies.
    pub path: PathBuf,
}

/// How far a transfer is.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Progress {
    /// Bytes that are there; of a file that is sent: up to where it was sent last.
    pub done: u64,
    /// Bytes a second over the last two or three seconds.
    pub rate: u64,
    /// Streams in use.
    pub sources: u32,
}

/// What is kept of how far a transfer is.
#[derive(Clone, Default, Debug)]
struct Shown {
    done: u64,
    sources: u32,
    flow: Flow,
}

/// A directory cannot be used to save a file in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{dir} cannot be used to save a file in: {reason}")]
pub struct WishError {
    /// Which.
    pub dir: PathBuf,
    /// Why.
    pub reason: String,
}

/// What changes while files are moved.
#[derive(Debug, Default)]
struct State {
    progress: BTreeMap<MessageId, Shown>,
    saved: BTreeMap<MessageId, PathBuf>,
    fetches: BTreeMap<MessageId, Running>,
    /// Streams that have a place, the newest last.
    served: Vec<Arc<server::Place>>,
    /// Streams on which an offered file is being sent.
    serving: BTreeMap<MessageId, usize>,
    /// Streams of each link that have not said what they want.
    opening: BTreeMap<NetLink, usize>,
    /// How often a holder sent something else.
    faults: BTreeMap<MessageId, u32>,
    /// Files that were saved since the start.
    complete: BTreeSet<MessageId>,
}

struct Inner {
    shelf: Shelf,
    downloads: PathBuf,
    settings: watch::Receiver<Settings>,
    to_loop: mpsc::Sender<FromFiles>,
    hashing: Semaphore,
    up: Gate,
    down: Gate,
    waits: Waits,
    started: Instant,
    /// The program ends.
    stopping: Arc<AtomicBool>,
    /// Held by a fetch that looks whether there is room for it.
    beginning: Mutex<()>,
    /// Held by an offer that adds a place to those of its content.
    offering: Mutex<()>,
    state: Mutex<State>,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of it is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files of a membership; cheap to clone.
#[derive(Clone)]
pub struct Files(Arc<Inner>);

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Files({})", self.0.shelf.dir().display())
    }
}

impl Files {
    /// The files kept in `dir`. Without a setting, files are saved in the system's directory for downloads, or in
    /// `downloads` where it names none.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub fn open(
        dir: &Path,
        downloads: &Path,
        settings: watch::Receiver<Settings>,
    ) -> io::Result<(Self, mpsc::Receiver<FromFiles>)> {
        Self::open_with(dir, downloads, settings, Waits::default())
    }

    fn open_with(
        dir: &Path,
        downloads: &Path,
        settings: watch::Receiver<Settings>,
        waits: Waits,
    ) -> io::Result<(Self, mpsc::Receiver<FromFiles>)> {
        let shelf = Shelf::open(dir)?;
        let (to_loop, from_files) = mpsc::channel(limits::TO_LOOP);
        let (mut state, mut whole) = (State::default(), Vec::new());
        for (owner, part, _) in shelf.list()? {
            let Owner::Offer(offer) = owner else { continue };
            if part == Part::Saved
                && let Some(path) = shelf.kept::<KeptPath>(&owner, part)
            {
                state.saved.insert(offer, path.path());
            }
            if part == Part::Have
                && let Some((done, size)) = partial::claimed_bytes(&shelf, &owner)
            {
                if done == size {
                    whole.push(offer);
                }
                state.progress.insert(offer, Shown { done, ..Shown::default() });
            }
        }
        let inner = Inner {
            shelf,
            downloads: downloads.to_path_buf(),
            up: Gate::new(settings.clone(), |settings| settings.rate_limit_up),
            down: Gate::new(settings.clone(), |settings| settings.rate_limit_down),
            settings,
            to_loop,
            hashing: Semaphore::new(limits::HASHING),
            waits,
            started: Instant::now(),
            stopping: Arc::default(),
            beginning: Mutex::default(),
            offering: Mutex::default(),
            state: Mutex::new(state),
        };
        let files = Self(Arc::new(inner));
        tokio::spawn(collect::run(Arc::downgrade(&files.0)));
        let to_loop = files.0.to_loop.clone();
        tokio::spawn(async move {
            for offer in whole {
                // A loop that has ended need not know.
                drop(to_loop.send(FromFiles::Whole { offer }).await);
            }
        });
        Ok((files, from_files))
    }

    /// Looks at a file, hashes it off the loop and remembers where it lies, so that it can be offered and is sent also
    /// after a restart. `progress` is told the bytes hashed so far, a few times a second. Given up: the hashing ends.
    ///
    /// # Errors
    /// [`OfferError`].
    pub async fn offer(&self, path: &Path, progress: impl Fn(u64)) -> Result<Prepared, OfferError> {
        let _place = self.0.hashing.acquire().await.map_err(|_| OfferError::Stopped)?;
        let watched = Arc::new(Watched::new(&self.0.stopping));
        let _given_up = GivenUp(watched.clone());
        let (files, wanted, seen) = (self.clone(), path.to_path_buf(), watched.clone());
        let mut task = tokio::task::spawn_blocking(move || files.prepare(&wanted, &seen));
        let mut tick = tokio::time::interval(limits::PROGRESS);
        loop {
            tokio::select! {
                done = &mut task => return done.unwrap_or(Err(OfferError::Stopped)),
                _ = tick.tick() => progress(watched.done.load(Ordering::Relaxed)),
            }
        }
    }

    fn prepare(&self, path: &Path, watched: &Watched) -> Result<Prepared, OfferError> {
        let name = offered_name(path)
            .map_err(|reason| OfferError::Name { path: path.to_path_buf(), reason: reason.to_string() })?;
        let hashed = source::hash_file(path, watched)?;
        self.keep_offered(path, &hashed)?;
        let file = FileBody {
            media_type: media_type(&name),
            name,
            size: hashed.size,
            hash: hashed.hash,
            changed: Wall(hashed.changed),
        };
        Ok(Prepared { file, path: hashed.source.path() })
    }

    /// Remembers what is needed to send a file that was hashed.
    fn keep_offered(&self, path: &Path, hashed: &Hashed) -> Result<(), OfferError> {
        let owner = Owner::Content(hashed.hash);
        let keep =
            |error: io::Error| OfferError::Keep { path: path.to_path_buf(), reason: error.to_string() };
        self.0.shelf.keep_values(&owner, hashed.list.values()).map_err(keep)?;
        {
            let _turn = self.0.offering.lock().unwrap_or_else(PoisonError::into_inner);
            Sources::add(&self.0.shelf, &hashed.hash, &hashed.source).map_err(keep)?;
        }
        // That may take as long as the hashing: what was just written goes to the disk with it.
        hashed.source.check().map_err(|_| OfferError::Changed(path.to_path_buf()))
    }

    /// Where an offered file is to be saved; `None`: where all are. To be said before the offer is accepted.
    ///
    /// # Errors
    /// [`WishError`]: nothing was changed.
    pub fn wish(&self, offer: MessageId, dir: Option<&Path>) -> Result<(), WishError> {
        let owner = Owner::Offer(offer);
        let Some(dir) = dir else {
            self.0.shelf.remove(&owner, Part::Wish);
            return Ok(());
        };
        let wrong = |reason: String| WishError { dir: dir.to_path_buf(), reason };
        if !dir.is_absolute() {
            return Err(wrong("the path does not begin at the root".to_owned()));
        }
        finish::try_dir(dir).map_err(|error| wrong(error.to_string()))?;
        std::fs::create_dir_all(dir).map_err(|error| wrong(error.to_string()))?;
        let kept = KeptPath::new(dir).map_err(|error| wrong(error.to_string()))?;
        self.0.shelf.keep(&owner, Part::Wish, &kept).map_err(|error| wrong(error.to_string()))
    }

    /// The directory for an offer: the user's wish, the setting, the system's, one of our own.
    fn target(&self, offer: &MessageId) -> PathBuf {
        let wish = self.0.shelf.kept::<KeptPath>(&Owner::Offer(*offer), Part::Wish);
        wish.map(|wish| wish.path())
            .or_else(|| self.0.settings.borrow().download_dir.clone())
            .or_else(platform::download_dir)
            .unwrap_or_else(|| self.0.downloads.clone())
    }

    fn show(&self, offer: MessageId, change: impl FnOnce(&mut Shown)) {
        change(self.0.state().progress.entry(offer).or_default());
    }

    /// The time by which rates are reckoned.
    fn now(&self) -> Mono {
        Mono(self.0.started.elapsed())
    }

    /// How far a transfer is; `None` when nothing of it is there and nothing was under way since the start.
    #[must_use]
    pub fn progress(&self, offer: &MessageId) -> Option<Progress> {
        let now = self.now();
        let state = self.0.state();
        let shown = state.progress.get(offer)?;
        // Of now, also where whoever moves the bytes waits for something.
        Some(Progress { done: shown.done, rate: shown.flow.rate(now), sources: shown.sources })
    }

    /// Where a file that came in was saved.
    #[must_use]
    pub fn saved(&self, offer: &MessageId) -> Option<PathBuf> {
        self.0.state().saved.get(offer).cloned()
    }

    /// Where a file lies that is offered from here: of several places the one that was offered last and where it still
    /// lies. Looks at the disk.
    #[must_use]
    pub fn source(&self, hash: &BlobHash) -> Option<PathBuf> {
        Sources::kept(&self.0.shelf, hash).path()
    }
}

/// Tells the hashing that nobody waits for it any more.
struct GivenUp(Arc<Watched>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.given_up.store(true, Ordering::Relaxed);
    }
}

/// What a name says of the kind of content; empty where it says nothing.
fn media_type(name: &str) -> Text<MAX_MEDIA_TYPE> {
    let told = mime_guess::from_path(name).first_raw().unwrap_or_default();
    Text::new(told.to_owned()).unwrap_or_default()
}

/// The name under which a file is offered: one that every receiver can save it under. What the own platform allows in a
/// name and others read as a way elsewhere is replaced here, since it is known not to be meant so.
fn offered_name(path: &Path) -> Result<Text<MAX_FILE_NAME>, FileNameError> {
    let name = path.file_name().map(|name| name.to_string_lossy()).ok_or(FileNameError::Empty)?;
    let name = FileName::new(&name).or_else(|_| {
        let plain = name.chars().map(|c| if c.is_alphanumeric() || "._- ()".contains(c) { c } else { '_' });
        FileName::new(&plain.collect::<String>())
    })?;
    Text::new(name.to_string()).map_err(|_| FileNameError::Empty)
}
