use super::*;
use lanchat_proto::blob::UnitHasher;
use lanchat_proto::codec::{Blob, BoundedVec};
use lanchat_proto::limits::MIN_UNIT;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::time::Duration;

const UNIT: usize = MIN_UNIT as usize;
const A: SourceId = SourceId(1);
const B: SourceId = SourceId(2);

/// Content, its list, and the bytes that arrived here.
struct Scene {
    bytes: Vec<u8>,
    list: UnitList,
    fetch: Fetch,
    got: Vec<u8>,
    hashers: BTreeMap<u32, UnitHasher>,
    now: Mono,
    most_in_flight: u64,
}

impl Scene {
    fn new(len: usize) -> Self {
        let bytes: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let units = Units::of(len as u64).unwrap();
        let values = (0..units.count())
            .map(|unit| {
                let (start, len) = units.range(unit).unwrap();
                let mut hasher = UnitHasher::new(&units, unit).unwrap();
                hasher.update(&bytes[usize::try_from(start).unwrap()..usize::try_from(start + len).unwrap()]);
                hasher.finish()
            })
            .collect();
        let (list, hash) = UnitList::hashed(units, values).unwrap();
        let fetch = Fetch::new(hash, len as u64, None).unwrap();
        let (got, hashers, now) = (vec![0; len], BTreeMap::new(), Mono(Duration::from_secs(5)));
        Self { bytes, list, fetch, got, hashers, now, most_in_flight: 0 }
    }

    fn source(&mut self, id: SourceId, units: &[u8]) {
        self.fetch.source_came(id, false);
        let have = BlobHave { size: self.bytes.len() as u64, units: Blob::new(units.to_vec()).unwrap() };
        self.fetch.have(id, &have).unwrap();
    }

    /// The holder's side: answers what is asked. Returns `false` when nothing is.
    fn turn(&mut self) -> bool {
        let mut asks = Vec::new();
        while let Some(ask) = self.fetch.poll_ask(self.now) {
            asks.push(ask);
        }
        let in_flight = self.fetch.sources.values().map(|source| source.in_flight).sum::<u64>();
        self.most_in_flight = self.most_in_flight.max(in_flight);
        let any = !asks.is_empty();
        for (id, ask) in asks {
            self.now = self.now.plus(Duration::from_millis(1));
            match ask {
                Ask::Values(ask) => {
                    let first = ask.first as usize;
                    let values = &self.list.values()[first..first + ask.count as usize];
                    let values = BoundedVec::new(values.to_vec()).unwrap();
                    self.fetch.values(id, &BlobValues { first: ask.first, values }).unwrap();
                }
                Ask::Piece(ask) => self.deliver(id, ask).unwrap(),
            }
        }
        any
    }

    fn deliver(&mut self, id: SourceId, ask: BlobAsk) -> Result<(), SourceError> {
        let placed = self.fetch.piece(id, ask.unit, ask.offset, ask.len as usize, self.now)?;
        let at = usize::try_from(placed.at).unwrap();
        let part = &self.bytes[at..at + ask.len as usize];
        self.got[at..at + part.len()].copy_from_slice(part);
        let units = self.fetch.units();
        if placed.first {
            self.hashers.insert(placed.unit, UnitHasher::new(&units, placed.unit).unwrap());
        }
        let hasher = self.hashers.get_mut(&placed.unit).unwrap();
        hasher.update(part);
        let outcome = placed.last.then(|| self.list.verify(placed.unit, hasher));
        self.fetch.written(id, u64::from(ask.len));
        outcome.map_or(Ok(()), |outcome| self.fetch.hashed(placed.unit, outcome))
    }
}

#[test]
fn everything_arrives_from_one_holder_whatever_the_size() {
    for len in [0, 1, 1000, UNIT - 1, UNIT, UNIT + 1, 5 * UNIT + 77] {
        let mut scene = Scene::new(len);
        scene.source(A, &[]);
        while scene.turn() {}
        assert!(scene.fetch.is_complete(), "{len}");
        assert_eq!(scene.fetch.done_bytes(), len as u64);
        assert_eq!(scene.got, scene.bytes);
        assert!(scene.most_in_flight <= crate::limits::CREDIT_DIRECT);
    }
}

