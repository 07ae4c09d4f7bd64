//! `coordinator-restarts [--restarts 50] [--people 30]`: the coordinator restarted again and again, long.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

use std::process::ExitCode;

fn main() -> ExitCode {
    let (mut restarts, mut people) = (50_u32, 30_u32);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().and_then(|value| value.parse().ok());
        match (arg.as_str(), value) {
            ("--restarts", Some(value)) => restarts = value,
            ("--people", Some(value)) => people = value,
            _ => {
                eprintln!("usage: coordinator-restarts [--restarts N] [--people N]");
                return ExitCode::from(2);
            }
        }
    }
    run(restarts, people)
}

#[cfg(target_os = "linux")]
fn run(restarts: u32, people: u32) -> ExitCode {
    let report = lanchat_tests::restarts::restart_loop(restarts, people as usize);
    println!(
        "{} restarts, {} pairs of which {} relayed: all back each time, after {:.1} s in the mean, {:.1} s at worst",
        report.restarts,
        report.pairs,
        report.relayed,
        report.mean.as_secs_f64(),
        report.worst.as_secs_f64()
    );
    ExitCode::SUCCESS
}

#[cfg(not(target_os = "linux"))]
fn run(_: u32, _: u32) -> ExitCode {
    eprintln!("the network lab needs Linux");
    ExitCode::FAILURE
}
