//! Fetches files: one task for each offer that is being fetched.
//!
//! Keeps true: one task at a time has a file open that is being fetched; a new order drains the stream of the one before
//! instead of cutting it, so nothing is asked twice beyond the credit; whatever ends a fetch, what came and is good was
//! written down before. Goes in: orders and stops of the core. Goes out: ends of fetches, progress. What is asked of
//! whom is decided by `lanchat_node_core::fetch`.

mod run;

use super::finish::SaveError;
use super::partial::{Confirmed, Found, Partial};
use super::shelf::{KeptPath, Owner, Part};
use super::{Files, FromFiles, finish, limits, partial, source, space};
use crate::platform;
use lanchat_net::Link;
use lanchat_node_core::boot::LinkId;
use lanchat_node_core::input::FetchEnd;
use lanchat_node_core::output::FetchOrder;
use lanchat_proto::entry::FileBody;
use lanchat_proto::file_name::FileName;
use lanchat_proto::ids::MessageId;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What a fetch is told.
pub(super) enum ToFetch {
    /// Fetch what is missing over this link.
    Order(Box<FetchOrder>, Link),
    /// Save what is all here.
    Save(Box<FileBody>),
    /// Fetch no more.
    Stop {
        /// What came is removed.
        discard: bool,
    },
}

/// A fetch that runs.
#[derive(Debug)]
pub(super) struct Running {
    orders: mpsc::Sender<ToFetch>,
    task: JoinHandle<()>,
    /// It was told to stop since its last order.
    stopped: Arc<AtomicBool>,
    /// Bytes that it will still write, once there was room for them.
    left: u64,
}

/// What became of a file that was to be saved.
enum Saved {
    /// It is under its final name.
    Here,
    /// Not all of it is as it should be: the rest has to come again.
    Damaged,
    /// Nobody waits for it any more.
    Stopped,
}

/// How one run of a fetch ended.
enum RunEnd {
    /// It was told to the core, or nothing is to be told.
    Over,
    /// What came is to be removed.
    Discard,
    /// What came is to be saved as it is.
    Save(Box<FileBody>),
}

impl Files {
    /// Fetches what is missing of an offered file over a link. It replaces an earlier order of the same offer.
    pub fn fetch(&self, order: FetchOrder, link: Link) {
        let (offer, link_id) = (order.offer, order.link);
        if !self.tell(offer, ToFetch::Order(Box::new(order), link), true) {
            // The loop is who calls, so it is told in another task.
            let files = self.clone();
            tokio::spawn(async move { files.ended(offer, link_id, FetchEnd::Broken).await });
        }
    }

    /// Gives a file its final name that is all here.
    pub fn save_whole(&self, offer: MessageId, file: FileBody) {
        if !self.tell(offer, ToFetch::Save(Box::new(file)), true) {
            // The loop is who calls, so it is told in another task. It tries again later: all is still here.
            let to_loop = self.0.to_loop.clone();
            tokio::spawn(async move {
                drop(to_loop.send(FromFiles::SaveEnded { offer, end: FetchEnd::Broken }).await);
                drop(to_loop.send(FromFiles::Whole { offer }).await);
            });
        }
    }

    /// Stops fetching and sending a file. With `discard` what was fetched of it is removed.
    pub fn stop(&self, offer: MessageId, discard: bool) {
        self.stop_serving(offer);
        if let Some(running) = self.0.state().fetches.get(&offer) {
            // It may be looking at all of a large file, and listens only after that.
            running.stopped.store(true, Ordering::Relaxed);
        }
        self.tell(offer, ToFetch::Stop { discard }, discard);
    }

    /// Says something to the fetch of an offer, beginning one if that is wanted. `false`: it was not taken.
    fn tell(&self, offer: MessageId, what: ToFetch, begin: bool) -> bool {
        let mut state = self.0.state();
        if let Some(running) = state.fetches.get(&offer) {
            return running.orders.try_send(what).is_ok();
        }
        if !begin || self.0.stopping.load(Ordering::Relaxed) {
            return false;
        }
        let (orders, told) = mpsc::channel(limits::ORDERS);
        let taken = orders.try_send(what).is_ok();
        let task = tokio::spawn(self.clone().fetch_task(offer, told));
        state.fetches.insert(offer, Running { orders, task, stopped: Arc::default(), left: 0 });
        taken
    }

    async fn fetch_task(self, offer: MessageId, mut told: mpsc::Receiver<ToFetch>) {
        loop {
            let next = {
                let mut state = self.0.state();
                match told.try_recv() {
                    Ok(next) => next,
                    Err(_) => {
                        // Under the lock: what is said from now on begins another task.
                        state.fetches.remove(&offer);
                        return;
                    }
                }
            };
            if !matches!(next, ToFetch::Stop { .. })
                && let Some(running) = self.0.state().fetches.get(&offer)
            {
                running.stopped.store(false, Ordering::Relaxed);
            }
            let end = match next {
                ToFetch::Order(order, link) => self.run_fetch(*order, link, &mut told).await,
                ToFetch::Save(file) => RunEnd::Save(file),
                ToFetch::Stop { discard: true } => RunEnd::Discard,
                ToFetch::Stop { discard: false } => RunEnd::Over,
            };
            match end {
                RunEnd::Over => {}
                RunEnd::Save(file) => self.run_save(offer, *file).await,
                RunEnd::Discard => {
                    let shelf = self.0.shelf.clone();
                    // A thread that died leaves it to the collection.
                    drop(tokio::task::spawn_blocking(move || shelf.remove_fetch(&offer)).await);
                    self.0.state().progress.remove(&offer);
                }
            }
        }
    }

