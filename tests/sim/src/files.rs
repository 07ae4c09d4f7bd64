//! What moves the bytes of offered files: the part of a program that asks a holder, is asked, and saves.
//!
//! Keeps true: it does what the real shell does (`node/src/blobs`), no more: one fetch of an offer at a time, a new order
//! replaces it; the holder asks its rules before it serves; what was saved is saved after a crash too, told or not. Draws
//! from a stream of chance of its own, so that schedules without files are what they were. Goes in: orders and stops.
//! Goes out: ends of fetches, `Serving`, lost sources.

use crate::net::At;
use crate::offers::{MAX_SIZE, Offer};
use crate::rng::Rng;
use crate::saves::Saves;
use crate::time::{MS, SECOND};
use crate::world::{Event, World};
use lanchat_node_core::Input;
use lanchat_node_core::boot::{LinkId, TransferState};
use lanchat_node_core::input::FetchEnd;
use lanchat_node_core::limits::MAX_FETCHES;
use lanchat_node_core::output::FetchOrder;
use lanchat_proto::ids::{MessageId, UserId};
use lanchat_proto::wire::blob::BlobRefusal;
use std::collections::{BTreeMap, BTreeSet};

/// Looks at a silent holder, half a second apart, before a fetch counts as broken.
const PATIENCE: u32 = 40;

/// What happens next to a fetch.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// The holder is asked.
    Ask,
    /// The holder said no.
    Refused(BlobRefusal),
    /// A piece comes.
    Piece,
    /// The file is under its final name.
    Saved,
    /// The holder looks whether the other side is there still.
    Look,
    /// The holder's user stopped it.
    Stopped,
    /// A file that is all here gets its final name.
    Save,
}

/// A fetch that runs.
#[derive(Debug)]
struct Fetch {
    number: u64,
    run: u32,
    order: FetchOrder,
    pieces: u64,
    silent: u32,
}

/// A stream that is served.
#[derive(Debug)]
struct Stream {
    at: At,
    run: u32,
    offer: MessageId,
    order: FetchOrder,
}

/// All offers, and what is under way for them.
#[derive(Debug)]
pub struct Files {
    /// Chance.
    pub(crate) rng: Rng,
    /// Whether people offer files.
    pub(crate) on: bool,
    /// Whether nothing goes wrong any more.
    pub(crate) calm: bool,
    /// Offers that were shown as sent.
    pub(crate) offers: BTreeMap<MessageId, Offer>,
    /// Commands that offer, not answered yet, with the user to whom.
    pub(crate) asked: BTreeMap<(At, u32, u64), UserId>,
    /// What somebody at a machine wants.
    pub(crate) wanted: BTreeSet<(At, MessageId)>,
    /// What failed at a machine because the shell said so.
    pub(crate) failed: BTreeSet<(At, MessageId)>,
    /// Offers whose source is gone.
    pub(crate) lost: BTreeSet<MessageId>,
    /// Files that came whole.
    pub saved: u64,
    next: u64,
    fetches: BTreeMap<(At, MessageId), Fetch>,
    streams: BTreeMap<u64, Stream>,
    pub(crate) saves: Saves,
}

impl Files {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::seeded(seed ^ 0x6669_6c65_7321),
            on: false,
            calm: false,
            offers: BTreeMap::new(),
            asked: BTreeMap::new(),
            wanted: BTreeSet::new(),
            failed: BTreeSet::new(),
            lost: BTreeSet::new(),
            saved: 0,
            next: 0,
            fetches: BTreeMap::new(),
            streams: BTreeMap::new(),
            saves: Saves::default(),
        }
    }

    /// A program starts: what ran in the one before is gone.
    pub(crate) fn starts(&mut self, at: At) {
        self.fetches.retain(|(fetching, _), _| *fetching != at);
        self.streams.retain(|_, stream| stream.at != at);
        self.saves.forget(at);
    }

    /// A number that is never drawn again, also for the content of a file.
    pub(crate) fn draw_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn serves(&self, at: At, offer: &MessageId) -> bool {
        self.streams.values().any(|stream| stream.at == at && stream.offer == *offer)
    }
}

