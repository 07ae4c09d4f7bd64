//! The `lanchat` program: hands its arguments to the command line.

use lanchat::cli::{Launcher, RestoreOptions, RunOptions};
use lanchat::lang::Lang;
use std::process::ExitCode;

/// Starts nothing: talks to nodes that run already.
struct ClientOnly;

impl Launcher for ClientOnly {
    fn run(&self, _: RunOptions) -> ExitCode {
        ExitCode::FAILURE
    }

    fn demo(&self, _: Lang) -> ExitCode {
        ExitCode::FAILURE
    }

    fn restore(&self, _: RestoreOptions) -> ExitCode {
        ExitCode::FAILURE
    }
}

fn main() -> ExitCode {
    lanchat::cli::main(std::env::args_os(), &ClientOnly)
}
