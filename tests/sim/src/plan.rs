//! What people and fate do in a schedule, drawn from its seed. Each schedule allows only some kinds of faults, so that
//! rare combinations are not drowned by common ones.

use crate::net::{At, OFFICE};
use crate::time::{MS, Micros, SECOND};
use crate::world::World;
use lanchat_node_core::{Command, Input};
use lanchat_proto::entry::Descriptor;

/// Devices of each user, for small offices.
pub const OFFICES: &[&[usize]] = &[
    &[1, 1],
    &[1, 1],
    &[1, 1, 1],
    &[2, 1],
    &[2, 2],
    &[2, 1, 1],
    &[1, 1, 1, 1],
    &[1, 1, 1, 1, 1],
    &[2, 2, 1],
];

/// Kinds of faults, each allowed by a bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Crash,
    Power,
    Cut,
    OneWay,
    Partition,
    Reset,
    Office,
    Clock,
    OfficeClock,
    Freeze,
    Store,
    Restore,
    Expel,
    Quit,
    Changed,
}

const FAULTS: &[Fault] = &[
    Fault::Crash,
    Fault::Power,
    Fault::Cut,
    Fault::OneWay,
    Fault::Partition,
    Fault::Reset,
    Fault::Office,
    Fault::Clock,
    Fault::OfficeClock,
    Fault::Freeze,
    Fault::Store,
    Fault::Restore,
    Fault::Expel,
    Fault::Quit,
    Fault::Changed,
];

/// Lets the schedule of the world's seed happen, except these kinds of faults.
pub fn play(w: &mut World, without: &[String]) {
    let drawn: Vec<Fault> = FAULTS.iter().copied().filter(|_| w.rng.chance(30)).collect();
    let spared = |fault: &Fault| without.iter().any(|name| format!("{fault:?}").eq_ignore_ascii_case(name));
    let allowed: Vec<Fault> = drawn.into_iter().filter(|fault| !spared(fault)).collect();
    w.net.jitter = w.rng.pick(&[MS, 2 * MS, 5 * MS, 80 * MS, 400 * MS]).unwrap_or(MS);
    let talkative = w.rng.range(30, 90);
    let patience = w.rng.pick(&[20 * MS, 300 * MS, 2 * SECOND, 8 * SECOND]).unwrap_or(SECOND);
    if !without.iter().any(|name| name.eq_ignore_ascii_case("files")) {
        w.draw_files();
    }
    if w.rng.chance(90) {
        w.start_office();
    }
    for at in 1..=w.pcs.len() {
        if w.rng.chance(85) {
            w.start(at);
        }
    }
    let warm_up = w.rng.below(3 * SECOND);
    w.run_for(warm_up);
    for step in 0..w.rng.range(5, 40) {
        if w.rng.chance(talkative) || allowed.is_empty() {
            talk(w, step);
        } else if let Some(fault) = w.rng.pick(&allowed) {
            harm(w, fault);
        }
        if w.rng.chance(15) {
            repair(w);
        }
        w.act_on_files();
        let pause = if w.rng.chance(5) { w.rng.below(30 * SECOND) } else { w.rng.below(patience) };
        w.run_for(pause);
        if !w.broken.is_empty() {
            return;
        }
    }
}

fn somebody(w: &mut World) -> At {
    w.rng.index(w.pcs.len()) + 1
}

fn talk(w: &mut World, step: u64) {
    let from = somebody(w);
    let to = somebody(w);
    let burst = if w.rng.chance(4) { w.rng.range(20, 300) } else { w.rng.range(1, 3) };
    let Some(reader) = w.pc(to).map(|pc| pc.person.user) else { return };
    let Some(author) = w.pc(from).map(|pc| pc.person.user) else { return };
    if reader == author {
        return;
    }
    if w.rng.chance(10) {
        if let Some(conversation) = Descriptor::direct(author, reader).id(&w.office.keys.realm()) {
            w.command(from, Command::MarkRead { conversation });
        }
        return;
    }
    for n in 0..burst {
        w.command(from, Command::SendText { to: reader, text: format!("{from}.{step}.{n}"), reply_to: None });
    }
}

fn jump(w: &mut World) -> i64 {
    let jumps = [-2_592_000_000, -3_600_000, -600_000, -2_000, 2_000, 240_000, 3_600_000, 2_592_000_000];
    w.rng.pick(&jumps).unwrap_or(0)
}

fn nap(w: &mut World) -> Micros {
    w.rng.pick(&[200 * MS, 3 * SECOND, 9 * SECOND, 17 * SECOND, 30 * SECOND]).unwrap_or(SECOND)
}

fn harm(w: &mut World, fault: Fault) {
    let (a, b) = (somebody(w), w.rng.index(w.pcs.len() + 1));
    match fault {
        Fault::Crash => crash(w, a, false),
        Fault::Power => crash(w, a, true),
        Fault::Cut => w.cut(a, b),
        Fault::OneWay => w.net.block(a, b),
        Fault::Partition => {
            let side = w.rng.next();
            for x in OFFICE..=w.pcs.len() {
                for y in OFFICE..x {
                    if (side >> x) & 1 != (side >> y) & 1 {
                        w.cut(x, y);
                    }
                }
            }
        }
        Fault::Reset => w.reset(a, b),
        Fault::Office => {
            w.crash_office();
            if w.rng.chance(60) {
                let pause = w.rng.below(5 * SECOND);
                w.run_for(pause);
                w.start_office();
            }
        }
        Fault::Clock => {
            let by = jump(w);
            w.jump_clock(a, by);
        }
        Fault::OfficeClock => {
            let by = w.rng.pick(&[-60_000, -5_000, 5_000, 60_000]).unwrap_or(0);
            w.jump_clock(OFFICE, by);
        }
        Fault::Freeze => {
            let time = nap(w);
            w.freeze(a, time);
        }
        Fault::Store => {
            let failing = w.rng.pick(&[0, 20, 60, 100]).unwrap_or(0);
            if let Some(pc) = w.pc_mut(a) {
                pc.failing = failing;
            }
        }
        Fault::Restore => {
            if w.rng.chance(50) {
                w.backup(a);
            } else {
                w.restore(a);
            }
        }
        Fault::Expel => {
            let ban = w.rng.chance(40);
            w.expel(a, ban);
        }
        Fault::Quit => {
            w.quit(a);
            if w.rng.chance(60) {
                w.start(a);
            }
        }
        Fault::Changed => {
            if let Some(run) = w.pc(a).map(|pc| pc.run) {
                w.tell(a, run, Input::NetworkChanged);
            }
        }
    }
}

fn crash(w: &mut World, at: At, power: bool) {
    w.crash(at, power);
    if w.rng.chance(60) {
        let pause = w.rng.below(2 * SECOND);
        w.run_for(pause);
        w.start(at);
    }
}

fn repair(w: &mut World) {
    let at = somebody(w);
    match w.rng.below(6) {
        0 | 1 => w.start(at),
        2 => w.start_office(),
        3 => w.mend_all(),
        4 => {
            let other = w.rng.index(w.pcs.len() + 1);
            w.mend(at, other);
        }
        _ => {
            w.log_in(at);
            if let Some(pc) = w.pc_mut(at) {
                pc.failing = 0;
            }
        }
    }
}
