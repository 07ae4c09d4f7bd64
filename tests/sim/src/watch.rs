//! Who has a way to whom, and who has a link: the rules of reach, looked at again and again while a schedule runs.
//!
//! Keeps true: a pair that has one way for [`PATIENCE`] has a link by then, and is not without one for longer; where the
//! way is a direct one, so is the link; of several links one is kept; nobody dials without end. The ways are judged from the
//! network alone, the links from what both programs accepted; what the programs believe is compared with that.

use crate::net::{At, Conn, OFFICE};
use crate::pc::{Pc, Standing};
use crate::time::{Micros, SECOND};
use crate::world::World;
use lanchat_node_core::boot::Channel;
use lanchat_node_core::view::Route;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::DeviceId;
use std::collections::{BTreeMap, VecDeque};

/// Time within which whoever has a way has a link.
pub const PATIENCE: Micros = 60 * SECOND;
/// Time after which, with nothing new between two machines, one link is left and both use it: a link may be silent for
/// the first fifteen seconds of it before that counts.
pub const QUIET: Micros = 20 * SECOND;
/// Time within which a circuit stands in for a direct link that fell silent, between machines that hold places at the
/// relay: the silence is noticed after eight seconds, and for dead after fifteen.
pub const STAND_IN: Micros = 18 * SECOND;
/// Time for which an old goodbye may hold others back from a machine that is on again.
pub const GOODBYE: Micros = 22 * SECOND;
/// Time within which a direct way is found after the network changed: one more dial may have to fail first.
pub const AFTER_CHANGE: Micros = 15 * SECOND;
/// Dials of one device by one way, and introductions for each other machine, that a machine may begin within a minute:
/// whatever comes and goes meanwhile.
pub const MAX_DIALS: usize = 80;
/// Dials of one device by one way that a machine may begin in the last half minute of a calm one: waits have grown.
pub const MAX_CALM_DIALS: usize = 20;

/// What has been so since when.
#[derive(Clone, Copy, Debug, Default)]
struct Since(Option<Micros>);

impl Since {
    fn look(&mut self, holds: bool, now: Micros) {
        self.0 = if holds { self.0.or(Some(now)) } else { None };
    }

    fn lasts(self, time: Micros, now: Micros) -> bool {
        self.0.is_some_and(|since| now.saturating_sub(since) > time)
    }
}

/// What tells one condition of a pair from another: runs, addresses.
type Condition = [u64; 5];

#[derive(Clone, Debug, Default)]
struct Pair {
    condition: Condition,
    /// Since when that is so.
    begun: Micros,
    /// From the first to the second, and back.
    direct: [Since; 2],
    /// The same, where both are signed in indeed, or the one heard the other's announcement.
    sure: [Since; 2],
    circuit: Since,
    /// Both hold places at the relay, and where they cannot talk directly, that is so in both directions.
    places: Since,
    apart: Since,
    not_direct: Since,
    /// The links of the pair, and since when they are the same.
    links: Vec<(u64, [bool; 2])>,
    quiet: Since,
}

/// What is watched.
#[derive(Debug, Default)]
pub struct Watch {
    pairs: BTreeMap<(At, At), Pair>,
    dials: BTreeMap<(At, DeviceId, bool), VecDeque<Micros>>,
    introductions: BTreeMap<At, VecDeque<Micros>>,
    /// The most dials of one device by one way within a minute, and introductions.
    pub most: (usize, usize),
    /// The most dials of one device by one way in the half minute that ends a calm.
    pub most_calm: usize,
    /// Times that a link was found where a way had been for long, directly and by a circuit: that the rules are tried.
    pub proved: (u64, u64),
}

fn count(times: &mut VecDeque<Micros>, now: Micros) -> usize {
    times.push_back(now);
    while times.front().is_some_and(|first| now - first > 60 * SECOND) {
        times.pop_front();
    }
    times.len()
}

impl World {
    pub(crate) fn count_dial(&mut self, at: At, device: DeviceId, channel: Channel, relayed: bool) {
        let now = self.now;
        let Some(watch) = self.watch.as_mut().filter(|_| channel == Channel::Link) else { return };
        let dials = count(watch.dials.entry((at, device, relayed)).or_default(), now);
        watch.most.0 = watch.most.0.max(dials);
        if dials == MAX_DIALS + 1 {
            self.breaks(format!("{} dials {} without end", self.name(at), device.short()));
        }
    }

