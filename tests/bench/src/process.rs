//! The programs under measurement: started with their own directories, ready when they say so, ended at the latest when
//! dropped.

use crate::error::BenchError;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Time that a program has to get ready.
const READY: Duration = Duration::from_secs(30);
/// Time that a program has to end when it was asked to.
const END: Duration = Duration::from_secs(10);

/// A running program.
#[derive(Debug)]
pub struct Program {
    child: Child,
    name: String,
    /// Time from the start to the ready line.
    pub took: Duration,
}

impl Program {
    /// Starts a program and waits for its ready line, a JSON object on stdout.
    ///
    /// # Errors
    /// [`BenchError`]; what the program said on stderr went to ours.
    pub fn start(path: &Path, arguments: &[&str]) -> Result<(Self, Value), BenchError> {
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let begin = Instant::now();
        let mut child = Command::new(path)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .env_remove("LANCHAT_DATA_DIR")
            .env("RUST_LOG", "warn")
            .spawn()
            .map_err(BenchError::io(format!("starting {}", path.display())))?;
        let lines = child.stdout.take().map(lines_of);
        let mut program = Self { child, name, took: Duration::ZERO };
        let line = lines.and_then(|lines| lines.recv_timeout(READY).ok());
        program.took = begin.elapsed();
        let ready: Value = line
            .and_then(|line| serde_json::from_str(&line).ok())
            .filter(|ready: &Value| ready.get("event").and_then(Value::as_str) == Some("ready"))
            .ok_or_else(|| BenchError::Unexpected(format!("{} did not get ready", program.name)))?;
        Ok((program, ready))
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end of a program that was asked to end.
    ///
    /// # Errors
    /// [`BenchError::TimedOut`] when it does not; it is killed then.
    pub fn ended(mut self) -> Result<ExitStatus, BenchError> {
        let begin = Instant::now();
        while begin.elapsed() < END {
            if let Some(status) = self.child.try_wait().map_err(BenchError::io("waiting for a program"))? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(BenchError::TimedOut { what: format!("the end of {}", self.name), after: END })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Lines of a program's stdout, read to the end so that it never blocks.
fn lines_of(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::sync_channel(1);
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Only the first line is waited for.
            drop(sender.try_send(line));
        }
    });
    lines
}

/// Where the programs are: `LANCHAT_BIN_DIR`, else beside this program.
///
/// # Errors
/// [`BenchError::Unexpected`] when there is no such program.
pub fn binary(name: &str) -> Result<PathBuf, BenchError> {
    let dir = match std::env::var_os("LANCHAT_BIN_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => {
            let own = std::env::current_exe().map_err(BenchError::io("finding the own program"))?;
            own.parent().map(Path::to_path_buf).unwrap_or_default()
        }
    };
    let path = dir.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if path.is_file() {
        Ok(path)
    } else {
        let path = path.display();
        Err(BenchError::Unexpected(format!("{path} is missing: build it, or set LANCHAT_BIN_DIR")))
    }
}
