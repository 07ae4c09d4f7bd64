//! `lanchat-bench`: takes the figures of `docs/performance.md`.

use clap::{Parser, Subcommand};
use lanchat_bench::error::BenchError;
use lanchat_bench::figures::Report;
use lanchat_bench::{
    beside, command, coordinator, copies::stream, file, peers, round_trip, search, start, tcp,
};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Takes the figures of docs/performance.md. The programs are taken from LANCHAT_BIN_DIR, else from beside this one when
/// it is a release build, else cargo builds them.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Prints one JSON document.
    #[arg(long, global = true)]
    json: bool,
    /// A short run that shows that the command works; its figures mean nothing.
    #[arg(long, global = true)]
    quick: bool,
}

#[derive(Subcommand)]
enum Command {
    /// A message between two node processes and its receipt, beside raw TCP.
    RoundTrip,
    /// Memory and processor time of an idle node, alone and with peers.
    Peers {
        /// Peers, each with a link of its own [default: 100; quick: 5].
        #[arg(long)]
        count: Option<usize>,
    },
    /// A coordinator with many signed-in devices.
    Coordinator {
        /// Devices [default: 1000; quick: 20].
        #[arg(long)]
        devices: Option<usize>,
    },
    /// Searches in a large database.
    Search {
        /// Messages [default: 1000000; quick: 2000].
        #[arg(long)]
        messages: Option<usize>,
    },
    /// A large file to another node, beside scp and copies over TCP and TLS 1.3.
    File {
        /// Size of the file [default: 2000; quick: 20].
        #[arg(long)]
        megabytes: Option<usize>,
        /// How often each copies it; the median is told [default: 3; quick: 1].
        #[arg(long)]
        turns: Option<usize>,
        /// Leaves scp out, which needs OpenSSH's client and server.
        #[arg(long)]
        without_scp: bool,
    },
    /// Messages over a cable of 1 Gbit/s, alone and beside a file that fills it. Linux, as root.
    #[cfg(target_os = "linux")]
    Beside {
        /// Size of the file [default: 3000; quick: 100].
        #[arg(long)]
        megabytes: Option<usize>,
    },
    /// Start to ready, and sizes of the programs.
    Start,
    /// The other end of raw TCP; started by `round-trip`.
    #[command(hide = true)]
    Echo,
    /// One end of a copy; started by `file`.
    #[command(hide = true)]
    Receive { way: stream::Way, to: PathBuf, certificate: PathBuf },
    /// The other end.
    #[command(hide = true)]
    Send { way: stream::Way, port: u16, certificate: PathBuf, from: PathBuf },
}

async fn measure(command: Command, quick: bool) -> Result<Option<Report>, BenchError> {
    let or =
        |given: Option<usize>, usual: usize, short: usize| given.unwrap_or(if quick { short } else { usual });
    let blocking = |job: fn(bool) -> Result<Report, BenchError>| tokio::task::block_in_place(|| job(quick));
    match command {
        Command::RoundTrip => blocking(round_trip::run).map(Some),
        Command::Start => blocking(start::run).map(Some),
        Command::Peers { count } => peers::run(or(count, 100, 5), quick).await.map(Some),
        Command::Coordinator { devices } => coordinator::run(or(devices, 1000, 20), quick).await.map(Some),
        Command::Search { messages } => search::run(or(messages, 1_000_000, 2000), quick).await.map(Some),
        Command::File { megabytes, turns, without_scp } => {
            let (megabytes, turns) = (or(megabytes, 2000, 20), or(turns, 3, 1));
            let wish = file::Wish { megabytes, turns, scp: !without_scp, quick };
            tokio::task::block_in_place(|| file::run(wish)).map(Some)
        }
        Command::Receive { way, to, certificate } => {
            tokio::task::block_in_place(|| stream::receive(way, &to, &certificate)).map(|()| None)
        }
        Command::Send { way, port, certificate, from } => {
            tokio::task::block_in_place(|| stream::send(way, port, &certificate, &from)).map(|()| None)
        }
        #[cfg(target_os = "linux")]
        Command::Beside { megabytes } => {
            tokio::task::block_in_place(|| beside::run(or(megabytes, 3000, 100), quick)).map(Some)
        }
        Command::Echo => tokio::task::block_in_place(tcp::serve_echo).map(|()| None),
    }
}

fn print(report: &Report, json: bool) -> Result<(), BenchError> {
    let text = if json {
        serde_json::to_string(report).map_err(BenchError::failed("a report"))? + "\n"
    } else {
        report.to_string()
    };
    std::io::stdout().write_all(text.as_bytes()).map_err(BenchError::io("printing"))
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let measured = command::end_of(measure(arguments.command, arguments.quick)).await;
    let printed = measured.and_then(|report| report.map_or(Ok(()), |report| print(&report, arguments.json)));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without stderr nobody is there to be told.
            drop(writeln!(std::io::stderr(), "lanchat-bench: {error}"));
            ExitCode::FAILURE
        }
    }
}