    pub(crate) fn count_introduction(&mut self, at: At, frame: &Frame) {
        let now = self.now;
        let others = self.pcs.len().saturating_sub(1);
        let Some(watch) = self.watch.as_mut().filter(|_| frame.known() == Some(Kind::Introduce)) else {
            return;
        };
        let asked = count(watch.introductions.entry(at).or_default(), now);
        watch.most.1 = watch.most.1.max(asked);
        if asked == others * MAX_DIALS + 1 {
            self.breaks(format!("{} asks for introductions without end", self.name(at)));
        }
    }

    /// What a direct way is worth between two machines failed once more: the time that it lasts begins anew.
    pub(crate) fn disturb(&mut self, a: At, b: At) {
        let pair = self.watch.as_mut().and_then(|watch| watch.pairs.get_mut(&(a.min(b), a.max(b))));
        if let Some(pair) = pair {
            pair.direct = [Since::default(); 2];
        }
    }

    /// After a calm minute: whoever is still sought in vain is so with growing waits.
    pub fn look_at_calm(&mut self) {
        let from = self.now.saturating_sub(30 * SECOND);
        let recent = |times: &VecDeque<Micros>| times.iter().filter(|at| **at >= from).count();
        let Some(watch) = self.watch.as_mut() else { return };
        let mut wrong = Vec::new();
        for ((at, device, _), times) in &watch.dials {
            let dials = recent(times);
            watch.most_calm = watch.most_calm.max(dials);
            if dials > MAX_CALM_DIALS {
                wrong.push((*at, format!("dials {} {dials} times in half a minute of calm", device.short())));
            }
        }
        for (at, rule) in wrong {
            self.breaks(format!("{} {rule}", self.name(at)));
        }
    }

    /// Looks at every pair.
    pub fn look(&mut self) {
        let Some(mut watch) = self.watch.take() else { return };
        let mut wrong = Vec::new();
        for b in 2..=self.pcs.len() {
            for a in 1..b {
                let mut pair = watch.pairs.remove(&(a, b)).unwrap_or_default();
                self.look_at(a, b, &mut pair, &mut watch, &mut wrong);
                watch.pairs.insert((a, b), pair);
            }
        }
        self.watch = Some(watch);
        wrong.into_iter().for_each(|rule| self.breaks(rule));
    }

    fn works(&self, at: At) -> bool {
        self.pc(at).is_some_and(|pc| {
            pc.runs() && pc.powered && pc.frozen_until <= self.now && pc.standing == Standing::Member
        })
    }

    fn is_in_office(&self, at: At) -> bool {
        self.office.core.is_some() && self.net.dials(at, OFFICE)
    }

    /// Whether the first machine's program was told where the second is.
    fn knows(&self, a: At, b: At) -> bool {
        (self.is_in_office(a) && self.is_in_office(b)) || self.heard_of(a, b)
    }

    fn heard_of(&self, a: At, b: At) -> bool {
        let Some(device) = self.pc(b).map(Pc::device) else { return false };
        let heard = self.pc(a).and_then(|pc| pc.heard.get(&device));
        heard.is_some_and(|heard| heard.contains(&self.net.home(b)))
    }

    fn condition(&self, a: At, b: At) -> Condition {
        let of = |at: At| self.pc(at).map_or((0, 0), |pc| (u64::from(pc.run), pc.wiring.moves));
        let ((run_a, moves_a), (run_b, moves_b)) = (of(a), of(b));
        [run_a, moves_a, run_b, moves_b, u64::from(self.office.run)]
    }

    fn route(&self, at: At, other: At) -> Route {
        let device = self.pc(other).map(Pc::device);
        let route = device.and_then(|device| self.pc(at)?.routes.get(&device).copied());
        route.unwrap_or(Route::None)
    }

