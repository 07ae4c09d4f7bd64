//! One piece of content on its way here, from one holder or several: what is asked of whom, and when it is complete.
//!
//! Keeps true: what was asked for and is not yet written is bounded by the credit of each source, so memory is bounded
//! whatever the size; a unit counts only when its bytes gave its value; a unit is asked of one source at a time, in
//! order, so that it is hashed as it comes, and another source goes on with it where one left off; a source that breaks
//! the rules is dropped and what it began is asked of others from the beginning.
//! Goes in: holders, what they have and send, what was written and verified. Goes out: what to ask. The shell moves the
//! bytes. The rules: `docs/protocol.md#transfer`.

mod credit;
mod flow;
mod units;

pub use flow::Flow;
pub use units::UnitSet;

use credit::Credit;
use lanchat_proto::blob::{BlobError, BlobHash, UnitList, Units};
use lanchat_proto::limits::MAX_VALUES;
use lanchat_proto::time::Mono;
use lanchat_proto::wire::blob::{BlobAsk, BlobAskValues, BlobHave, BlobValues};
use std::collections::{BTreeMap, VecDeque};

/// A holder of the content, as the shell names the stream to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SourceId(
    /// The number.
    pub u64,
);

/// Something to send to a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Chaining values.
    Values(BlobAskValues),
    /// A piece.
    Piece(BlobAsk),
}

/// A source broke the rules and is dropped.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SourceError {
    /// It names another size.
    #[error("the holder has {0} bytes under this name")]
    Size(u64),
    /// What it says that it has is no set of units.
    #[error("the holder's list of units cannot be read")]
    Units,
    /// It sent what was not asked for.
    #[error("the holder sent what was not asked for")]
    Unasked,
    /// What it sent is not the content.
    #[error(transparent)]
    Content(#[from] BlobError),
    /// No such source.
    #[error("the holder is not known")]
    Unknown,
}

/// What became of a piece's bytes, for the shell: where they go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placed {
    /// The unit.
    pub unit: u32,
    /// Where in the content.
    pub at: u64,
    /// Whether the unit's bytes begin here.
    pub first: bool,
    /// Whether the unit's bytes end here.
    pub last: bool,
}

#[derive(Clone, Debug)]
struct Source {
    /// `None` until it said so.
    has: Option<UnitSet>,
    credit: Credit,
    /// Asked and not come, in order.
    asked: VecDeque<(BlobAsk, Mono)>,
    /// Bytes asked for and not yet written.
    in_flight: u64,
    /// The unit being asked for, and up to where.
    next: Option<(u32, u64)>,
    /// Chaining values asked of it.
    values_asked: bool,
    /// Nothing more is asked of it.
    draining: bool,
}

/// A unit on its way.
#[derive(Clone, Copy, Debug)]
struct Begun {
    /// Who is at it; `None` when whoever was is gone.
    by: Option<SourceId>,
    /// Bytes of it that came, from its beginning.
    came: u64,
    /// Whether they came from several sources, so that none of them is known to have sent what is wrong.
    shared: bool,
}

/// A fetch.
#[derive(Clone, Debug)]
pub struct Fetch {
    units: Units,
    hash: BlobHash,
    list: Option<UnitList>,
    values: Vec<[u8; 32]>,
    done: UnitSet,
    /// Units that were begun and are not verified.
    begun: BTreeMap<u32, Begun>,
    /// No unit below is free.
    first_free: u32,
    sources: BTreeMap<SourceId, Source>,
}

impl Fetch {
    /// A fetch of content with this hash and size, of which these units are there already.
    ///
    /// # Errors
    /// [`BlobError`] for a size that cannot be, or a set of units of another size.
    pub fn new(hash: BlobHash, size: u64, done: Option<UnitSet>) -> Result<Self, BlobError> {
        let units = Units::of(size)?;
        let done = done.unwrap_or_else(|| UnitSet::none(units.count()));
        if done.count() != units.count() {
            return Err(BlobError::List);
        }
        let mut fetch = Self {
            units,
            hash,
            list: None,
            values: Vec::new(),
            done,
            begun: BTreeMap::new(),
            first_free: 0,
            sources: BTreeMap::new(),
        };
        if units.count() == 1 {
            fetch.list = Some(UnitList::check(units, vec![hash.0], &hash)?);
        }
        Ok(fetch)
    }

    /// The list of chaining values, kept from before.
    ///
    /// # Errors
    /// [`BlobError::List`] when it is not this content's.
    pub fn know_values(&mut self, values: Vec<[u8; 32]>) -> Result<(), BlobError> {
        self.list = Some(UnitList::check(self.units, values, &self.hash)?);
        Ok(())
    }

