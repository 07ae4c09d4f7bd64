//! The settings: what `config.toml` in the data directory may hold, and its only reader and writer.
//!
//! Keeps true: a file that cannot be understood is refused with its line and left as it is; a bad value changes
//! nothing; a write replaces the file as a whole and keeps comments and other keys. Goes in: the file, `config set`.
//! Goes out: [`Settings`], and a watch on them for whoever acts on a change. Keys: `docs/api.md#settings`.

use crate::lang::Lang;
use crate::platform::write_private;
use lanchat_proto::join::{JOIN_PREFIX, JoinLink};
use lanchat_proto::names::UserName;
use serde_json::json;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;
use toml::Value;
use toml::de::DeTable;

/// The file's name in the data directory.
pub const CONFIG_FILE: &str = "config.toml";
/// Bytes of the file. A longer one is refused.
const MAX_FILE: u64 = 256 * 1024;
/// Addresses in `listen`. More are refused.
const MAX_LISTEN: usize = 16;
/// Bytes of any one text setting. A longer one is refused.
const MAX_TEXT_SETTING: usize = 4096;
/// Bytes a second of a limit. A lower one is refused: it is a slip of the pen, since nothing ends under it.
const MIN_RATE: u64 = 1024;

/// Settings that are wrong, or could not be read or written. One line for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is no TOML.
    #[error("{file}, line {line}: {reason}")]
    Syntax {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A key that lanchat does not know.
    #[error("there is no setting '{0}'; `lanchat config list` names them all")]
    UnknownKey(String),
    /// A value that the key does not take.
    #[error("{key}: {reason}")]
    BadValue {
        /// The key.
        key: String,
        /// What it takes instead.
        reason: String,
    },
    /// The file cannot be read or written.
    #[error("{file}: {reason}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
}

/// From whom files are taken without asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AutoAccept {
    /// From nobody.
    Never,
    /// From starred people.
    Contacts,
    /// From everybody.
    All,
}

impl AutoAccept {
    const ALL: &'static [(&'static str, Self)] =
        &[("never", Self::Never), ("contacts", Self::Contacts), ("all", Self::All)];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, value)| *value == self).map_or("contacts", |(name, _)| name)
    }
}

/// All settings, with their defaults where the file says nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The login in the open LAN; the operating system's user name serves when there is none.
    pub name: Option<String>,
    /// From whom files are taken without asking.
    pub auto_accept: AutoAccept,
    /// Bytes up to which they are.
    pub auto_accept_max: u64,
    /// Where files go; the user's download directory when there is none.
    pub download_dir: Option<PathBuf>,
    /// Join link, `host`, `host:port`, multiaddr or `auto`.
    pub coordinator: Option<String>,
    /// Whether mDNS runs.
    pub mdns: bool,
    /// Multiaddrs to listen on; empty: the default port on every interface.
    pub listen: Vec<String>,
    /// Bytes a second that leave, 0 for no limit.
    pub rate_limit_up: u64,
    /// Bytes a second that come, 0 for no limit.
    pub rate_limit_down: u64,
    /// Whether the desktop is notified.
    pub notifications: bool,
    /// Language of outputs; the locale decides when there is none.
    pub lang: Option<Lang>,
    /// Users up to which everyone is linked to everyone.
    pub mesh_size: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: None,
            auto_accept: AutoAccept::Contacts,
            auto_accept_max: 25 << 20,
            download_dir: None,
            coordinator: None,
            mdns: true,
            listen: Vec::new(),
            rate_limit_up: 0,
            rate_limit_down: 0,
            notifications: true,
            lang: None,
            mesh_size: 256,
        }
    }
}

/// Every key, in the order in which they are listed.
pub const KEYS: &[&str] = &[
    "name",
    "auto_accept",
    "auto_accept_max",
    "download_dir",
    "coordinator",
    "mdns",
    "listen",
    "rate_limit_up",
    "rate_limit_down",
    "notifications",
    "lang",
    "mesh_size",
];

