//! The command line: what can be typed, and the way from there to the running node or to the launcher.
//!
//! Keeps true: outputs, keys and exit codes are those of `CONTRACT`; a command other than `run`, `demo`, `restore` and
//! `help` only ever talks to the local API; one clear line on stderr says what went wrong. Imports neither `app` nor
//! `store`: programs are started by a [`Launcher`].

mod args;
pub mod client;
mod commands;
mod options;
pub mod out;

pub use options::{Launcher, RestoreOptions, RunOptions};

use crate::api::error::{EXIT_FAILED, EXIT_USAGE};
use crate::config::{CONFIG_FILE, Settings};
use crate::lang::{Lang, Msg};
use crate::platform::default_data_dir;
use args::{Cli, Command};
use clap::Parser;
use client::Client;
use out::Out;
use serde_json::Value;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A command did not work: its exit code and the line for the person.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Exit code.
    pub exit: u8,
    /// One line; empty when there is nobody to read it.
    pub line: String,
    /// The API's error, when it is one.
    pub detail: Value,
}

impl Failure {
    /// With an exit code.
    #[must_use]
    pub fn new(exit: u8, line: impl Into<String>) -> Self {
        Self { exit, line: line.into(), detail: Value::Null }
    }

    /// With exit code 1.
    #[must_use]
    pub fn failed(line: impl Into<String>) -> Self {
        Self::new(EXIT_FAILED, line)
    }

    /// Whoever read the output went away: nothing went wrong.
    #[must_use]
    pub fn quiet() -> Self {
        Self::new(0, "")
    }

    /// The API's code of the error.
    #[must_use]
    pub fn code(&self) -> &str {
        self.detail.get("code").and_then(Value::as_str).unwrap_or_default()
    }
}

/// What every command is given.
struct Session {
    data_dir: PathBuf,
    out: Out,
}

impl Session {
    fn lang(&self) -> Lang {
        self.out.lang
    }

    fn client(&self) -> Result<Client, Failure> {
        Client::find(&self.data_dir, self.lang())
    }
}

/// Tells a line on stderr.
fn complain(line: &str) {
    // Without a stderr there is nobody to tell.
    drop(writeln!(std::io::stderr(), "lanchat: {}", out::clean_line(line)));
}

/// Parses and carries out a command line, the program's name first.
pub fn main(args: impl IntoIterator<Item = OsString>, launcher: &dyn Launcher) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with status 0, everything else to stderr with 2.
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    match dispatch(cli, launcher) {
        Ok(code) => code,
        Err(failure) => {
            if !failure.line.is_empty() {
                complain(&failure.line);
            }
            ExitCode::from(failure.exit)
        }
    }
}

/// The configured language, when the file can be read; whoever starts a node says what is wrong with it.
fn configured_lang(data_dir: &Path) -> Option<Lang> {
    let source = std::fs::read_to_string(data_dir.join(CONFIG_FILE)).ok()?;
    Settings::parse(CONFIG_FILE, &source).ok()?.lang
}

fn dispatch(cli: Cli, launcher: &dyn Launcher) -> Result<ExitCode, Failure> {
    let given = cli.data_dir.or_else(default_data_dir);
    let no_dir = || Failure::failed(Lang::choose(cli.lang, None).say(Msg::NoDataDir, &[]));
    let given = given.ok_or_else(no_dir)?;
    let data_dir = std::path::absolute(&given).unwrap_or(given);
    let lang = Lang::choose(cli.lang, configured_lang(&data_dir));
    let session = Session { data_dir, out: Out::new(lang, cli.json) };
    match cli.command {
        None => commands::start::open_or_run(&session, cli.lang, launcher),
        Some(Command::Run(run)) => Ok(launcher.run(run.options(session.data_dir, cli.lang))),
        Some(Command::Demo) => Ok(launcher.demo(lang)),
        Some(Command::Restore(restore)) => commands::start::restore(&session, &restore, launcher),
        Some(command) => commands::talk(&session, command).map(|()| ExitCode::SUCCESS),
    }
}
