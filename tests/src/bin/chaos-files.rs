//! `tests/chaos-files --transfers 200 [--seed N]`: interrupted transfers, long.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command prints")]

use std::process::ExitCode;

fn main() -> ExitCode {
    let (mut transfers, mut seed) = (200, 1);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().and_then(|value| value.parse().ok());
        match (arg.as_str(), value) {
            ("--transfers", Some(value)) => transfers = u32::try_from(value).unwrap_or(u32::MAX),
            ("--seed", Some(value)) => seed = value,
            _ => {
                eprintln!("usage: chaos-files [--transfers N] [--seed N]");
                return ExitCode::from(2);
            }
        }
    }
    run(transfers, seed)
}

#[cfg(target_os = "linux")]
fn run(transfers: u32, seed: u64) -> ExitCode {
    let begin = std::time::Instant::now();
    let report = lanchat_tests::files::chaos::file_loop(transfers, seed);
    println!(
        "{} interrupted transfers in {:.0} s: {} ended with the right content, {} failed by name since their source was \
         another; nothing else was in sight",
        report.transfers,
        begin.elapsed().as_secs_f64(),
        report.complete,
        report.failed
    );
    ExitCode::SUCCESS
}

#[cfg(not(target_os = "linux"))]
fn run(_: u32, _: u64) -> ExitCode {
    eprintln!("the network lab needs Linux");
    ExitCode::FAILURE
}