fn text(value: &Value) -> Result<&str, String> {
    match value.as_str() {
        Some(text) if text.len() > MAX_TEXT_SETTING => Err(format!("more than {MAX_TEXT_SETTING} bytes")),
        Some(text) if text.chars().any(char::is_control) => Err("holds a control character".into()),
        Some(text) => Ok(text.trim()),
        None => Err("a text in quotes is needed".into()),
    }
}

fn optional(value: &Value) -> Result<Option<String>, String> {
    text(value).map(|text| (!text.is_empty()).then(|| text.to_owned()))
}

fn boolean(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "true or false is needed".into())
}

/// Reads a size: bytes, or a number with `B`, `KiB`, `MiB`, `GiB`, `TiB` (or `KB`, `MB`, `GB`, `TB` of 1000).
///
/// # Errors
/// What is needed instead, as a line for a person.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || "a number of bytes or a size such as 25MiB is needed".to_owned();
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "tib" | "t" => 1 << 40,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)?;
    // TOML has no larger integers.
    if i64::try_from(bytes).is_ok() { Ok(bytes) } else { Err(wrong()) }
}

fn size(value: &Value) -> Result<u64, String> {
    match value {
        Value::Integer(number) => u64::try_from(*number).map_err(|_| "a size is never negative".into()),
        Value::String(text) => parse_size(text),
        Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
            parse_size("?")
        }
    }
}

fn rate(value: &Value) -> Result<u64, String> {
    match size(value)? {
        low @ 1..MIN_RATE => {
            Err(format!("{low} bytes a second is too little: 1KiB or more is needed, or 0 for no limit"))
        }
        rate => Ok(rate),
    }
}

/// Whether a text is `/ip4/ADDRESS/tcp/PORT` or `/ip6/ADDRESS/tcp/PORT`.
#[must_use]
pub fn is_listen_address(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let [empty, family, ip, tcp, port] = parts.as_slice() else { return false };
    let family_fits = match ip.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => *family == "ip4",
        Ok(IpAddr::V6(_)) => *family == "ip6",
        Err(_) => false,
    };
    empty.is_empty() && family_fits && *tcp == "tcp" && port.parse::<u16>().is_ok()
}

fn listen(value: &Value) -> Result<Vec<String>, String> {
    let wrong = "a list of addresses such as /ip4/0.0.0.0/tcp/7420 is needed";
    let items = value.as_array().ok_or(wrong)?;
    if items.len() > MAX_LISTEN {
        return Err(format!("at most {MAX_LISTEN} addresses"));
    }
    let address = |item: &Value| item.as_str().filter(|text| is_listen_address(text)).map(ToOwned::to_owned);
    items.iter().map(|item| address(item).ok_or_else(|| wrong.into())).collect()
}

fn coordinator(value: &Value) -> Result<Option<String>, String> {
    let given = optional(value)?;
    match &given {
        Some(link) if link.starts_with(JOIN_PREFIX) => {
            link.parse::<JoinLink>().map_err(|error| error.to_string())?;
        }
        Some(address) if address.chars().any(char::is_whitespace) => {
            return Err("a join link, host, host:port, multiaddr or auto is needed".into());
        }
        Some(_) | None => {}
    }
    Ok(given)
}

/// Refuses what lies on the disk and is not what the setting needs. Only when it is set: what is there later keeps no node
/// from starting.
fn check_disk(key: &str, settings: &Settings) -> Result<(), ConfigError> {
    let Some(dir) = settings.download_dir.as_deref().filter(|_| key == "download_dir") else { return Ok(()) };
    let there = dir.ancestors().find_map(|path| std::fs::metadata(path).ok());
    if there.is_some_and(|there| !there.is_dir()) {
        let reason = "a directory is needed, and that path leads to a file".to_owned();
        return Err(ConfigError::BadValue { key: key.to_owned(), reason });
    }
    Ok(())
}

