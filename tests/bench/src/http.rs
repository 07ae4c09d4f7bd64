//! The local API as the command line uses it: requests over one kept-alive connection.

use crate::error::BenchError;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// Time that an answer may take.
const ANSWER: Duration = Duration::from_secs(60);
/// Bytes of an answer's body. A longer one is an error.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// A connection to a node's local API.
#[derive(Debug)]
pub struct Http {
    stream: BufReader<TcpStream>,
    port: u16,
    token: String,
}

impl Http {
    /// Connects to the node that runs with this data directory.
    ///
    /// # Errors
    /// [`BenchError`].
    pub fn connect(data_dir: &Path) -> Result<Self, BenchError> {
        let path = data_dir.join("api.json");
        let text = std::fs::read_to_string(&path).map_err(BenchError::io(path.display().to_string()))?;
        let api: Value = serde_json::from_str(&text).map_err(BenchError::failed("api.json"))?;
        let port = api.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
        let token = api.get("token").and_then(Value::as_str).map(ToOwned::to_owned);
        let (Some(port), Some(token)) = (port, token) else {
            return Err(BenchError::Unexpected("api.json tells no port and token".to_owned()));
        };
        let stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(BenchError::io("the local API"))?;
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(ANSWER)))
            .map_err(BenchError::io("the local API"))?;
        Ok(Self { stream: BufReader::new(stream), port, token })
    }

    /// Asks with GET.
    ///
    /// # Errors
    /// [`BenchError`], also for an answer that is not a success.
    pub fn get(&mut self, path: &str) -> Result<Value, BenchError> {
        self.ask("GET", path, None)
    }

    /// Asks with POST and a JSON body.
    ///
    /// # Errors
    /// [`BenchError`], also for an answer that is not a success.
    pub fn post(&mut self, path: &str, body: &Value) -> Result<Value, BenchError> {
        self.ask("POST", path, Some(&body.to_string()))
    }

    fn ask(&mut self, method: &str, path: &str, body: Option<&str>) -> Result<Value, BenchError> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {}\r\n",
            self.port, self.token
        );
        if let Some(body) = body {
            request += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        request += "\r\n";
        request += body.unwrap_or_default();
        self.stream
            .get_mut()
            .write_all(request.as_bytes())
            .map_err(BenchError::io("asking the local API"))?;
        let (status, body) = self.answer()?;
        if !(200..300).contains(&status) {
            return Err(BenchError::Unexpected(format!("{method} {path}: {status} {body}")));
        }
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&body).map_err(BenchError::failed(format!("{method} {path}")))
    }

    fn answer(&mut self) -> Result<(u16, String), BenchError> {
        let damaged = || BenchError::Unexpected("the local API's answer cannot be read".to_owned());
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
        self.stream.read_exact(&mut body).map_err(BenchError::io("the local API's answer"))?;
        Ok((status, String::from_utf8(body).map_err(|_| damaged())?))
    }

    fn line(&mut self) -> Result<String, BenchError> {
        let mut line = String::new();
        self.stream.read_line(&mut line).map_err(BenchError::io("the local API's answer"))?;
        Ok(line.trim_end().to_owned())
    }
}