    /// How the content is cut.
    #[must_use]
    pub fn units(&self) -> Units {
        self.units
    }

    /// The list of chaining values, once it is known.
    #[must_use]
    pub fn list(&self) -> Option<&UnitList> {
        self.list.as_ref()
    }

    /// Units that are there.
    #[must_use]
    pub fn done(&self) -> &UnitSet {
        &self.done
    }

    /// Bytes that are there and verified.
    #[must_use]
    pub fn done_bytes(&self) -> u64 {
        let full = u64::from(self.done.len()).saturating_mul(self.units.unit_len());
        let last = self.units.count() - 1;
        let short = self.units.range(last).map_or(0, |(_, len)| self.units.unit_len() - len);
        full.saturating_sub(if self.done.has(last) { short } else { 0 })
    }

    /// Whether every unit is there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.done.len() == self.units.count()
    }

    /// A stream to a holder is open.
    pub fn source_came(&mut self, id: SourceId, relayed: bool) {
        let source = Source {
            has: None,
            credit: Credit::new(relayed),
            asked: VecDeque::new(),
            in_flight: 0,
            next: None,
            values_asked: false,
            draining: false,
        };
        self.sources.insert(id, source);
    }

    /// A stream to a holder is gone; others go on with what it was at.
    pub fn source_gone(&mut self, id: SourceId) {
        self.sources.remove(&id);
        let freed = &mut self.first_free;
        self.begun.retain(|unit, begun| {
            if begun.by == Some(id) {
                begun.by = None;
                if begun.came == 0 {
                    *freed = (*freed).min(*unit);
                    return false;
                }
            }
            true
        });
    }

    /// A source broke the rules: it is gone, and the units that it was in the middle of are fetched anew.
    pub fn source_broke(&mut self, id: SourceId) {
        let units = self.units;
        for (unit, begun) in &mut self.begun {
            // What came whole is judged by its value.
            let whole = units.range(*unit).is_ok_and(|(_, len)| begun.came == len);
            if begun.by == Some(id) && !whole {
                begun.came = 0;
            }
        }
        self.source_gone(id);
    }

    /// Nothing more is asked of a source; it may be closed once [`Self::is_drained`].
    pub fn drain(&mut self, id: SourceId) {
        if let Some(source) = self.sources.get_mut(&id) {
            source.draining = true;
        }
    }

    /// Whether everything that was asked of a draining source has come.
    #[must_use]
    pub fn is_drained(&self, id: SourceId) -> bool {
        self.sources.get(&id).is_none_or(|source| source.draining && source.asked.is_empty())
    }

    /// A holder says what it has.
    ///
    /// # Errors
    /// [`SourceError`]: it is to be dropped.
    pub fn have(&mut self, id: SourceId, have: &BlobHave) -> Result<(), SourceError> {
        let source = self.sources.get_mut(&id).ok_or(SourceError::Unknown)?;
        if have.size != self.units.size() {
            return Err(SourceError::Size(have.size));
        }
        let all = || UnitSet::all(self.units.count());
        let has = if have.units.is_empty() {
            all()
        } else {
            UnitSet::from_bytes(self.units.count(), &have.units).ok_or(SourceError::Units)?
        };
        source.has = Some(has);
        Ok(())
    }

    /// Chaining values came.
    ///
    /// # Errors
    /// [`SourceError`]: the source is to be dropped; the list is asked for anew.
    pub fn values(&mut self, id: SourceId, came: &BlobValues) -> Result<(), SourceError> {
        let source = self.sources.get_mut(&id).ok_or(SourceError::Unknown)?;
        let expected = std::mem::take(&mut source.values_asked);
        let first = usize::try_from(came.first).unwrap_or(usize::MAX);
        if !expected || first != self.values.len() || came.values.is_empty() {
            return Err(SourceError::Unasked);
        }
        self.values.extend(came.values.iter());
        if self.values.len() >= self.units.count() as usize {
            let values = std::mem::take(&mut self.values);
            self.list = Some(UnitList::check(self.units, values, &self.hash)?);
        }
        Ok(())
    }

    /// The next thing to ask, if there is credit for it.
    pub fn poll_ask(&mut self, now: Mono) -> Option<(SourceId, Ask)> {
        let ids: Vec<SourceId> = self.sources.keys().copied().collect();
        ids.into_iter().find_map(|id| Some((id, self.ask_of(id, now)?)))
    }

    fn ask_of(&mut self, id: SourceId, now: Mono) -> Option<Ask> {
        let source = self.sources.get(&id).filter(|source| !source.draining && source.has.is_some())?;
        if self.list.is_none() {
            return self.ask_values(id);
        }
        let room = source.credit.bytes().saturating_sub(source.in_flight);
        let len = source.credit.piece();
        if room < len && source.in_flight > 0 {
            return None;
        }
        let (unit, offset) = source.next.or_else(|| self.take_unit(id))?;
        let (_, unit_len) = self.units.range(unit).ok()?;
        let len = len.min(unit_len.saturating_sub(offset));
        let ask = BlobAsk { unit, offset, len: u32::try_from(len).ok()? };
        let source = self.sources.get_mut(&id)?;
        source.asked.push_back((ask, now));
        source.in_flight += len;
        source.next = Some((unit, offset + len)).filter(|(_, at)| *at < unit_len);
        Some(Ask::Piece(ask))
    }

    fn ask_values(&mut self, id: SourceId) -> Option<Ask> {
        let asked = self.sources.values().any(|source| source.values_asked);
        let source = self.sources.get_mut(&id).filter(|_| !asked)?;
        source.values_asked = true;
        let first = u32::try_from(self.values.len()).ok()?;
        let left = self.units.count().saturating_sub(first);
        let count = left.min(u32::try_from(MAX_VALUES).unwrap_or(u32::MAX));
        Some(Ask::Values(BlobAskValues { first, count }))
    }

    /// The next unit for a source, and from where: one that it has and that nobody is at, those that were begun first.
    fn take_unit(&mut self, id: SourceId) -> Option<(u32, u64)> {
        let has = self.sources.get(&id)?.has.as_ref()?;
        let units = self.units;
        let left = |unit: u32, begun: &Begun| units.range(unit).is_ok_and(|(_, len)| begun.came < len);
        let mut begun = self.begun.iter_mut();
        if let Some((unit, begun)) =
            begun.find(|(unit, begun)| begun.by.is_none() && has.has(**unit) && left(**unit, begun))
        {
            (begun.by, begun.shared) = (Some(id), true);
            return Some((*unit, begun.came));
        }
        let free = |unit: &u32| !self.done.has(*unit) && !self.begun.contains_key(unit);
        let mut from = self.first_free;
        while from < self.units.count() && !free(&from) {
            from += 1;
        }
        let unit = (from..self.units.count()).find(|unit| free(unit) && has.has(*unit));
        self.first_free = from;
        let unit = unit?;
        self.begun.insert(unit, Begun { by: Some(id), came: 0, shared: false });
        Some((unit, 0))
    }

    /// A piece came: where its bytes go. The shell writes them and then says [`Self::written`].
    ///
    /// # Errors
    /// [`SourceError::Unasked`] for any other than the next that was asked for: the source is to be dropped.
    pub fn piece(
        &mut self,
        id: SourceId,
        unit: u32,
        offset: u64,
        len: usize,
        now: Mono,
    ) -> Result<Placed, SourceError> {
        let source = self.sources.get_mut(&id).ok_or(SourceError::Unknown)?;
        let (ask, at) = source.asked.pop_front().ok_or(SourceError::Unasked)?;
        if (ask.unit, ask.offset, ask.len as usize) != (unit, offset, len) {
            return Err(SourceError::Unasked);
        }
        source.credit.came(u64::from(ask.len), now.since(at), now);
        let (start, unit_len) = self.units.range(unit)?;
        if let Some(begun) = self.begun.get_mut(&unit) {
            begun.came = offset + u64::from(ask.len);
        }
        let last = offset + u64::from(ask.len) == unit_len;
        Ok(Placed { unit, at: start + offset, first: offset == 0, last })
    }

    /// Bytes of a source are on disk, or were thrown away: its credit is free again.
    pub fn written(&mut self, id: SourceId, len: u64) {
        if let Some(source) = self.sources.get_mut(&id) {
            source.in_flight = source.in_flight.saturating_sub(len);
        }
    }

    /// A unit's bytes were all hashed, with this outcome of [`UnitList::verify`]. A unit that is not good is fetched
    /// anew, whole.
    ///
    /// # Errors
    /// The outcome, when the unit came from one source: that source is to be dropped.
    pub fn hashed(&mut self, unit: u32, outcome: Result<(), BlobError>) -> Result<(), SourceError> {
        let shared = self.begun.remove(&unit).is_some_and(|begun| begun.shared);
        match outcome {
            Ok(()) => self.done.add(unit),
            Err(error) => {
                self.first_free = self.first_free.min(unit);
                if !shared {
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Streams in use.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.sources.len()
    }
}

#[cfg(test)]
mod tests;
