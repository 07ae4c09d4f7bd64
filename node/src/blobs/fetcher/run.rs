//! One run of a fetch: from the first order until no holder is left, the file is saved, or the user stops it.

use super::{RunEnd, ToFetch, failure};
use crate::blobs::holder::{self, FromHolder, ToHolder};
use crate::blobs::partial::{Found, Partial};
use crate::blobs::writer::{self, Job, Wrote};
use crate::blobs::{Files, FromFiles, limits};
use lanchat_net::Link;
use lanchat_node_core::boot::LinkId;
use lanchat_node_core::fetch::{Ask, Fetch, Flow, SourceError, SourceId};
use lanchat_node_core::input::FetchEnd;
use lanchat_node_core::output::FetchOrder;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::time::Mono;
use lanchat_proto::wire::blob::{BlobRefused, Piece};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinHandle;

/// A stream to a holder.
struct Holder {
    link: LinkId,
    to: mpsc::Sender<ToHolder>,
    /// What it was asked for and has not sent. That it does is seen to by its task.
    owed: usize,
}

/// A run.
pub(super) struct Run<'a> {
    files: &'a Files,
    order: FetchOrder,
    fetch: Option<Fetch>,
    partial: Partial,
    holders: BTreeMap<SourceId, Holder>,
    next_source: u64,
    started: Instant,
    events: (mpsc::Sender<FromHolder>, mpsc::Receiver<FromHolder>),
    jobs: mpsc::Sender<Job>,
    wrote: mpsc::Receiver<Wrote>,
    /// Pieces at the writer.
    writing: usize,
    listed: bool,
    /// Bytes verified that are not claimed, and since when.
    unclaimed: u64,
    claimed: Instant,
    /// Bytes verified since the last sync.
    unsynced: u64,
    /// A sync, or a claim, that is under way.
    claiming: Option<JoinHandle<io::Result<()>>>,
    shown: u64,
    /// When last something was asked, came or was written.
    moved: Instant,
    /// The disk failed: nothing more is asked.
    failed: bool,
}

impl<'a> Run<'a> {
    pub(super) fn new(files: &'a Files, order: FetchOrder, found: Found) -> Self {
        // What waits there is bounded by the credit.
        let (jobs, queue) = mpsc::channel(limits::JOBS);
        let (results, wrote) = mpsc::channel(limits::JOBS);
        let (file, good) = (found.partial.file.clone(), found.done.clone());
        tokio::task::spawn_blocking(move || writer::run(file, good, queue, &results));
        let fetch = Fetch::new(order.file.hash, order.file.size, Some(found.done));
        let fetch = fetch.ok().map(|mut fetch| {
            if let Some(list) = &found.list {
                // It was checked; one that is not taken is asked for.
                drop(fetch.know_values(list.values().to_vec()));
            }
            fetch
        });
        Self {
            files,
            order,
            fetch,
            partial: found.partial,
            holders: BTreeMap::new(),
            next_source: 0,
            started: Instant::now(),
            events: mpsc::channel(limits::FRAMES),
            jobs,
            wrote,
            writing: 0,
            listed: false,
            unclaimed: 0,
            claimed: Instant::now(),
            unsynced: 0,
            claiming: None,
            shown: 0,
            moved: Instant::now(),
            failed: false,
        }
    }

    fn now(&self) -> Mono {
        Mono(self.started.elapsed())
    }