#[test]
fn two_holders_of_different_parts_make_the_whole_and_nothing_is_asked_twice() {
    let mut scene = Scene::new(4 * UNIT + 9);
    scene.source(A, &[0b0_1011]);
    scene.source(B, &[0b1_0110]);
    let mut asked = BTreeMap::new();
    while let Some((id, ask)) = scene.fetch.poll_ask(scene.now) {
        match ask {
            Ask::Values(_) => {
                let values = BoundedVec::new(scene.list.values().to_vec()).unwrap();
                scene.fetch.values(id, &BlobValues { first: 0, values }).unwrap();
            }
            Ask::Piece(ask) => {
                assert_eq!(asked.insert((ask.unit, ask.offset), id), None);
                scene.deliver(id, ask).unwrap();
            }
        }
    }
    assert!(scene.fetch.is_complete());
    assert_eq!(scene.got, scene.bytes);
}

#[test]
fn after_an_interruption_only_what_is_missing_is_asked_for_again() {
    let mut scene = Scene::new(6 * UNIT);
    scene.source(A, &[]);
    for _ in 0..12 {
        scene.turn();
    }
    let had = scene.fetch.done().clone();
    assert!(!had.is_empty() && had.len() < 6);
    let asked_and_lost = scene.fetch.poll_ask(scene.now);
    assert!(asked_and_lost.is_some());
    scene.fetch.source_gone(A);
    let kept = UnitSet::from_bytes(6, had.to_bytes()).unwrap();
    let hash = scene.fetch.hash;
    scene.fetch = Fetch::new(hash, 6 * MIN_UNIT, Some(kept)).unwrap();
    scene.fetch.know_values(scene.list.values().to_vec()).unwrap();
    scene.source(B, &[]);
    let mut asked = Vec::new();
    while let Some((id, Ask::Piece(ask))) = scene.fetch.poll_ask(scene.now) {
        asked.push(ask.unit);
        scene.deliver(id, ask).unwrap();
    }
    assert!(scene.fetch.is_complete());
    assert!(asked.iter().all(|unit| !had.has(*unit)));
}

#[test]
fn a_holder_that_sends_what_was_not_asked_or_is_not_the_content_is_found_out() {
    let mut scene = Scene::new(2 * UNIT);
    scene.source(A, &[]);
    assert!(scene.turn(), "the list");
    let (id, Ask::Piece(ask)) = scene.fetch.poll_ask(scene.now).unwrap() else { panic!() };
    let wrong = scene.fetch.clone().piece(id, ask.unit, ask.offset + 1, ask.len as usize, scene.now);
    assert_eq!(wrong, Err(SourceError::Unasked));
    scene.bytes[7] ^= 1;
    scene.deliver(id, ask).unwrap();
    let mut found = None;
    while let Some((id, Ask::Piece(ask))) = scene.fetch.poll_ask(scene.now) {
        if let Err(error) = scene.deliver(id, ask) {
            found = Some(error);
            break;
        }
    }
    assert_eq!(found, Some(SourceError::Content(BlobError::Damaged(0))));
    scene.fetch.source_gone(A);
    scene.bytes[7] ^= 1;
    scene.source(B, &[]);
    while scene.turn() {}
    assert!(scene.fetch.is_complete());
    assert_eq!(scene.got, scene.bytes);
}

#[test]
fn lies_about_size_units_and_values_end_the_source() {
    let mut scene = Scene::new(3 * UNIT);
    scene.fetch.source_came(A, false);
    let have = |size, units: &[u8]| BlobHave { size, units: Blob::new(units.to_vec()).unwrap() };
    assert_eq!(scene.fetch.have(A, &have(5, &[])), Err(SourceError::Size(5)));
    assert_eq!(scene.fetch.have(A, &have(3 * MIN_UNIT, &[0xff])), Err(SourceError::Units));
    assert_eq!(scene.fetch.have(A, &have(3 * MIN_UNIT, &[1, 2])), Err(SourceError::Units));
    scene.fetch.have(A, &have(3 * MIN_UNIT, &[])).unwrap();
    let values =
        |values: &[[u8; 32]]| BlobValues { first: 0, values: BoundedVec::new(values.to_vec()).unwrap() };
    assert_eq!(scene.fetch.values(A, &values(scene.list.values())), Err(SourceError::Unasked));
    assert!(matches!(scene.fetch.poll_ask(scene.now), Some((A, Ask::Values(_)))));
    let mut false_list = scene.list.values().to_vec();
    false_list.swap(0, 2);
    assert_eq!(scene.fetch.values(A, &values(&false_list)), Err(BlobError::List.into()));
    scene.fetch.source_gone(A);
    scene.source(B, &[]);
    while scene.turn() {}
    assert!(scene.fetch.is_complete());
}

