//! The `lanchat` program: hands its arguments to the command line.

use lanchat::launch::Programs;
use std::process::ExitCode;

fn main() -> ExitCode {
    lanchat::cli::main(std::env::args_os(), &Programs)
}