impl World {
    /// A program orders a fetch.
    pub(crate) fn fetch(&mut self, at: At, run: u32, order: FetchOrder) {
        self.check_order_to_fetch(at, run, &order);
        self.trace.say(self.now, || format!("{at} fetches {} over {}", order.offer.short(), order.link.0));
        let number = self.files.draw_number();
        let offer = order.offer;
        let saved = self.pc(at).is_some_and(|pc| pc.disk.saved.contains(&offer));
        let pieces = self.files.rng.range(1, 3);
        let holder = self.holder_of(at, run, &order).map(|(holder, _)| holder);
        self.files.fetches.insert((at, offer), Fetch { number, run, order, pieces, silent: 0 });
        match holder.filter(|_| !saved) {
            None => self.file_soon(at, number, Step::Saved),
            Some(holder) => self.file_soon(holder, number, Step::Ask),
        }
    }

    /// What has to hold when a fetch is ordered.
    fn check_order_to_fetch(&mut self, at: At, run: u32, order: &FetchOrder) {
        let Some(pc) = self.pc(at) else { return };
        let Some(core) = pc.core.as_ref() else { return };
        let Some(view) = core.transfer(&order.offer) else {
            return self.breaks(format!("{} fetches what nobody offers", self.name(at)));
        };
        let running = |state| state == TransferState::Running;
        let incoming = core.transfers().into_iter().filter(|view| !view.outgoing);
        let fetches = incoming.filter(|view| running(view.stored.state)).count();
        let same = self.files.fetches.get(&(at, order.offer));
        let twice = same.is_some_and(|fetch| fetch.run == run && fetch.order.link == order.link);
        let mut wrong = Vec::new();
        if fetches > MAX_FETCHES {
            wrong.push(format!("{} fetches {fetches} files at a time", self.name(at)));
        }
        if twice {
            wrong.push(format!("{} fetches {} twice", self.name(at), order.offer.short()));
        }
        let device = self.holder_of(at, run, order).and_then(|(holder, _)| self.pc(holder));
        if device.map(crate::pc::Pc::device) != Some(view.stored.device) {
            wrong.push(format!(
                "{} fetches {} over no link to its author",
                self.name(at),
                order.offer.short()
            ));
        }
        if !self.files.wanted.contains(&(at, order.offer)) && !self.is_wanted_by_rule(at, &view.stored) {
            wrong.push(format!("{} fetches {} unasked", self.name(at), order.offer.short()));
        }
        wrong.into_iter().for_each(|rule| self.breaks(rule));
    }

    /// The machine and run at the other end of an order's link, while this end is open and admitted.
    fn holder_of(&self, at: At, run: u32, order: &FetchOrder) -> Option<(At, u32)> {
        let conn = self.net.conns.get(&order.link.0)?;
        let side = conn.side_of(at, run).filter(|side| conn.side(*side).open && conn.side(*side).admitted)?;
        let other = conn.side(side ^ 1);
        Some((other.at, other.run))
    }