#[test]
fn another_goes_on_where_a_source_was_drained_or_cut_off_and_nothing_is_sent_twice() {
    for drained in [true, false] {
        let mut scene = Scene::new(3 * UNIT);
        scene.source(A, &[]);
        scene.turn();
        let mut asks = Vec::new();
        while let Some((id, Ask::Piece(ask))) = scene.fetch.poll_ask(scene.now) {
            asks.push((id, ask));
        }
        if drained {
            scene.fetch.drain(A);
        } else {
            asks.truncate(2);
        }
        let mut sent: u64 = asks.iter().map(|(_, ask)| u64::from(ask.len)).sum();
        assert!(0 < sent && sent < MIN_UNIT, "{sent}");
        scene.source(B, &[]);
        for (id, ask) in asks {
            assert!(!scene.fetch.is_drained(A));
            scene.deliver(id, ask).unwrap();
        }
        assert_eq!(scene.fetch.is_drained(A), drained);
        scene.fetch.source_gone(A);
        while let Some((id, Ask::Piece(ask))) = scene.fetch.poll_ask(scene.now) {
            sent += u64::from(ask.len);
            scene.deliver(id, ask).unwrap();
        }
        assert!(scene.fetch.is_complete());
        assert_eq!(scene.got, scene.bytes);
        assert_eq!(sent, 3 * MIN_UNIT);
    }
}

#[test]
fn a_unit_that_two_sent_and_that_is_not_good_is_held_against_neither_and_comes_whole_from_one() {
    let mut scene = Scene::new(2 * UNIT);
    scene.source(A, &[]);
    assert!(scene.turn(), "the list");
    let (id, Ask::Piece(ask)) = scene.fetch.poll_ask(scene.now).unwrap() else { panic!() };
    scene.bytes[7] ^= 1;
    scene.deliver(id, ask).unwrap();
    scene.bytes[7] ^= 1;
    scene.fetch.source_gone(A);
    scene.source(B, &[]);
    while scene.turn() {}
    assert!(scene.fetch.is_complete());
    assert_eq!(scene.got, scene.bytes);
}

#[test]
fn what_a_source_began_that_broke_the_rules_is_not_gone_on_with() {
    let mut scene = Scene::new(2 * UNIT);
    scene.source(A, &[]);
    assert!(scene.turn(), "the list");
    let (id, Ask::Piece(ask)) = scene.fetch.poll_ask(scene.now).unwrap() else { panic!() };
    scene.deliver(id, ask).unwrap();
    scene.fetch.source_broke(A);
    scene.source(B, &[]);
    let (id, Ask::Piece(again)) = scene.fetch.poll_ask(scene.now).unwrap() else { panic!() };
    assert_eq!((id, again.unit, again.offset), (B, ask.unit, 0));
}

/// What may happen to holders; the number chooses among those that are there.
#[derive(Clone, Copy, Debug)]
enum Event {
    Comes { relayed: bool },
    Sends(usize),
    SendsDamaged(usize),
    IsDrained(usize),
    IsCut(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let which = || 0..4_usize;
    prop_oneof![
        2 => any::<bool>().prop_map(|relayed| Event::Comes { relayed }),
        40 => which().prop_map(Event::Sends),
        1 => which().prop_map(Event::SendsDamaged),
        2 => which().prop_map(Event::IsDrained),
        2 => which().prop_map(Event::IsCut),
    ]
}

/// Holders that come and go, what each was asked for, and the sums over all of that.
struct Crowd {
    scene: Scene,
    asked: BTreeMap<SourceId, VecDeque<BlobAsk>>,
    next: u64,
    asked_bytes: u64,
    lost_bytes: u64,
    damaged: bool,
}

impl Crowd {
    fn new(len: usize) -> Self {
        let mut scene = Scene::new(len);
        scene.fetch.know_values(scene.list.values().to_vec()).unwrap();
        Self { scene, asked: BTreeMap::new(), next: 0, asked_bytes: 0, lost_bytes: 0, damaged: false }
    }

