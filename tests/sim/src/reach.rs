//! Schedules about ways: who can dial whom, what is cut, moves, sleeps or falls silent, and a coordinator that comes and
//! goes, drawn from the seed. After some of it nothing happens for more than a minute, so that the rules of [`crate::watch`]
//! can be asked for.

use crate::net::{At, OFFICE};
use crate::pc::Wiring;
use crate::time::{MS, Micros, SECOND};
use crate::watch::Watch;
use crate::world::World;
use lanchat_node_core::{Command, Input};
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::reach::RelayTerms;
use std::net::SocketAddr;

/// Devices of each user, for small offices.
pub const OFFICES: &[&[usize]] = &[
    &[1, 1],
    &[1, 1],
    &[1, 1, 1],
    &[2, 1],
    &[1, 1, 1],
    &[1, 1, 1, 1],
    &[2, 1, 1],
    &[1, 1, 1, 1, 1],
    &[1, 1, 1, 1, 1, 1],
];

/// Longer than the rules' patience.
const CALM: Micros = 63 * SECOND;
/// Time between two looks.
const STEP: Micros = 500 * MS;

/// Kinds of faults, each allowed by a bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Wall,
    Cut,
    OneWay,
    Silence,
    Reset,
    HalfReset,
    Office,
    OfficeBurst,
    OfficeCut,
    Crash,
    Power,
    Quit,
    Freeze,
    Sleep,
    Move,
    Changed,
    Announce,
    FalseAnnounce,
    Place,
}

const FAULTS: &[Fault] = &[
    Fault::Wall,
    Fault::Cut,
    Fault::OneWay,
    Fault::Silence,
    Fault::Reset,
    Fault::HalfReset,
    Fault::Office,
    Fault::OfficeBurst,
    Fault::OfficeCut,
    Fault::Crash,
    Fault::Power,
    Fault::Quit,
    Fault::Freeze,
    Fault::Sleep,
    Fault::Move,
    Fault::Changed,
    Fault::Announce,
    Fault::FalseAnnounce,
    Fault::Place,
];

/// Lets the schedule of the world's seed happen, except these kinds of faults.
pub fn play(w: &mut World, without: &[String]) {
    let drawn: Vec<Fault> = FAULTS.iter().copied().filter(|_| w.rng.chance(35)).collect();
    let spared = |fault: &Fault| without.iter().any(|name| format!("{fault:?}").eq_ignore_ascii_case(name));
    let allowed: Vec<Fault> = drawn.into_iter().filter(|fault| !spared(fault)).collect();
    build(w);
    open(w);
    let end = w.now + w.rng.range(40, 100) * SECOND;
    let mut round = 0;
    while w.now < end && w.broken.is_empty() {
        for _ in 0..w.rng.range(1, 4) {
            if let Some(fault) = w.rng.pick(&allowed) {
                harm(w, fault);
                w.look();
            }
            let pause = w.rng.pick(&[0, 50 * MS, 2 * SECOND, 6 * SECOND]).unwrap_or(0);
            pass(w, pause);
        }
        if w.rng.chance(40) {
            repair(w);
            w.look();
        }
        talk(w, round);
        round += 1;
        let calm = match w.rng.below(10) {
            0..=4 => w.rng.below(5 * SECOND),
            5..=7 => w.rng.range(5 * SECOND, 25 * SECOND),
            _ => CALM + w.rng.below(10 * SECOND),
        };
        pass(w, calm);
        if calm >= CALM && w.broken.is_empty() {
            w.look_at_calm();
        }
    }
    pass(w, CALM);
    if w.broken.is_empty() {
        w.look_at_calm();
    }
}

/// After the trouble: everything works again, and stays.
pub fn calm_down(w: &mut World) {
    w.net.lame = 0;
    w.heal();
    for at in 1..=w.pcs.len() {
        w.unplug(at);
    }
    w.look();
    w.settle();
    pass(w, 25 * SECOND);
}

/// Lets time pass and looks at the pairs meanwhile.
fn pass(w: &mut World, time: Micros) {
    let until = w.now + time;
    while w.now < until && w.broken.is_empty() {
        w.run_until(until.min(w.now + STEP));
        w.look();
    }
}

/// Wires the office.
fn build(w: &mut World) {
    w.watch = Some(Watch::default());
    w.office.relay_terms = w.rng.chance(90).then_some(RelayTerms { per_user: 1 << 21, total: 20 << 20 });
    w.office.relay.limit = w.rng.pick(&[10, 10, 3, 2, 1]).unwrap_or(10);
    w.net.jitter = w.rng.pick(&[MS, 2 * MS, 5 * MS, 80 * MS, 400 * MS]).unwrap_or(MS);
    w.net.refuses = w.rng.chance(30);
    w.net.lame = w.rng.pick(&[0, 0, 3, 20]).unwrap_or(0);
    let announced = w.rng.pick(&[0, 0, 50, 100]).unwrap_or(0);
    for at in 1..=w.pcs.len() {
        let wiring = Wiring {
            extra: [adapters(w, at), adapters(w, at)],
            announces: w.rng.chance(announced),
            tells_subnets: w.rng.chance(50),
            moves: 0,
        };
        if let Some(pc) = w.pc_mut(at) {
            pc.wiring = wiring;
        }
    }
    let closed = w.rng.pick(&[0, 30, 70, 100]).unwrap_or(0);
    for b in 2..=w.pcs.len() {
        for a in 1..b {
            if w.rng.chance(closed) {
                close_way(w, a, b);
            }
        }
    }
}