    /// Runs until nothing more is to be done.
    pub(super) async fn fetch(mut self, link: Link, told: &mut mpsc::Receiver<ToFetch>) -> RunEnd {
        let Some(mut fetch) = self.fetch.take() else {
            let link = self.order.link;
            self.files.ended(self.order.offer, link, FetchEnd::Failed("its size cannot be".to_owned())).await;
            return RunEnd::Over;
        };
        self.add(&mut fetch, self.order.clone(), link);
        // Also a run that ends at once shows how far the file is. What was there before brings it no further.
        self.shown = fetch.done_bytes();
        self.show(&fetch);
        let end = self.turns(&mut fetch, told).await;
        self.holders.clear();
        if matches!(end, RunEnd::Discard) {
            if let Some(claiming) = self.claiming.take() {
                // What it writes down is removed with the rest.
                drop(claiming.await);
            }
            return end;
        }
        // What was on its way to the disk when the run ended still counts.
        while self.writing > 0
            && let Some(wrote) = self.wrote.recv().await
        {
            self.took(&mut fetch, wrote).await;
        }
        self.synced().await;
        let whole = fetch.is_complete() && !self.failed;
        if whole {
            self.show(&fetch);
        }
        // Before the end is told: nothing moves any more.
        self.files.show(self.order.offer, |shown| (shown.flow, shown.sources) = (Flow::default(), 0));
        let (order, partial) = (self.order.clone(), self.partial.clone());
        if !whole && self.unclaimed > 0 {
            let done = fetch.done().clone();
            let claimed = tokio::task::spawn_blocking(move || partial.claim(&done)).await;
            if let Ok(Err(error)) = claimed {
                tracing::warn!(%error, "How far a fetch is could not be written down");
            }
        } else if whole && let Some(end) = self.files.save(order.offer, order.file, partial).await {
            self.files.ended(self.order.offer, self.order.link, end).await;
        }
        end
    }

