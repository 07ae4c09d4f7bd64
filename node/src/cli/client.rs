//! The command line's end of the local API: finds the running node by `api.json`, asks, and turns errors into lines.

use crate::api::error::{EXIT_FAILED, EXIT_NO_NODE, EXIT_TIMED_OUT};
use crate::api::{API_FILE, ApiFile};
use crate::cli::Failure;
use crate::cli::commands::transfer_state;
use crate::lang::{Lang, Msg, chinese_error, chinese_transfer_hint, fill};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time that an ordinary request may take.
const ORDINARY: Duration = Duration::from_secs(75);
/// Time to connect; it is the same machine.
const CONNECT: Duration = Duration::from_secs(3);
/// Bytes of an answer.
const ANSWER: u64 = 256 << 20;

/// A way to the running node.
pub struct Client {
    file: ApiFile,
    data_dir: PathBuf,
    lang: Lang,
    agent: ureq::Agent,
}

/// A text for a query or a path.
#[must_use]
pub fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A path with those parameters that are there.
#[must_use]
pub fn with_query(path: &str, params: &[(&str, Option<String>)]) -> String {
    let given = params.iter().filter_map(|(name, value)| value.as_ref().map(|value| (name, value)));
    let pairs: Vec<String> = given.map(|(name, value)| format!("{name}={}", escape(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

impl Client {
    /// The node that runs for a data directory, as `api.json` tells.
    ///
    /// # Errors
    /// [`Failure`] with exit code 3 when there is none.
    pub fn find(data_dir: &Path, lang: Lang) -> Result<Self, Failure> {
        let bytes = std::fs::read(data_dir.join(API_FILE)).ok();
        let file = bytes.and_then(|bytes| serde_json::from_slice::<ApiFile>(&bytes).ok());
        let agent = ureq::Agent::config_builder()
            // The node is on this machine, whatever the environment says about proxies.
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(ORDINARY))
            .build()
            .new_agent();
        let data_dir = data_dir.to_owned();
        match file {
            Some(file) => Ok(Self { file, data_dir, lang, agent }),
            None => Err(no_node(&data_dir, lang)),
        }
    }

    /// `host:port` of the node.
    #[must_use]
    pub fn authority(&self) -> String {
        match &self.file.host {
            Some(host) if host.contains(':') => format!("[{host}]:{}", self.file.port),
            Some(host) => format!("{host}:{}", self.file.port),
            None => format!("127.0.0.1:{}", self.file.port),
        }
    }

    /// The bearer token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.file.token
    }

    /// Nobody answers.
    #[must_use]
    pub fn no_node(&self) -> Failure {
        no_node(&self.data_dir, self.lang)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1/{path}", self.authority())
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.file.token)
    }

    /// Asks.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = self.agent.get(self.url(path)).header("Authorization", self.bearer());
        self.answer(request.call())
    }

    /// Takes away.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn delete(&self, path: &str) -> Result<Value, Failure> {
        let request = self.agent.delete(self.url(path)).header("Authorization", self.bearer());
        self.answer(request.call())
    }

    /// Does something.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.post_within(path, body, ORDINARY)
    }

    /// Does something that may take this long.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn post_within(&self, path: &str, body: &Value, limit: Duration) -> Result<Value, Failure> {
        let request = self.agent.post(self.url(path)).header("Authorization", self.bearer());
        self.answer(request.config().timeout_global(Some(limit)).build().send_json(body))
    }

    /// Sets something.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.agent.put(self.url(path)).header("Authorization", self.bearer());
        self.answer(request.send_json(body))
    }

    /// Uploads an image.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn put_image(&self, path: &str, kind: &str, bytes: &[u8]) -> Result<Value, Failure> {
        let request = self.agent.put(self.url(path)).header("Authorization", self.bearer());
        self.answer(request.header("Content-Type", kind).send(bytes))
    }

    fn answer(
        &self,
        answered: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, Failure> {
        let silent = || Failure::new(EXIT_TIMED_OUT, self.lang.say(Msg::NodeSilent, &[]));
        let mut response = answered.map_err(|error| match error {
            ureq::Error::Timeout(ureq::Timeout::Connect) => self.no_node(),
            ureq::Error::Timeout(_) => silent(),
            _ => self.no_node(),
        })?;
        let text = response.body_mut().with_config().limit(ANSWER).read_to_string();
        let text = text.map_err(|error| match error {
            ureq::Error::Timeout(_) => silent(),
            _ => Failure::failed(self.lang.say(Msg::NodeEnded, &[])),
        })?;
        // Whoever took over the port of a node that was killed speaks something else.
        let value: Value = serde_json::from_str(&text).map_err(|_| self.no_node())?;
        if response.status().is_success() {
            return Ok(value);
        }
        match value.get("error") {
            // Another node's token: the one of this directory is gone.
            Some(error) if error.get("code").and_then(Value::as_str) == Some("unauthorized") => {
                Err(self.no_node())
            }
            Some(error) => Err(failure(error, self.lang)),
            None => Err(self.no_node()),
        }
    }
}

fn no_node(data_dir: &Path, lang: Lang) -> Failure {
    let dir = data_dir.display().to_string();
    Failure::new(EXIT_NO_NODE, lang.say(Msg::NoNode, &[("dir", &dir)]))
}

/// An API error as a line in the person's language, with its exit code.
fn failure(error: &Value, lang: Lang) -> Failure {
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    let exit = error.get("exit").and_then(Value::as_u64).and_then(|exit| u8::try_from(exit).ok());
    let english = text("message").to_owned();
    let template = chinese_transfer_hint(text("hint")).or_else(|| chinese_error(text("code")));
    let line = match (lang, template) {
        (Lang::ZhCn, Some(template)) => {
            let args = error.as_object().into_iter().flatten();
            let shown = |name: &str, value: &Value| match name {
                "state" => transfer_state(lang, &plain(value)),
                _ => plain(value),
            };
            let args: Vec<(String, String)> =
                args.map(|(name, value)| (name.clone(), shown(name, value))).collect();
            let args: Vec<(&str, &str)> =
                args.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            fill(template, &args)
        }
        (Lang::ZhCn, None) | (Lang::En, _) => english,
    };
    Failure { detail: error.clone(), ..Failure::new(exit.unwrap_or(EXIT_FAILED), line) }
}

/// A JSON value as people read it.
#[must_use]
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}