    fn comes(&mut self, relayed: bool) {
        let id = SourceId(self.next);
        self.next += 1;
        self.scene.fetch.source_came(id, relayed);
        let have = BlobHave { size: self.scene.bytes.len() as u64, units: Blob::default() };
        self.scene.fetch.have(id, &have).unwrap();
        self.asked.insert(id, VecDeque::new());
    }

    fn gone(&mut self, id: SourceId) {
        let lost = self.asked.remove(&id).unwrap_or_default();
        self.lost_bytes += lost.iter().map(|ask| u64::from(ask.len)).sum::<u64>();
        self.scene.fetch.source_gone(id);
    }

    fn sends(&mut self, id: SourceId, damaged: bool) {
        let Some(ask) = self.asked.get_mut(&id).and_then(VecDeque::pop_front) else { return };
        self.scene.now = self.scene.now.plus(Duration::from_millis(1));
        let (start, _) = self.scene.fetch.units().range(ask.unit).unwrap();
        let at = usize::try_from(start + ask.offset).unwrap();
        let good = self.scene.bytes.get(at).copied();
        let damaged = damaged && good.is_some();
        if damaged {
            self.scene.bytes[at] ^= 1;
            self.damaged = true;
        }
        let taken = self.scene.deliver(id, ask);
        if damaged {
            self.scene.bytes[at] ^= 1;
        }
        if let Err(error) = taken {
            assert!(self.damaged, "{error}");
            self.scene.fetch.source_broke(id);
            self.gone(id);
        }
    }

    /// Takes what the fetch wants to ask, and looks whether it may.
    fn ask(&mut self) {
        while let Some((id, ask)) = self.scene.fetch.poll_ask(self.scene.now) {
            let Ask::Piece(ask) = ask else { panic!("the list is known") };
            let overlaps = |other: &BlobAsk| {
                let end = |ask: &BlobAsk| ask.offset + u64::from(ask.len);
                other.unit == ask.unit && other.offset < end(&ask) && ask.offset < end(other)
            };
            assert!(!self.asked.values().flatten().any(overlaps), "{ask:?} is on its way already");
            self.asked_bytes += u64::from(ask.len);
            self.asked.get_mut(&id).unwrap().push_back(ask);
        }
        for (id, asks) in &self.asked {
            let on_its_way: u64 = asks.iter().map(|ask| u64::from(ask.len)).sum();
            assert!(on_its_way <= crate::limits::CREDIT_DIRECT, "{id:?}: {on_its_way}");
        }
        let drained: Vec<SourceId> =
            self.asked.keys().copied().filter(|id| self.scene.fetch.is_drained(*id)).collect();
        drained.into_iter().for_each(|id| self.gone(id));
    }

    fn happens(&mut self, event: Event) {
        let ids: Vec<SourceId> = self.asked.keys().copied().collect();
        let who = |which: usize| ids.get(which % ids.len().max(1)).copied();
        match event {
            Event::Comes { relayed } if ids.len() < 4 => self.comes(relayed),
            Event::Comes { .. } => {}
            Event::Sends(which) => who(which).into_iter().for_each(|id| self.sends(id, false)),
            Event::SendsDamaged(which) => who(which).into_iter().for_each(|id| self.sends(id, true)),
            Event::IsDrained(which) => who(which).into_iter().for_each(|id| self.scene.fetch.drain(id)),
            Event::IsCut(which) => who(which).into_iter().for_each(|id| self.gone(id)),
        }
        self.ask();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_holders_do_the_content_comes_whole_and_nothing_that_came_is_asked_for_again(
        len in 0..4 * UNIT,
        events in proptest::collection::vec(event(), 0..300),
    ) {
        let mut crowd = Crowd::new(len);
        events.into_iter().for_each(|event| crowd.happens(event));
        let mut turns = 0;
        while !crowd.scene.fetch.is_complete() {
            if crowd.asked.is_empty() {
                crowd.comes(false);
            }
            (0..crowd.asked.len()).for_each(|which| crowd.happens(Event::Sends(which)));
            turns += 1;
            prop_assert!(turns < 10_000, "it stands still");
        }
        prop_assert!(crowd.scene.got == crowd.scene.bytes);
        if !crowd.damaged {
            prop_assert_eq!(crowd.asked_bytes - crowd.lost_bytes, len as u64);
        }
    }
}
