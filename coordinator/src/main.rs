//! The program `lanchat-coordinator`; everything is in the library.

fn main() -> std::process::ExitCode {
    lanchat_coordinator::cli::main()
}