    fn look_at(&self, a: At, b: At, pair: &mut Pair, watch: &mut Watch, wrong: &mut Vec<String>) {
        let now = self.now;
        let condition = self.condition(a, b);
        if pair.condition != condition {
            *pair = Pair { condition, begun: now, ..Pair::default() };
        }
        let both = self.works(a) && self.works(b);
        let leads = |from: At, to: At| self.holder(from, &self.net.home(to)) == Some(to);
        let direct = |from: At, to: At| self.net.dials(from, to) && leads(from, to) && self.knows(from, to);
        for (since, way) in pair.direct.iter_mut().zip([direct(a, b), direct(b, a)]) {
            since.look(both && way, now);
        }
        let signed_in = self.is_signed_in(a) && self.is_signed_in(b);
        for (since, (from, to)) in pair.sure.iter_mut().zip([(a, b), (b, a)]) {
            let settled = now.saturating_sub(pair.begun) > GOODBYE;
            let told = settled && (signed_in || self.heard_of(from, to));
            since.look(both && direct(from, to) && told && self.net.lame == 0, now);
        }
        let carried = self.office.relay_terms.is_some() && self.is_in_office(a) && self.is_in_office(b);
        pair.circuit.look(both && carried, now);
        let same_ways = self.net.reaches(a, b) == self.net.reaches(b, a);
        let places = carried && same_ways && self.keeps_place(a) && self.keeps_place(b);
        pair.places.look(both && places, now);

        let links: Vec<(u64, &Conn)> = self.links_between(a, b);
        let live = |conn: &Conn| conn.is_up() && self.net.passes(conn, 0) && self.net.passes(conn, 1);
        let routes = [self.route(a, b), self.route(b, a)];
        let linked = links.iter().any(|(_, conn)| live(conn)) && !routes.contains(&Route::None);
        let directly = links.iter().any(|(_, conn)| live(conn) && conn.carriers.is_none())
            && routes == [Route::Direct, Route::Direct];
        pair.apart.look(both && !linked, now);
        pair.not_direct.look(both && !directly, now);
        let ends = |conn: &Conn| conn.ends.each_ref().map(|end| end.open && end.admitted);
        let standing: Vec<(u64, [bool; 2])> = links.iter().map(|(id, conn)| (*id, ends(conn))).collect();
        let same = both && standing == pair.links;
        pair.quiet.look(same, now);
        pair.links = standing;

        let names = || format!("{} and {}", self.name(a), self.name(b));
        for (from, since) in [a, b].into_iter().zip(pair.sure) {
            let changed = self.pc(from).map_or(0, |pc| pc.changed);
            let before = |since: Since| since.0.is_some_and(|since| changed >= since);
            let late = changed > 0 && now.saturating_sub(changed) > AFTER_CHANGE;
            if late && before(since) && before(pair.not_direct) {
                wrong.push(format!("{} do not try a direct way at once when the network changed", names()));
            }
        }
        if self.office.relay.limit >= 10
            && pair.places.lasts(PATIENCE, now)
            && pair.apart.lasts(STAND_IN, now)
        {
            wrong.push(format!("{} are apart for long although they hold places at the relay", names()));
        }
        if pair.direct.iter().any(|since| since.lasts(PATIENCE, now)) {
            watch.proved.0 += u64::from(directly);
            if pair.not_direct.lasts(PATIENCE, now) {
                wrong.push(format!(
                    "{} have no direct link although they have a direct way ({routes:?})",
                    names()
                ));
            }
        } else if pair.circuit.lasts(PATIENCE, now) {
            watch.proved.1 += u64::from(linked);
            if pair.apart.lasts(PATIENCE, now) {
                wrong.push(format!("{} are apart although the coordinator could carry a link", names()));
            }
        }
        if pair.quiet.lasts(QUIET, now) {
            self.look_at_links(&links, routes, &names(), wrong);
        }
    }

    /// Links between two machines that one of the programs has accepted and not closed.
    fn links_between(&self, a: At, b: At) -> Vec<(u64, &Conn)> {
        let held = |conn: &&Conn| conn.channel == Channel::Link && conn.ends.iter().any(|end| end.open);
        let ids = self.net.between(a, b);
        ids.into_iter().filter_map(|id| Some((id, self.net.conns.get(&id).filter(held)?))).collect()
    }

    /// Nothing is new between two machines: then there is at most one link, and both use that one.
    fn look_at_links(
        &self,
        links: &[(u64, &Conn)],
        routes: [Route; 2],
        names: &str,
        wrong: &mut Vec<String>,
    ) {
        match links {
            [] => {}
            [(id, conn)] if conn.is_up() => {
                let route = if conn.carriers.is_some() { Route::Relay } else { Route::Direct };
                if routes != [route, route] {
                    wrong.push(format!("{names} have link {id} ({route:?}) and believe in {routes:?}"));
                }
            }
            [(id, conn)] => {
                let at = conn.ends.iter().find(|end| end.open).map_or(0, |end| end.at);
                wrong.push(format!("{names}: link {id} is kept at {at} alone"));
            }
            several => {
                let kinds: Vec<&str> = several
                    .iter()
                    .map(|(_, conn)| if conn.carriers.is_some() { "relayed" } else { "direct" })
                    .collect();
                wrong.push(format!("{names} keep several links: {}", kinds.join(", ")));
            }
        }
    }
}
