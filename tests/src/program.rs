//! A program that runs: started, ready, and gone at the latest when the story ends.

use crate::lab::Host;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Time from start to the ready line.
pub const READY: Duration = Duration::from_secs(30);
/// Time that a program has to end in order.
pub const EXIT: Duration = Duration::from_secs(3);

/// A running program.
pub struct Program {
    child: Child,
    /// Its ready line.
    pub ready: Value,
    /// When the ready line came.
    pub since: Instant,
    /// Time from its start to the ready line.
    pub took: Duration,
    log: PathBuf,
}

impl Program {
    /// Starts a program on a host and waits for its ready line. Its log goes to a file.
    ///
    /// # Panics
    /// When it does not become ready.
    #[must_use]
    #[track_caller]
    #[expect(clippy::panic, reason = "stories fail this way")]
    pub fn start(host: &Host, program: &Path, args: &[String], log: &Path) -> Self {
        match Self::try_start(host, program, args, log) {
            Ok(program) => program,
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts a program and waits for its ready line.
    ///
    /// # Errors
    /// What it said in place of it.
    pub fn try_start(host: &Host, program: &Path, args: &[String], log: &Path) -> Result<Self, String> {
        let stderr = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(|error| format!("{}: {error}", log.display()))?;
        let begin = Instant::now();
        let mut child = quiet(host.command(program))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let (tell, line) = mpsc::channel();
        let stdout = child.stdout.take();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout?).lines();
            tell.send(lines.next()?.ok()?).ok()?;
            // Read on, so that the program never waits for us.
            lines.for_each(drop);
            Some(())
        });
        let first = line.recv_timeout(READY);
        let since = Instant::now();
        let ready = first.ok().and_then(|line| serde_json::from_str::<Value>(&line).ok());
        let log = log.to_path_buf();
        let mut program = Self { child, ready: Value::Null, since, took: since - begin, log };
        match ready {
            Some(ready) if ready.get("event").and_then(Value::as_str) == Some("ready") => {
                program.ready = ready;
                Ok(program)
            }
            other => Err(format!("no ready line but {other:?}; its log: {}", program.log())),
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks it to end, and returns its exit status.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn stop(self) -> i32 {
        self.signal("-TERM");
        self.ended()
    }

    /// Waits for the end of a program that was asked to end; its exit status, -1 when a signal ended it.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn ended(mut self) -> i32 {
        let status = crate::wait::within(EXIT, "the program ends", || self.child.try_wait().ok().flatten());
        status.code().unwrap_or(-1)
    }

    /// Stops it where it is, as a laptop does that is put to sleep.
    ///
    /// # Panics
    /// When it cannot be.
    #[track_caller]
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on after [`Program::freeze`].
    ///
    /// # Panics
    /// When it cannot.
    #[track_caller]
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    #[track_caller]
    fn signal(&self, which: &str) {
        let sent = Command::new("kill").args([which, &self.pid().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {which} does not work");
    }

    /// Kills it on the spot.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}

/// A command that takes nothing from the environment of whoever runs the tests.
#[must_use]
pub fn quiet(mut command: Command) -> Command {
    for name in ["LANCHAT_DATA_DIR", "LANG", "LC_ALL", "LANGUAGE", "LANCHAT_LOG", "RUST_BACKTRACE"] {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C").env("NO_COLOR", "1");
    command
}