impl Settings {
    /// Takes one value.
    fn apply(&mut self, key: &str, value: &Value) -> Result<(), ConfigError> {
        let bad = |reason| ConfigError::BadValue { key: key.to_owned(), reason };
        match key {
            "name" => {
                let name = optional(value).map_err(bad)?;
                if let Some(name) = &name {
                    name.parse::<UserName>().map_err(|error| bad(error.to_string()))?;
                }
                self.name = name;
            }
            "auto_accept" => {
                let given = text(value).map_err(bad)?;
                let found = AutoAccept::ALL.iter().find(|(name, _)| *name == given);
                self.auto_accept = found.ok_or_else(|| bad("never, contacts or all is needed".into()))?.1;
            }
            "auto_accept_max" => self.auto_accept_max = size(value).map_err(bad)?,
            "download_dir" => {
                let path = optional(value).map_err(bad)?.map(PathBuf::from);
                if path.as_ref().is_some_and(|path| !path.is_absolute()) {
                    return Err(bad("an absolute path is needed".into()));
                }
                self.download_dir = path;
            }
            "coordinator" => self.coordinator = coordinator(value).map_err(bad)?,
            "mdns" => self.mdns = boolean(value).map_err(bad)?,
            "listen" => self.listen = listen(value).map_err(bad)?,
            "rate_limit_up" => self.rate_limit_up = rate(value).map_err(bad)?,
            "rate_limit_down" => self.rate_limit_down = rate(value).map_err(bad)?,
            "notifications" => self.notifications = boolean(value).map_err(bad)?,
            "lang" => {
                let given = optional(value).map_err(bad)?;
                let parsed = given.as_deref().map(str::parse::<Lang>).transpose();
                self.lang = parsed.map_err(|error| bad(error.to_string()))?;
            }
            "mesh_size" => {
                let number = value.as_integer().and_then(|number| u32::try_from(number).ok());
                let number = number.filter(|number| (2..=4096).contains(number));
                self.mesh_size = number.ok_or_else(|| bad("a number from 2 to 4096 is needed".into()))?;
            }
            _ => return Err(ConfigError::UnknownKey(key.to_owned())),
        }
        Ok(())
    }

    /// A key's value as JSON; `null` for what is not set.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`].
    pub fn get(&self, key: &str) -> Result<serde_json::Value, ConfigError> {
        Ok(match key {
            "name" => json!(self.name),
            "auto_accept" => json!(self.auto_accept.name()),
            "auto_accept_max" => json!(self.auto_accept_max),
            "download_dir" => json!(self.download_dir.as_ref().map(|path| path.display().to_string())),
            "coordinator" => json!(self.coordinator),
            "mdns" => json!(self.mdns),
            "listen" => json!(self.listen),
            "rate_limit_up" => json!(self.rate_limit_up),
            "rate_limit_down" => json!(self.rate_limit_down),
            "notifications" => json!(self.notifications),
            "lang" => json!(self.lang.map(Lang::code)),
            "mesh_size" => json!(self.mesh_size),
            _ => return Err(ConfigError::UnknownKey(key.to_owned())),
        })
    }

    /// What somebody typed for a key, as TOML: `None` takes the key out of the file.
    fn typed(key: &str, given: &str) -> Result<Option<Value>, ConfigError> {
        let bad = |reason: &str| ConfigError::BadValue { key: key.to_owned(), reason: reason.to_owned() };
        let given = given.trim();
        if !KEYS.contains(&key) {
            return Err(ConfigError::UnknownKey(key.to_owned()));
        }
        if given.is_empty() {
            return Ok(None);
        }
        Ok(Some(match key {
            "mdns" | "notifications" => match given.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Value::Boolean(true),
                "false" | "no" | "off" => Value::Boolean(false),
                _ => return Err(bad("true or false is needed")),
            },
            "mesh_size" => {
                Value::Integer(given.parse().map_err(|_| bad("a number from 2 to 4096 is needed"))?)
            }
            "listen" => Value::Array(
                given
                    .split([',', ' '])
                    .filter(|part| !part.is_empty())
                    .map(|part| Value::String(part.to_owned()))
                    .collect(),
            ),
            _ => Value::String(given.to_owned()),
        }))
    }

    /// Reads the text of a settings file.
    ///
    /// # Errors
    /// [`ConfigError`] with the line.
    pub fn parse(file: &str, source: &str) -> Result<Self, ConfigError> {
        let line_of = |at: usize| source.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
        let syntax = |at: usize, reason: String| ConfigError::Syntax {
            file: file.to_owned(),
            line: line_of(at),
            reason,
        };
        let table = DeTable::parse(source).map_err(|error| {
            let reason = error.message().lines().next().unwrap_or("cannot be read").to_owned();
            syntax(error.span().map_or(0, |span| span.start), reason)
        })?;
        let plain: toml::Table =
            toml::from_str(source).map_err(|error| syntax(0, error.message().to_owned()))?;
        let mut settings = Self::default();
        for key in table.get_ref().keys() {
            let name = key.get_ref().as_ref();
            if let Some(value) = plain.get(name) {
                let applied = settings.apply(name, value);
                applied.map_err(|error| syntax(key.span().start, error.to_string()))?;
            }
        }
        Ok(settings)
    }
}

