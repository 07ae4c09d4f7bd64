//! `tests/chaos-kill --cycles 200 [--seed N]`: the kill loop, long.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let (mut cycles, mut seed) = (200, 1);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().and_then(|value| value.parse().ok());
        match (arg.as_str(), value) {
            ("--cycles", Some(value)) => cycles = u32::try_from(value).unwrap_or(u32::MAX),
            ("--seed", Some(value)) => seed = value,
            _ => {
                eprintln!("usage: chaos-kill [--cycles N] [--seed N]");
                return ExitCode::from(2);
            }
        }
    }
    let begin = Instant::now();
    let report = lanchat_tests::chaos::kill_loop(cycles, seed);
    println!(
        "{} kills in {:.0} s: {} messages reported as stored, each there once and in order; {} without an answer; \
         every database sound",
        report.kills,
        begin.elapsed().as_secs_f64(),
        report.stored,
        report.unanswered
    );
    ExitCode::SUCCESS
}