    pub(super) async fn ended(&self, offer: MessageId, link: LinkId, end: FetchEnd) {
        // A loop that has ended need not know.
        drop(self.0.to_loop.send(FromFiles::FetchEnded { offer, link, end }).await);
    }

    async fn run_fetch(&self, order: FetchOrder, link: Link, told: &mut mpsc::Receiver<ToFetch>) -> RunEnd {
        let (offer, link_id) = (order.offer, order.link);
        let end = match self.found(offer, order.file.clone()).await {
            Ok(Some(found)) => {
                let end = run::Run::new(self, order, found).fetch(link, told).await;
                self.still_comes(offer, 0);
                return end;
            }
            Ok(None) => FetchEnd::Complete,
            Err(end) => end,
        };
        self.ended(offer, link_id, end).await;
        RunEnd::Over
    }

    /// Saves what is all here, over no link.
    async fn run_save(&self, offer: MessageId, file: FileBody) {
        let end = match self.found(offer, file.clone()).await {
            Ok(Some(found)) if found.is_whole() => self.save(offer, file, found.partial).await,
            Ok(Some(_)) => Some(FetchEnd::Broken),
            Ok(None) => Some(FetchEnd::Complete),
            Err(end) => Some(end),
        };
        self.still_comes(offer, 0);
        if let Some(end) = end {
            drop(self.0.to_loop.send(FromFiles::SaveEnded { offer, end }).await);
        }
    }

    async fn found(&self, offer: MessageId, file: FileBody) -> Result<Option<Found>, FetchEnd> {
        let files = self.clone();
        let found = tokio::task::spawn_blocking(move || files.begin(offer, &file)).await;
        found.unwrap_or_else(|_| Err(FetchEnd::Failed("a thread died".to_owned())))
    }

    /// Opens what is there of a file. `None`: it is saved already. Blocks.
    fn begin(&self, offer: MessageId, body: &FileBody) -> Result<Option<Found>, FetchEnd> {
        FileName::new(&body.name).map_err(|error| FetchEnd::Failed(error.to_string()))?;
        if self.is_saved(offer, body) {
            self.0.shelf.remove_fetch(&offer);
            return Ok(None);
        }
        let claimed = partial::claimed_bytes(&self.0.shelf, &Owner::Offer(offer));
        if claimed.is_none_or(|(done, size)| done < size) {
            // What is all here is kept until it can be saved; for the rest nobody has to move it in vain.
            finish::try_dir(&self.target(&offer)).map_err(|error| failure(&error))?;
        }
        let mut found = {
            let _turn = self.turn();
            let found = Partial::open(&self.0.shelf, offer, body).map_err(|error| failure(&error))?;
            // Before anything is hashed: a fetch that waits for room asks for it again and again.
            self.take_room(offer, body, found.done_bytes())?;
            found
        };
        let looked = found.look().map_err(|error| failure(&error));
        let taken = looked.and_then(|()| {
            let _turn = self.turn();
            self.take_room(offer, body, found.done_bytes())
        });
        taken.inspect_err(|_| self.still_comes(offer, 0))?;
        Ok(Some(found))
    }

    /// Two that begin at once do not both take what is only enough for one, and nothing is collected meanwhile.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.0.beginning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the room for what is missing of a file, in a turn.
    fn take_room(&self, offer: MessageId, body: &FileBody, done: u64) -> Result<(), FetchEnd> {
        let left = body.size.saturating_sub(done);
        let target = self.target(&offer);
        let beside = platform::same_volume(self.0.shelf.dir(), &target);
        let at_target = if beside { left } else { body.size };
        self.still_comes(offer, 0);
        let all = left.saturating_add(self.still_coming());
        // What takes nothing more needs no room, however full the disk is.
        let fits = |dir: &Path, taken: u64, all: u64| taken == 0 || space::has_room(dir, all);
        if !fits(self.0.shelf.dir(), left, all) || !fits(&target, at_target, at_target) {
            return Err(FetchEnd::NoRoom);
        }
        self.still_comes(offer, left);
        Ok(())
    }

    /// Bytes that all fetches will still write, as far as there was room for them.
    pub(super) fn still_coming(&self) -> u64 {
        let state = self.0.state();
        state.fetches.values().fold(0, |sum: u64, running| sum.saturating_add(running.left))
    }

