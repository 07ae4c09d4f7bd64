//! The command line's side of the administration.

use crate::admin::AdminFile;
use crate::settings::{DataDir, read_small};
use serde_json::Value;
use std::time::Duration;

/// Longest wait for an answer, longer than the coordinator's own.
const TIMEOUT: Duration = Duration::from_secs(40);

/// Why a command failed, and the exit code.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) text: String,
    pub(super) code: u8,
}

impl Failure {
    /// Failed.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 1 }
    }

    /// Bad usage.
    pub(super) fn usage(text: &str) -> Self {
        Self { text: text.to_owned(), code: 2 }
    }

    fn not_running(dir: &DataDir) -> Self {
        Self { text: format!("no coordinator is running for {}", dir.0.display()), code: 3 }
    }
}

/// A connection to the running coordinator.
pub(super) struct Client {
    agent: ureq::Agent,
    base: String,
    token: String,
    dir: DataDir,
}

impl Client {
    /// Finds the running coordinator of a data directory.
    pub(super) fn connect(dir: &DataDir) -> Result<Self, Failure> {
        let text = read_small(&dir.admin()).map_err(|error| Failure::new(error.to_string()))?;
        let file: AdminFile = text
            .and_then(|text| serde_json::from_str(&text).ok())
            .ok_or_else(|| Failure::not_running(dir))?;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_global(Some(TIMEOUT))
            .build()
            .into();
        Ok(Self { agent, base: format!("http://{}/api", file.addr), token: file.token, dir: dir.clone() })
    }

    /// Looks.
    pub(super) fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = self.agent.get(format!("{}/{path}", self.base));
        self.answer(request.header("authorization", format!("Bearer {}", self.token)).call())
    }

    /// Acts.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.agent.post(format!("{}/{path}", self.base));
        self.answer(request.header("authorization", format!("Bearer {}", self.token)).send_json(body))
    }

    fn answer(
        &self,
        result: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, Failure> {
        let mut response = result.map_err(|error| match error {
            ureq::Error::Io(_) | ureq::Error::ConnectionFailed => Failure::not_running(&self.dir),
            error => Failure::new(format!("the coordinator does not answer: {error}")),
        })?;
        let status = response.status().as_u16();
        let limit = response.body_mut().with_config().limit(256 * 1024 * 1024);
        let body: Value = limit.read_json().map_err(|error| Failure::new(error.to_string()))?;
        let text = || body.get("error").and_then(Value::as_str).unwrap_or("refused").to_owned();
        match status {
            200 => Ok(body),
            // Another program has the port now, or the file is of a coordinator that was killed.
            401 | 403 => Err(Failure { text: text(), code: 4 }),
            400 => Err(Failure { text: text(), code: 2 }),
            _ => Err(Failure::new(text())),
        }
    }
}