/// Further addresses of a machine: a dead one, one that every machine has, another machine's.
fn adapters(w: &mut World, at: At) -> Vec<Endpoint> {
    let octet = |at: At| u8::try_from(at).unwrap_or(0);
    let other = somebody(w);
    let place = match w.rng.below(12) {
        0 => [10, 250, 0, octet(at)],
        1 => [172, 17, 0, 1],
        2 => [10, 0, 0, octet(other)],
        _ => return Vec::new(),
    };
    vec![Endpoint::new(SocketAddr::from((place, 7420)))]
}

/// Closes some of the direct way between two machines.
fn close_way(w: &mut World, a: At, b: At) {
    match w.rng.below(4) {
        0 => w.net.wall(a, b),
        1 => w.net.wall(b, a),
        2 => {
            w.net.wall(a, b);
            w.net.wall(b, a);
        }
        _ => w.cut(a, b),
    }
}

/// The day begins.
fn open(w: &mut World) {
    if w.rng.chance(90) {
        w.start_office();
    }
    for at in 1..=w.pcs.len() {
        if w.rng.chance(90) {
            w.start(at);
        }
        if w.rng.chance(30) {
            let pause = w.rng.below(2 * SECOND);
            pass(w, pause);
        }
    }
    w.look();
    let warm_up = w.rng.below(8 * SECOND);
    pass(w, warm_up);
}

fn somebody(w: &mut World) -> At {
    w.rng.index(w.pcs.len()) + 1
}

/// Two machines.
fn pair(w: &mut World) -> (At, At) {
    let a = somebody(w);
    let others = w.pcs.len().saturating_sub(1);
    (a, (a + w.rng.index(others)) % w.pcs.len() + 1)
}

fn talk(w: &mut World, round: u64) {
    for n in 0..w.rng.below(4) {
        let (from, to) = pair(w);
        let awake = w.pc(from).is_some_and(|pc| pc.frozen_until <= w.now);
        let user = |at: At| w.pc(at).map(|pc| pc.person.user);
        if let (Some(author), Some(reader)) = (user(from), user(to))
            && awake
            && author != reader
        {
            let text = format!("{from}.{round}.{n}");
            w.command(from, Command::SendText { to: reader, text, reply_to: None });
        }
    }
}

fn harm(w: &mut World, fault: Fault) {
    let (a, b) = pair(w);
    w.trace.say(w.now, || format!("fault {fault:?} {a} {b}"));
    let far = if w.rng.chance(20) { OFFICE } else { b };
    match fault {
        Fault::Wall => close_way(w, a, b),
        Fault::Cut => w.cut(a, b),
        Fault::OneWay => w.net.block(a, b),
        Fault::Silence => w.silence(a, far),
        Fault::Reset => w.reset(a, far),
        Fault::HalfReset => w.half_reset(a, b),
        Fault::Office => {
            w.crash_office();
            if w.rng.chance(70) {
                let pause = w.rng.below(5 * SECOND);
                pass(w, pause);
                w.start_office();
            }
        }
        Fault::OfficeBurst => {
            for _ in 0..w.rng.range(2, 4) {
                w.crash_office();
                let pause = w.rng.below(2 * SECOND);
                pass(w, pause);
                w.start_office();
                let pause = w.rng.below(3 * SECOND);
                pass(w, pause);
            }
        }
        Fault::OfficeCut => match w.rng.below(3) {
            0 => w.net.wall(a, OFFICE),
            1 => w.net.block(OFFICE, a),
            _ => w.cut(a, OFFICE),
        },
        Fault::Crash => crash(w, a, false),
        Fault::Power => crash(w, a, true),
        Fault::Quit => {
            w.quit(a);
            w.withdraw(a);
            if w.rng.chance(70) {
                w.start(a);
            }
        }
        Fault::Freeze => {
            let time = nap(w);
            w.freeze(a, time);
        }
        Fault::Sleep => {
            let time = nap(w);
            w.suspend(a, time);
        }
        Fault::Move => w.move_away(a, Some(b)),
        Fault::Changed => {
            // As when a cable is plugged in again: a way is there at that moment.
            if w.rng.chance(50) {
                w.mend_all();
                w.look();
            }
            for at in 1..=w.pcs.len() {
                if w.rng.chance(60)
                    && let Some(run) = w.pc(at).filter(|pc| pc.frozen_until <= w.now).map(|pc| pc.run)
                {
                    w.tell(at, run, Input::NetworkChanged);
                }
            }
        }
        Fault::Announce => {
            if w.rng.chance(50) {
                w.announce(a);
            } else {
                w.withdraw(a);
            }
        }
        Fault::FalseAnnounce => {
            let whose = w.rng.chance(70).then_some(b);
            let at = somebody(w);
            let place = w.net.home(at);
            w.announce_falsely(a, whose, place);
        }
        Fault::Place => w.lose_place(a),
    }
}

fn nap(w: &mut World) -> Micros {
    w.rng.pick(&[200 * MS, 3 * SECOND, 9 * SECOND, 17 * SECOND, 40 * SECOND]).unwrap_or(SECOND)
}

fn crash(w: &mut World, at: At, power: bool) {
    w.crash(at, power);
    if w.rng.chance(30) {
        w.withdraw(at);
    }
    if w.rng.chance(70) {
        let pause = w.rng.below(2 * SECOND);
        pass(w, pause);
        w.start(at);
    }
}

fn repair(w: &mut World) {
    let (a, b) = pair(w);
    w.trace.say(w.now, || format!("repair {a} {b}"));
    match w.rng.below(6) {
        0 => w.start(a),
        1 => w.start_office(),
        2 => w.mend_all(),
        3 => w.mend(a, OFFICE),
        _ => w.mend(a, b),
    }
}