    async fn turns(&mut self, fetch: &mut Fetch, told: &mut mpsc::Receiver<ToFetch>) -> RunEnd {
        let mut tick = tokio::time::interval(limits::PROGRESS);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.ask(fetch).await;
            if self.holders.is_empty() || (fetch.is_complete() && self.writing == 0) {
                return RunEnd::Over;
            }
            tokio::select! {
                said = told.recv() => match said {
                    Some(ToFetch::Order(order, link)) => self.add(fetch, *order, link),
                    Some(ToFetch::Save(file)) => return RunEnd::Save(file),
                    Some(ToFetch::Stop { discard: true }) => return RunEnd::Discard,
                    Some(ToFetch::Stop { discard: false }) | None => return RunEnd::Over,
                },
                Some(wrote) = self.wrote.recv() => self.took(fetch, wrote).await,
                Some(event) = self.events.1.recv() => self.heard(fetch, event).await,
                _ = tick.tick() => self.tick(fetch).await,
            }
        }
    }

    /// A new holder; nothing more is asked of those before.
    fn add(&mut self, fetch: &mut Fetch, order: FetchOrder, link: Link) {
        for source in self.holders.keys().copied().collect::<Vec<_>>() {
            fetch.drain(source);
            self.drop_drained(fetch, source);
        }
        while self.holders.len() >= limits::SOURCES
            && let Some((oldest, _)) = self.holders.pop_first()
        {
            fetch.source_gone(oldest);
        }
        let source = SourceId(self.next_source);
        self.next_source += 1;
        let (to, to_holder) = mpsc::channel(limits::ASKS_OUT);
        self.holders.insert(source, Holder { link: order.link, to, owed: 0 });
        self.moved = Instant::now();
        fetch.source_came(source, order.relayed);
        let (events, files, open) = (self.events.0.clone(), self.files.clone(), order.open);
        tokio::spawn(async move {
            let bounds = (&files.0.down, files.0.waits.source);
            holder::carry((source, link, open), to_holder, events, bounds).await;
        });
        self.order = order;
    }

    async fn ask(&mut self, fetch: &mut Fetch) {
        if self.failed {
            return;
        }
        while let Some((source, ask)) = fetch.poll_ask(self.now()) {
            let frame = match ask {
                Ask::Values(ask) => Frame::new(Kind::BlobAskValues, &ask),
                Ask::Piece(ask) => Frame::new(Kind::BlobAsk, &ask),
            };
            self.moved = Instant::now();
            let sent = frame.ok().zip(self.holders.get_mut(&source)).map(|(frame, holder)| {
                holder.owed += 1;
                holder.to.try_send(ToHolder::Ask(frame))
            });
            match sent {
                // A stream that has ended says so itself, after what came on it: that may be why.
                Some(Ok(()) | Err(TrySendError::Closed(_))) => {}
                // It does not read: what was not asked never comes.
                Some(Err(TrySendError::Full(_))) | None => {
                    self.lost(fetch, source, FetchEnd::Broken).await;
                }
            }
        }
    }

    async fn heard(&mut self, fetch: &mut Fetch, event: FromHolder) {
        let (source, frame) = match event {
            FromHolder::Gone(source) => return self.lost(fetch, source, FetchEnd::Broken).await,
            FromHolder::Frame(source, frame) => (source, frame),
        };
        let Some(holder) = self.holders.get_mut(&source) else { return };
        if matches!(frame.known(), Some(Kind::BlobValues | Kind::BlobPiece)) {
            holder.owed = holder.owed.saturating_sub(1);
            self.moved = Instant::now();
        }
        let taken = match frame.known() {
            Some(Kind::BlobRefused) => {
                let end = frame
                    .decode::<BlobRefused>()
                    .map_or(FetchEnd::Broken, |refused| FetchEnd::Refused(refused.reason));
                return self.lost(fetch, source, end).await;
            }
            Some(Kind::BlobHave) => {
                frame.decode().map_err(|_| SourceError::Units).and_then(|have| fetch.have(source, &have))
            }
            Some(Kind::BlobValues) => match frame.decode().map_err(|_| SourceError::Unasked) {
                Ok(values) => fetch.values(source, &values),
                Err(error) => Err(error),
            },
            Some(Kind::BlobPiece) => self.piece(fetch, source, frame.payload).await,
            Some(_) => Err(SourceError::Unasked),
            None => Ok(()),
        };
        if let Err(error) = taken {
            return self.broke(fetch, source, &error).await;
        }
        if !self.listed && self.list(fetch).await.is_err() {
            self.lost(fetch, source, FetchEnd::NoRoom).await;
        }
        self.drop_drained(fetch, source);
    }

    /// Drops a holder that has sent all that it was asked for, and is asked no more.
    fn drop_drained(&mut self, fetch: &mut Fetch, source: SourceId) {
        if fetch.is_drained(source) {
            self.holders.remove(&source);
            fetch.source_gone(source);
        }
    }

    /// Once the list of values is known: keeps it, and gives it to the writer.
    async fn list(&mut self, fetch: &Fetch) -> io::Result<()> {
        let Some(list) = fetch.list() else { return Ok(()) };
        self.listed = true;
        let list = Arc::new(list.clone());
        // A writer that died is noticed by what it does not answer.
        drop(self.jobs.send(Job::List(list.clone())).await);
        let partial = self.partial.clone();
        let kept = tokio::task::spawn_blocking(move || partial.keep_list(&list)).await;
        kept.unwrap_or_else(|_| Err(io::Error::other("a thread died")))
    }

    async fn piece(
        &mut self,
        fetch: &mut Fetch,
        source: SourceId,
        payload: Vec<u8>,
    ) -> Result<(), SourceError> {
        let piece = Piece::parse(&payload).ok_or(SourceError::Unasked)?;
        let len = piece.bytes.len();
        let placed = fetch.piece(source, piece.unit, piece.offset, len, self.now())?;
        self.writing += 1;
        let now = self.files.now();
        self.files.show(self.order.offer, |shown| shown.flow.count(len as u64, now));
        drop(self.jobs.send(Job::Write { source, placed, payload }).await);
        Ok(())
    }

    /// The writer is done with a piece.
    async fn took(&mut self, fetch: &mut Fetch, wrote: Wrote) {
        self.writing = self.writing.saturating_sub(1);
        self.moved = Instant::now();
        fetch.written(wrote.source, wrote.len);
        if let Some(holder) = self.holders.get(&wrote.source) {
            // Memory that nobody takes back is freed.
            drop(holder.to.try_send(ToHolder::Spent(wrote.payload)));
        }
        if let Some(error) = wrote.failed {
            return self.fail(&error).await;
        }
        match wrote.hashed {
            None => {}
            Some(Ok(())) => {
                let len = fetch.units().range(wrote.unit).map_or(0, |(_, len)| len);
                self.unclaimed += len.max(1);
                self.unsynced += len;
                // It was good: there is no error to tell.
                drop(fetch.hashed(wrote.unit, Ok(())));
                self.keep_up(fetch).await;
            }
            Some(outcome) => {
                if let Err(error) = fetch.hashed(wrote.unit, outcome) {
                    self.broke(fetch, wrote.source, &error).await;
                }
            }
        }
    }

    /// A holder broke the rules.
    async fn broke(&mut self, fetch: &mut Fetch, source: SourceId, error: &SourceError) {
        tracing::warn!(offer = %self.order.offer, %error, "A holder of a file is dropped");
        let is_content = matches!(error, SourceError::Content(_) | SourceError::Size(_));
        let often = is_content && {
            let mut state = self.files.0.state();
            let faults = state.faults.entry(self.order.offer).or_default();
            *faults += 1;
            *faults >= limits::FAULTS
        };
        let end = if often { FetchEnd::Failed(error.to_string()) } else { FetchEnd::Broken };
        if often {
            self.files.0.state().faults.remove(&self.order.offer);
        }
        fetch.source_broke(source);
        self.lost(fetch, source, end).await;
    }

    /// A holder is no more; the core is told if it was the newest.
    async fn lost(&mut self, fetch: &mut Fetch, source: SourceId, end: FetchEnd) {
        fetch.source_gone(source);
        let Some(holder) = self.holders.remove(&source) else { return };
        let newest = source.0 + 1 == self.next_source;
        // What is whole is about to be saved.
        if newest && !fetch.is_complete() {
            self.files.ended(self.order.offer, holder.link, end).await;
        }
    }

    async fn tick(&mut self, fetch: &mut Fetch) {
        self.show(fetch);
        let waits = self.writing > 0 || self.holders.values().any(|holder| holder.owed > 0);
        let idle = !waits && self.moved.elapsed() > self.files.0.waits.source;
        // They have nothing of what is missing.
        let idle: Vec<SourceId> = self.holders.keys().copied().filter(|_| idle).collect();
        for source in idle {
            self.lost(fetch, source, FetchEnd::Broken).await;
        }
        self.keep_up(fetch).await;
    }

    /// The disk does not take what comes: nothing more is asked for.
    async fn fail(&mut self, error: &io::Error) {
        tracing::info!(%error, "What was fetched cannot be written");
        if !std::mem::replace(&mut self.failed, true) {
            self.holders.clear();
            self.files.ended(self.order.offer, self.order.link, failure(error)).await;
        }
    }

    /// Waits for the sync that is under way.
    async fn synced(&mut self) {
        if let Some(claiming) = self.claiming.take()
            && let Ok(Err(error)) = claiming.await
        {
            // After a sync that failed a later one may not know of it: nothing is claimed any more.
            self.unclaimed = 0;
            self.fail(&error).await;
        }
    }

    /// Brings what was verified to the disk, one step at a time, beside everything else.
    async fn keep_up(&mut self, fetch: &Fetch) {
        if self.claiming.as_ref().is_some_and(JoinHandle::is_finished) {
            self.synced().await;
        }
        if self.claiming.is_some() || self.failed {
            return;
        }
        let partial = self.partial.clone();
        let due = self.unclaimed >= limits::CLAIM_BYTES || self.claimed.elapsed() >= limits::CLAIM_AFTER;
        if self.unclaimed > 0 && due {
            let done = fetch.done().clone();
            (self.unclaimed, self.unsynced, self.claimed) = (0, 0, Instant::now());
            self.claiming = Some(tokio::task::spawn_blocking(move || partial.claim(&done)));
        } else if self.unsynced >= limits::SYNC_BYTES {
            self.unsynced = 0;
            self.claiming = Some(tokio::task::spawn_blocking(move || partial.sync()));
        }
    }

    fn show(&mut self, fetch: &Fetch) {
        let done = fetch.done_bytes();
        let sources = u32::try_from(self.holders.len()).unwrap_or(u32::MAX);
        self.files.show(self.order.offer, |shown| (shown.done, shown.sources) = (done, sources));
        if done > self.shown {
            self.shown = done;
            self.files.still_comes(self.order.offer, self.order.file.size.saturating_sub(done));
            // The next one says the same.
            drop(self.files.0.to_loop.try_send(FromFiles::GoesOn { offer: self.order.offer }));
        }
    }
}
