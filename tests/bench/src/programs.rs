//! The real coordinator and nodes, as a bench uses them.

use crate::error::BenchError;
use crate::http::Http;
use crate::process::{Program, binary};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Password of every bench user.
const PASSWORD: &str = "correct horse battery";
/// Wait between two looks at something that has no event.
const LOOK: Duration = Duration::from_millis(20);

/// A running coordinator.
#[derive(Debug)]
pub struct Coordinator {
    /// The process.
    pub program: Program,
    /// Its join link, with the standing invite.
    pub join: String,
}

impl Coordinator {
    /// Starts a coordinator on loopback with its data in `dir`.
    ///
    /// # Errors
    /// [`BenchError`].
    pub fn start(dir: &Path) -> Result<Self, BenchError> {
        let dir = dir.join("coordinator");
        let dir = dir.to_string_lossy();
        let arguments = [
            "run",
            "--data-dir",
            &dir,
            "--listen",
            "/ip4/127.0.0.1/tcp/0",
            "--admin",
            "127.0.0.1:0",
            "--org",
            "bench",
            "--registration",
            "invite",
        ];
        let (program, ready) = Program::start(&binary("lanchat-coordinator")?, &arguments)?;
        let join = ready.get("join").and_then(Value::as_str).map(ToOwned::to_owned);
        let join =
            join.ok_or_else(|| BenchError::Unexpected("the coordinator told no join link".to_owned()))?;
        Ok(Self { program, join })
    }
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    /// The process.
    pub program: Program,
    /// Its data.
    pub dir: PathBuf,
    /// A connection to its local API.
    pub http: Http,
}

impl Node {
    /// Starts a node on loopback with its data under `dir`.
    ///
    /// # Errors
    /// [`BenchError`].
    pub fn start(dir: &Path, name: &str) -> Result<Self, BenchError> {
        let dir = dir.join(name);
        let text = dir.to_string_lossy();
        let arguments = [
            "run",
            "--data-dir",
            &text,
            "--headless",
            "--no-mdns",
            "--name",
            name,
            "--listen",
            "/ip4/127.0.0.1/tcp/0",
            "--ui",
            "127.0.0.1:0",
        ];
        let (program, _) = Program::start(&binary("lanchat")?, &arguments)?;
        let http = Http::connect(&dir)?;
        Ok(Self { program, dir, http })
    }

    /// Opens an account and enters the organisation.
    ///
    /// # Errors
    /// [`BenchError`].
    pub fn register(&mut self, coordinator: &Coordinator, name: &str) -> Result<(), BenchError> {
        let body = json!({ "coordinator": coordinator.join, "user": name, "password": PASSWORD });
        self.http.post("/api/v1/account/register", &body).map(drop)
    }

    /// Waits until the node's status or another answer is as wanted.
    ///
    /// # Errors
    /// [`BenchError::TimedOut`].
    pub fn wait_for(
        &mut self,
        path: &str,
        what: &str,
        patience: Duration,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<(), BenchError> {
        let begin = Instant::now();
        while begin.elapsed() < patience {
            if is_so(&self.http.get(path)?) {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        Err(BenchError::TimedOut { what: what.to_owned(), after: patience })
    }

    /// Asks the node to end and waits for that.
    ///
    /// # Errors
    /// [`BenchError`].
    pub fn end(mut self) -> Result<(), BenchError> {
        self.http.post("/api/v1/shutdown", &json!({}))?;
        let status = self.program.ended()?;
        if status.success() {
            Ok(())
        } else {
            Err(BenchError::Unexpected(format!("lanchat ended with {status}")))
        }
    }
}
