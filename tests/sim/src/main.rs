//! `lanchat-sim --schedules 100000 [--seed N] [--threads 2]`: runs schedules and prints what came of them.
//! `lanchat-sim reach --schedules 100000`: those about ways to each other.
//! `lanchat-sim [reach] --seed N --trace`: replays one and tells everything that happened.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

use lanchat_sim::Detail;
use lanchat_sim::schedule::{Kind, Outcome, Templates, run_without};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const USAGE: &str = "usage: lanchat-sim [reach] [--schedules N] [--seed N] [--threads N] [--stop-after FAILURES] [--without FAULT,...] [--trace]";
/// Every so many schedules one is run twice, and both runs must be equal.
const REPLAYED: u64 = 500;
/// Failures that are printed.
const SHOWN: usize = 20;

struct Options {
    kind: Kind,
    schedules: u64,
    seed: u64,
    threads: usize,
    stop_after: usize,
    trace: bool,
    without: Vec<String>,
}

fn options() -> Option<Options> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options {
        kind: Kind::Chat,
        schedules: 20_000,
        seed: 1,
        threads,
        stop_after: 20,
        trace: false,
        without: Vec::new(),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--trace" => options.trace = true,
            "reach" => options.kind = Kind::Reach,
            _ => option(&mut options, &arg, &args.next()?)?,
        }
    }
    Some(options)
}

fn option(options: &mut Options, name: &str, value: &str) -> Option<()> {
    match name {
        "--schedules" => options.schedules = value.parse().ok()?,
        "--seed" => options.seed = value.parse().ok()?,
        "--threads" => options.threads = value.parse().ok()?,
        "--without" => options.without = value.split(',').map(str::to_owned).collect(),
        "--stop-after" => options.stop_after = value.parse().ok()?,
        _ => return None,
    }
    Some(())
}

#[derive(Default)]
struct Total {
    schedules: u64,
    events: u64,
    simulated: Duration,
    messages: u64,
    most_dials: usize,
    most_calm_dials: usize,
    most_introductions: usize,
    proved: (u64, u64),
    failed: Vec<Outcome>,
}

fn work(options: &Options, next: &AtomicU64, total: &Mutex<Total>) {
    let mut templates = Templates::default();
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= options.schedules {
            return;
        }
        let seed = options.seed + index;
        let mut outcome = run_without(options.kind, seed, Detail::Hash, &mut templates, &options.without);
        if index.is_multiple_of(REPLAYED) {
            let again = run_without(options.kind, seed, Detail::Hash, &mut templates, &options.without);
            if again.hash != outcome.hash || again.events != outcome.events {
                outcome.broken.push("the same seed gave another run".to_owned());
            }
        }
        let Ok(mut total) = total.lock() else { return };
        total.schedules += 1;
        total.events += outcome.events;
        total.simulated += Duration::from_micros(outcome.simulated);
        total.messages += outcome.messages;
        total.most_dials = total.most_dials.max(outcome.most_dials);
        total.most_calm_dials = total.most_calm_dials.max(outcome.most_calm_dials);
        total.most_introductions = total.most_introductions.max(outcome.most_introductions);
        total.proved.0 += outcome.proved.0;
        total.proved.1 += outcome.proved.1;
        if let Some(broken) = outcome.broken.first() {
            if total.failed.len() < SHOWN {
                println!("seed {seed}: {broken}");
            }
            total.failed.push(outcome);
            if total.failed.len() >= options.stop_after {
                next.store(options.schedules, Ordering::Relaxed);
            }
        }
    }
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if options.trace {
        let outcome = run_without(
            options.kind,
            options.seed,
            Detail::Print,
            &mut Templates::default(),
            &options.without,
        );
        println!("{} events, hash {:016x}", outcome.events, outcome.hash);
        outcome.broken.iter().for_each(|broken| println!("broken {broken}"));
        return if outcome.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let begin = Instant::now();
    let (next, total) = (AtomicU64::new(0), Mutex::new(Total::default()));
    std::thread::scope(|scope| {
        for _ in 0..options.threads {
            scope.spawn(|| work(&options, &next, &total));
        }
    });
    let Ok(total) = total.into_inner() else { return ExitCode::FAILURE };
    let seconds = begin.elapsed().as_secs_f64();
    let rate = total.schedules as f64 / seconds;
    println!(
        "{} schedules from seed {}, {} events, {} messages, {:.1} simulated hours in {seconds:.1} s: {rate:.0} \
         schedules/s, {:.0} per thread",
        total.schedules,
        options.seed,
        total.events,
        total.messages,
        total.simulated.as_secs_f64() / 3600.0,
        rate / options.threads as f64,
    );
    let what = if options.kind == Kind::Reach { "reach " } else { "" };
    if options.kind == Kind::Reach {
        println!(
            "within a minute at most {} dials of one device by one way ({} in half a calm one) and {} introductions; \
             {} times a direct link was found where it had to be, {} times a relayed one",
            total.most_dials, total.most_calm_dials, total.most_introductions, total.proved.0, total.proved.1,
        );
    }
    if let Some(first) = total.failed.first() {
        println!(
            "{} failed; replay with: lanchat-sim {what}--seed {} --trace",
            total.failed.len(),
            first.seed
        );
        return ExitCode::FAILURE;
    }
    println!("none failed");
    ExitCode::SUCCESS
}