    /// A program stops fetching and serving a file.
    pub(crate) fn stop_file(&mut self, at: At, offer: MessageId, discard: bool) {
        self.files.fetches.remove(&(at, offer));
        self.stop_save(at, offer);
        if discard && let Some(pc) = self.pc_mut(at) {
            pc.disk.whole.remove(&offer);
        }
        let served = self.files.streams.iter().filter(|(_, stream)| stream.at == at && stream.offer == offer);
        for number in served.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.file_soon(at, number, Step::Stopped);
        }
    }

    pub(crate) fn file_soon(&mut self, at: At, number: u64, step: Step) {
        let long = !self.files.calm && self.files.rng.chance(10);
        let delay = self.files.rng.below(if long { 3 * SECOND } else { 100 * MS });
        self.push(self.now + delay, Event::File { at, number, step });
    }

    /// Who fetches, and what, under a number; `None` when that fetch is over.
    fn fetching(&self, number: u64) -> Option<(At, u32, FetchOrder)> {
        let ((at, _), fetch) = self.files.fetches.iter().find(|(_, fetch)| fetch.number == number)?;
        self.pc(*at).filter(|pc| pc.run == fetch.run && pc.runs())?;
        Some((*at, fetch.run, fetch.order.clone()))
    }

    pub(crate) fn file_step(&mut self, at: At, number: u64, step: Step) {
        if matches!(step, Step::Look | Step::Stopped) {
            return self.holder_step(at, number, step);
        }
        if matches!(step, Step::Save) {
            return self.save_step(number);
        }
        let Some((asker, run, order)) = self.fetching(number) else { return };
        self.trace.mix(&[20, self.now, at as u64, number]);
        match step {
            Step::Refused(reason) => self.fetch_ends(asker, order, FetchEnd::Refused(reason)),
            Step::Saved if self.pc(asker).is_some_and(|pc| pc.disk.saved.contains(&order.offer)) => {
                self.fetch_ends(asker, order, FetchEnd::Complete);
            }
            Step::Ask if self.is_through(number, asker, run, &order) => {
                self.is_asked(number, asker, run, order)
            }
            Step::Piece if self.is_through(number, asker, run, &order) => {
                if self.files.streams.contains_key(&number) {
                    self.piece(number, asker, order);
                } else {
                    self.fetch_ends(asker, order, FetchEnd::Broken);
                }
            }
            // It waits while nothing gets through, for a while.
            Step::Ask | Step::Piece if self.is_silent(number, asker, run, &order) => {
                self.push(self.now + SECOND / 2, Event::File { at, number, step });
            }
            Step::Saved | Step::Ask | Step::Piece | Step::Look | Step::Stopped | Step::Save => {
                self.fetch_ends(asker, order, FetchEnd::Broken);
            }
        }
    }

    /// Whether a stream over an order's link gets through in both directions.
    fn is_through(&self, _number: u64, asker: At, run: u32, order: &FetchOrder) -> bool {
        let Some((holder, their_run)) = self.holder_of(asker, run, order) else { return false };
        self.net.conns.get(&order.link.0).is_some_and(|conn| {
            let theirs = conn.side_of(holder, their_run);
            let there = theirs.is_some_and(|side| conn.side(side).open && conn.side(side).admitted);
            there && self.net.passes(conn, 0) && self.net.passes(conn, 1)
        })
    }

    /// Whether nothing gets through, and the asker neither knows why nor has waited long.
    fn is_silent(&mut self, number: u64, asker: At, run: u32, order: &FetchOrder) -> bool {
        let open = self.holder_of(asker, run, order).is_some();
        let fetch = self.files.fetches.values_mut().find(|fetch| fetch.number == number);
        fetch.is_some_and(|fetch| {
            fetch.silent += 1;
            open && fetch.silent < PATIENCE
        })
    }

    fn fetch_ends(&mut self, at: At, order: FetchOrder, end: FetchEnd) {
        self.trace.say(self.now, || format!("{at} ends fetching {}: {end:?}", order.offer.short()));
        let Some(fetch) = self.files.fetches.remove(&(at, order.offer)) else { return };
        if matches!(end, FetchEnd::Failed(_) | FetchEnd::Refused(BlobRefusal::Gone)) {
            self.files.failed.insert((at, order.offer));
        }
        self.tell(at, fetch.run, Input::FetchEnded { offer: order.offer, link: order.link, end });
    }

    /// The holder is asked, and asks its rules.
    fn is_asked(&mut self, number: u64, asker: At, run: u32, order: FetchOrder) {
        let Some((at, run)) = self.holder_of(asker, run, &order) else { return };
        let Some(core) = self.pc(at).filter(|pc| pc.run == run).and_then(|pc| pc.core.as_ref()) else {
            return self.file_soon(asker, number, Step::Ask);
        };
        let row = match core.may_fetch(LinkId(order.link.0), &order.open) {
            Ok(row) => row,
            Err(reason) => return self.file_soon(asker, number, Step::Refused(reason)),
        };
        if row.offer != order.offer || row.file != order.file {
            self.breaks(format!("{} serves something else than was asked for", self.name(at)));
        }
        let offer = order.offer;
        if !self.files.calm && self.files.rng.chance(2) {
            self.files.lost.insert(offer);
        }
        if self.files.lost.contains(&offer) {
            self.files.failed.insert((at, offer));
            self.file_soon(asker, number, Step::Refused(BlobRefusal::Gone));
            return self.tell(at, run, Input::SourceLost { offer, reason: BlobRefusal::Gone });
        }
        let first = !self.files.serves(at, &offer);
        self.files.streams.insert(number, Stream { at, run, offer, order });
        self.file_soon(asker, number, Step::Piece);
        self.push(self.now + SECOND / 2, Event::File { at, number, step: Step::Look });
        if first {
            self.tell(at, run, Input::Serving { offer, now: true });
        }
    }

    /// The holder's side of a stream.
    fn holder_step(&mut self, at: At, number: u64, step: Step) {
        let Some(stream) = self.files.streams.get(&number) else { return };
        let (run, offer, order) = (stream.run, stream.offer, stream.order.clone());
        let asker = self.fetching(number);
        let open = self
            .net
            .conns
            .get(&order.link.0)
            .is_some_and(|conn| conn.side_of(at, run).is_some_and(|side| conn.side(side).open));
        if matches!(step, Step::Look) && open && asker.is_some() {
            self.push(self.now + SECOND / 2, Event::File { at, number, step });
            return;
        }
        self.files.streams.remove(&number);
        let core = self.pc(at).filter(|pc| pc.run == run).and_then(|pc| pc.core.as_ref());
        if let (Step::Stopped, Some(core), Some((asker, ..))) = (step, core, asker)
            && let Err(reason) = core.may_fetch(order.link, &order.open)
        {
            self.file_soon(asker, number, Step::Refused(reason));
        }
        if !self.files.serves(at, &offer) {
            self.tell(at, run, Input::Serving { offer, now: false });
        }
    }

    /// A piece came.
    fn piece(&mut self, number: u64, at: At, order: FetchOrder) {
        let view = self.pc(at).and_then(|pc| pc.core.as_ref()).and_then(|core| core.transfer(&order.offer));
        let unwanted = view.is_none_or(|view| {
            let row = view.stored;
            row.state.is_over() || (row.state == TransferState::Paused && row.error.is_empty())
        });
        if unwanted {
            self.breaks(format!(
                "{} goes on fetching {} against its user",
                self.name(at),
                order.offer.short()
            ));
        }
        let fate = if self.files.calm { 100 } else { self.files.rng.below(100) };
        let end = match fate {
            0..5 => FetchEnd::Broken,
            5..8 => FetchEnd::NoRoom,
            8..10 => FetchEnd::Failed("the name cannot be".to_owned()),
            _ => {
                let offer = order.offer;
                if let Some(core) = self.pc_mut(at).and_then(|pc| pc.core.as_mut()) {
                    core.fetch_goes_on(&offer);
                }
                let Some(fetch) = self.files.fetches.get_mut(&(at, offer)) else { return };
                let run = fetch.run;
                fetch.silent = 0;
                fetch.pieces = fetch.pieces.saturating_sub(1);
                let whole = fetch.pieces == 0;
                // No chance is drawn, so that whatever else a schedule brings stays as it is.
                if whole && !self.files.calm && number.is_multiple_of(8) {
                    self.is_whole(at, run, offer);
                    return self.fetch_ends(at, order, FetchEnd::NoRoom);
                }
                if whole && let Some(pc) = self.pc_mut(at) {
                    pc.disk.saved.insert(offer);
                    self.files.saved += 1;
                }
                return self.file_soon(at, number, if whole { Step::Saved } else { Step::Piece });
            }
        };
        self.fetch_ends(at, order, end);
    }

    /// A size for a file, mostly one that a rule lets through.
    pub(crate) fn draw_size(&mut self) -> u64 {
        self.files.rng.below(MAX_SIZE + 1)
    }
}
