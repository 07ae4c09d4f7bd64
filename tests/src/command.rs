//! A program that ends by itself: a command of the command line, with a deadline.

use serde_json::Value;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a command left behind.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Exit status; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// The JSON document on standard output.
    ///
    /// # Panics
    /// When the command failed or printed something else.
    #[must_use]
    #[track_caller]
    #[expect(clippy::panic, reason = "stories fail this way")]
    pub fn json(&self) -> Value {
        if self.code != 0 {
            panic!("exit {}: {}", self.code, self.stderr);
        }
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("not JSON ({error}): {}", self.stdout),
        }
    }

    /// The same, when the command did what it should.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }

    /// The same, when the command failed with this status and one line for a person.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn fails_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {} stderr: {}", self.stdout, self.stderr);
        let lines = self.stderr.lines().filter(|line| !line.trim().is_empty()).count();
        assert_eq!(lines, 1, "one clear line: {}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }
}

/// Runs a command to its end, with these bytes on standard input. A command that is late is killed and has status -1.
///
/// # Panics
/// When it cannot be started.
#[must_use]
#[expect(clippy::panic, reason = "stories fail this way")]
pub fn finish(mut command: Command, stdin: &[u8], deadline: Duration) -> Finished {
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => panic!("{command:?}: {error}"),
    };
    let stdin = stdin.to_vec();
    let mut input = child.stdin.take();
    let writer = std::thread::spawn(move || {
        // A command that fails early closes its input: that is its right.
        input.as_mut().map(|input| input.write_all(&stdin))
    });
    let stdout = reader(child.stdout.take());
    let stderr = reader(child.stderr.take());
    let code = wait(&mut child, deadline);
    drop(writer.join());
    Finished { code, stdout: stdout.join().unwrap_or_default(), stderr: stderr.join().unwrap_or_default() }
}

fn reader(stream: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            drop(stream.read_to_end(&mut bytes));
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait(child: &mut Child, deadline: Duration) -> i32 {
    let end = Instant::now() + deadline;
    while Instant::now() < end {
        if let Ok(Some(status)) = child.try_wait() {
            return status.code().unwrap_or(-1);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(child.kill());
    drop(child.wait());
    -1
}
