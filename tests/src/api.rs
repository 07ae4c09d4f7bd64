//! A node's local API over one kept-alive connection, for what has to be faster than starting a command each time.

use crate::fail::fail;
use crate::lab::Host;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// Time that an answer may take: as long as the longest wait that a story asks for.
const ANSWER: Duration = Duration::from_secs(120);
/// Bytes of an answer's body.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// A connection to a node's local API.
#[derive(Debug)]
pub struct Api {
    stream: BufReader<TcpStream>,
    port: u16,
    token: String,
}

impl Api {
    /// Connects to the node that runs on a host with this data directory.
    ///
    /// # Errors
    /// Why not, for a person.
    pub fn connect(host: &Host, data_dir: &Path) -> Result<Self, String> {
        let path = data_dir.join("api.json");
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let api: Value = serde_json::from_str(&text).map_err(|error| format!("api.json: {error}"))?;
        let port = api.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
        let token = api.get("token").and_then(Value::as_str).map(ToOwned::to_owned);
        let (Some(port), Some(token)) = (port, token) else {
            return Err("api.json tells no port and token".to_owned());
        };
        let stream = host
            .inside(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)))
            .and_then(|stream| {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(ANSWER))?;
                Ok(stream)
            })
            .map_err(|error| format!("the local API: {error}"))?;
        Ok(Self { stream: BufReader::new(stream), port, token })
    }

    /// Asks with GET.
    ///
    /// # Errors
    /// Why there is no answer, or the answer when it is no success.
    pub fn get(&mut self, path: &str) -> Result<Value, String> {
        self.ask("GET", path, "")
    }

    /// Asks with POST and a JSON body.
    ///
    /// # Errors
    /// Why there is no answer, or the answer when it is no success.
    pub fn post(&mut self, path: &str, body: &Value) -> Result<Value, String> {
        self.ask("POST", path, &body.to_string())
    }

    /// Sends a text and waits until it is stored.
    ///
    /// # Errors
    /// Why it is not.
    pub fn send(&mut self, to: &str, text: &str) -> Result<Value, String> {
        self.post("/api/v1/messages", &json!({ "to": to, "text": text, "wait": "stored" }))
    }

    /// A list, empty when there is no answer.
    #[must_use]
    pub fn list(&mut self, path: &str) -> Vec<Value> {
        self.get(path).ok().and_then(|list| list.as_array().cloned()).unwrap_or_default()
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> Result<Value, String> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            self.token,
            body.len()
        );
        let answer = self
            .stream
            .get_mut()
            .write_all(request.as_bytes())
            .and_then(|()| self.answer())
            .map_err(|error| format!("{method} {path}: {error}"))?;
        match answer {
            (200..=299, body) if body.is_empty() => Ok(Value::Null),
            (200..=299, body) => {
                serde_json::from_str(&body).map_err(|error| format!("{method} {path}: {error}"))
            }
            (status, body) => Err(format!("{method} {path}: {status} {body}")),
        }
    }

    fn answer(&mut self) -> std::io::Result<(u16, String)> {
        let damaged = || std::io::Error::other("the answer cannot be read");
        let status =
            self.line()?.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(damaged)?;
        let mut length = 0;
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length =
                    value.trim().parse().ok().filter(|length| *length <= MAX_BODY).ok_or_else(damaged)?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, String::from_utf8(body).map_err(|_| damaged())?))
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

/// The value, or the end of the story.
///
/// # Panics
/// When there is none.
#[track_caller]
pub fn told<T>(answer: Result<T, String>) -> T {
    answer.unwrap_or_else(|error| fail(error))
}