/// The settings of a running node; share it behind an `Arc`.
pub struct Config {
    path: PathBuf,
    // Held while the file is written, so that two writers do not undo each other.
    writing: Mutex<()>,
    current: watch::Sender<Settings>,
}

impl Config {
    /// Reads `config.toml` of a data directory; no file means all defaults.
    ///
    /// # Errors
    /// [`ConfigError`]; the file stays as it is.
    pub fn open(data_dir: &Path) -> Result<Self, ConfigError> {
        let path = data_dir.join(CONFIG_FILE);
        let settings = Settings::parse(&path.display().to_string(), &read_bounded(&path)?)?;
        Ok(Self { path, writing: Mutex::new(()), current: watch::Sender::new(settings) })
    }

    /// The settings now.
    #[must_use]
    pub fn current(&self) -> Settings {
        self.current.borrow().clone()
    }

    /// Told at every change.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Settings> {
        self.current.subscribe()
    }

    /// Sets a key to what somebody typed and writes the file; an empty text takes the key out.
    ///
    /// # Errors
    /// [`ConfigError`]; then nothing has changed.
    pub fn set(&self, key: &str, given: &str) -> Result<(), ConfigError> {
        let value = Settings::typed(key, given)?;
        if let Some(value) = &value {
            let mut settings = self.current();
            settings.apply(key, value)?;
            check_disk(key, &settings)?;
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.path.display().to_string();
        let source = read_bounded(&self.path)?;
        let edited = edit(&source, key, value.as_ref());
        let settings = Settings::parse(&file, &edited)?;
        write_private(&self.path, edited.as_bytes())
            .map_err(|error| ConfigError::Io { file, reason: error.to_string() })?;
        self.current.send_replace(settings);
        Ok(())
    }
}

fn read_bounded(path: &Path) -> Result<String, ConfigError> {
    let failed = |reason: String| ConfigError::Io { file: path.display().to_string(), reason };
    match std::fs::metadata(path) {
        Ok(found) if found.len() > MAX_FILE => return Err(failed(format!("more than {MAX_FILE} bytes"))),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(failed(error.to_string())),
    }
    std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))
}

/// The text with one key set, or taken out, and everything else as it was.
fn edit(source: &str, key: &str, value: Option<&Value>) -> String {
    let place = DeTable::parse(source).ok().and_then(|table| {
        let found = table.get_ref().iter().find(|(name, _)| name.get_ref().as_ref() == key);
        found.map(|(name, value)| (name.span(), value.span()))
    });
    let part = |from: usize, to: usize| source.get(from..to).unwrap_or_default();
    match (place, value) {
        (Some((_, old)), Some(new)) => {
            format!("{}{new}{}", part(0, old.start), part(old.end, source.len()))
        }
        (Some((name, old)), None) => {
            let rest = part(old.end, source.len());
            let line_end = rest.find('\n').map_or(source.len(), |at| old.end + at + 1);
            format!("{}{}", part(0, name.start), part(line_end, source.len()))
        }
        (None, Some(new)) => {
            // In front: a key after a table header would belong to that table.
            format!("{key} = {new}\n{source}")
        }
        (None, None) => source.to_owned(),
    }
}

#[cfg(test)]
mod tests;