    /// So much of a file will still be written.
    fn still_comes(&self, offer: MessageId, left: u64) {
        if let Some(running) = self.0.state().fetches.get_mut(&offer) {
            running.left = left;
        }
    }

    /// Whether a fetch was finished before, and the program ended before that was told.
    fn is_saved(&self, offer: MessageId, body: &FileBody) -> bool {
        let owner = Owner::Offer(offer);
        if self.0.state().complete.contains(&offer) {
            return true;
        }
        let saved = self.0.shelf.kept::<KeptPath>(&owner, Part::Saved).map(|path| path.path());
        // What came may be there besides: it is removed last.
        let Some(path) = saved.filter(|path| self.is_there(path, body)) else { return false };
        let mut state = self.0.state();
        state.complete.insert(offer);
        state.saved.insert(offer, path);
        true
    }

    /// Whether a file lies at a path.
    fn is_there(&self, path: &Path, body: &FileBody) -> bool {
        let fits =
            std::fs::symlink_metadata(path).is_ok_and(|there| there.is_file() && there.len() == body.size);
        fits && source::hash_file(path, &source::Watched::new(&self.0.stopping))
            .is_ok_and(|hashed| hashed.hash == body.hash)
    }

    /// Saves a whole file under its final name. How that ended; `None`: nobody waits for it any more.
    async fn save(&self, offer: MessageId, body: FileBody, partial: Partial) -> Option<FetchEnd> {
        let files = self.clone();
        let saved = tokio::task::spawn_blocking(move || files.save_now(offer, &body, &partial)).await;
        let end = match saved {
            Ok(Ok(Saved::Here)) => return Some(FetchEnd::Complete),
            Ok(Ok(Saved::Damaged)) => return Some(FetchEnd::Broken),
            Ok(Ok(Saved::Stopped)) => return None,
            Ok(Err(error)) => failure(&error),
            Err(_) => FetchEnd::Failed("a thread died".to_owned()),
        };
        // First, so that the end is known as that of a file which needs nobody any more.
        drop(self.0.to_loop.send(FromFiles::Whole { offer }).await);
        Some(end)
    }

    /// Blocks.
    fn save_now(&self, offer: MessageId, body: &FileBody, partial: &Partial) -> io::Result<Saved> {
        let name = FileName::new(&body.name).map_err(io::Error::other)?;
        let target = self.target(&offer);
        if !partial.is_verified() || !platform::same_volume(self.0.shelf.dir(), &target) {
            // That takes its time, and a program that ends meanwhile needs no holder for what is here.
            partial.claim_all()?;
        }
        let stopped = self.0.state().fetches.get(&offer).map(|running| running.stopped.clone());
        let given_up = || {
            let stopped = stopped.as_ref().is_some_and(|stopped| stopped.load(Ordering::Relaxed));
            stopped || self.0.stopping.load(Ordering::Relaxed)
        };
        match partial.confirm(given_up)? {
            Confirmed::Good => {}
            Confirmed::Damaged(good) => {
                tracing::warn!(%offer, size = body.size, good, "What came of a file earlier is damaged on the disk");
                self.show(offer, |progress| progress.done = good);
                return Ok(Saved::Damaged);
            }
            Confirmed::Stopped => return Ok(Saved::Stopped),
        }
        let owner = Owner::Offer(offer);
        let whole = finish::Whole {
            offer,
            file: &partial.file,
            path: partial.path(),
            name: &name,
            tried: self.0.shelf.kept::<KeptPath>(&owner, Part::Saved).map(|path| path.path()),
            changed: body.changed,
        };
        self.0.shelf.remove_copy(&offer);
        let about_to = |part: Part, path: &Path| self.0.shelf.keep(&owner, part, &KeptPath::new(path)?);
        let path = finish::save(&whole, &target, about_to).inspect_err(|_| keep_all(partial))?;
        self.0.shelf.remove_fetch(&offer);
        let mut state = self.0.state();
        state.complete.insert(offer);
        state.saved.insert(offer, path);
        Ok(Saved::Here)
    }

    /// Ends all fetches, once they have written down what they have.
    pub async fn shutdown(&self) {
        let running: Vec<Running> = {
            let mut state = self.0.state();
            self.0.stopping.store(true, Ordering::Relaxed);
            std::mem::take(&mut state.fetches).into_values().collect()
        };
        let ending = async {
            for Running { orders, task, .. } in running {
                // A fetch that has ended needs no telling.
                drop(orders.try_send(ToFetch::Stop { discard: false }));
                drop(orders);
                drop(task.await);
            }
        };
        drop(tokio::time::timeout(limits::STOP, ending).await);
    }
}

/// Writes down that all of a file is there which is not saved yet.
fn keep_all(partial: &Partial) {
    if let Err(error) = partial.claim_all() {
        tracing::warn!(%error, "How far a fetch is could not be written down");
    }
}

/// How a fetch ends for an error of the disk.
fn failure(error: &io::Error) -> FetchEnd {
    if space::is_full(error) {
        FetchEnd::NoRoom
    } else {
        FetchEnd::Failed(SaveError::from(error).to_string())
    }
}
