//! A coordinator and the nodes of its people; or nodes of people who have none.

mod lan;
mod node;

pub use lan::Lan;
pub use node::Node;

use crate::bins;
use crate::command::{Finished, finish};
use crate::fail::must;
use crate::lab::{AtHost, Host};
use crate::program::{Program, quiet};
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery";
/// How long a command may take.
pub const COMMAND: Duration = Duration::from_secs(40);

/// A coordinator in a directory of its own.
pub struct Office {
    dir: TempDir,
    host: Host,
    /// What `--registration` says; the program's own choice without it.
    registration: Option<&'static str>,
    program: Mutex<Option<Program>>,
    port: Mutex<u16>,
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn temporary() -> TempDir {
    must(tempfile::Builder::new().prefix("lanchat-story-").tempdir(), "no temporary directory")
}

/// The TCP port in a multiaddr.
fn port_of(multiaddr: &str) -> Option<u16> {
    multiaddr.split('/').skip_while(|part| *part != "tcp").nth(1)?.parse().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AtHost for Office {
    fn host(&self) -> &Host {
        &self.host
    }
}

impl Office {
    /// An office on this machine's loopback, with its coordinator running.
    #[must_use]
    pub fn open() -> Self {
        Self::at(&Host::here())
    }

    /// An office on loopback that takes whoever has an invite. Its join link carries one that stands: with it one address
    /// may open any number of accounts, where [`Office::open`] lets it open a few a second.
    #[must_use]
    pub fn by_invite() -> Self {
        Self::new(&Host::here(), Some("invite"))
    }

    /// An office on a host of the lab.
    #[must_use]
    pub fn at(host: &Host) -> Self {
        Self::new(host, None)
    }

    fn new(host: &Host, registration: Option<&'static str>) -> Self {
        let (dir, host) = (temporary(), host.clone());
        let office = Self { dir, host, registration, program: Mutex::new(None), port: Mutex::new(0) };
        office.start();
        office
    }

    /// Starts the coordinator, on the port that it had before.
    pub fn start(&self) {
        let listen = format!("/ip4/{}/tcp/{}", self.host.address(), lock(&self.port));
        let args =
            ["run", "--listen", &listen, "--admin", "127.0.0.1:0", "--org", "Story"].map(str::to_owned);
        let mut all = self.data_dir();
        all.extend(args);
        all.extend(self.registration.iter().flat_map(|who| ["--registration", who]).map(str::to_owned));
        let log = self.dir.path().join("coordinator.log");
        let program = Program::start(&self.host, &bins::coordinator(), &all, &log);
        let listening = program.ready.get("listen").and_then(|list| list.get(0)).and_then(Value::as_str);
        *lock(&self.port) = listening.and_then(port_of).unwrap_or(0);
        *lock(&self.program) = Some(program);
    }

    /// Its data directory.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.dir.path().join("coordinator")
    }

    fn data_dir(&self) -> Vec<String> {
        vec!["--data-dir".to_owned(), self.dir().display().to_string()]
    }

    /// The join link.
    #[must_use]
    pub fn join(&self) -> String {
        lock(&self.program).as_ref().map(|program| text(&program.ready, "join")).unwrap_or_default()
    }

    /// The organisation's fingerprint.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        lock(&self.program).as_ref().map(|program| text(&program.ready, "fingerprint")).unwrap_or_default()
    }

    /// Stops the coordinator where it is, as a machine does that is put to sleep.
    #[track_caller]
    pub fn freeze(&self) {
        lock(&self.program).iter().for_each(Program::freeze);
    }

    /// Lets it go on.
    #[track_caller]
    pub fn thaw(&self) {
        lock(&self.program).iter().for_each(Program::thaw);
    }

    /// The TCP port at which it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        *lock(&self.port)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        lock(&self.program).as_ref().map(Program::pid)
    }

    /// Time from the coordinator's last start to its ready line.
    #[must_use]
    pub fn took(&self) -> Duration {
        lock(&self.program).as_ref().map(|program| program.took).unwrap_or_default()
    }

    /// Kills the coordinator.
    pub fn kill(&self) {
        lock(&self.program).take();
    }

    /// Ends the coordinator in order; its exit status.
    pub fn stop(&self) -> Option<i32> {
        let program = lock(&self.program).take();
        program.map(Program::stop)
    }

    /// A command of the coordinator's administration.
    #[must_use]
    pub fn admin(&self, args: &[&str]) -> Finished {
        let mut command = quiet(self.host.command(&bins::coordinator()));
        command.args(self.data_dir()).args(args);
        finish(command, b"", COMMAND)
    }

    /// A node on this machine that has not registered.
    #[must_use]
    pub fn node(&self, name: &str) -> Node {
        self.node_at(name, &Host::here())
    }

    /// A node on a host of the lab.
    #[must_use]
    pub fn node_at(&self, name: &str, host: &Host) -> Node {
        Node::new(name, &self.dir.path().join(format!("node-{name}")), host)
    }

    /// Nodes of registered people, running, each on a host of its own.
    #[must_use]
    pub fn people_at<const N: usize>(&self, people: [(&str, &Host); N]) -> [Node; N] {
        people.map(|(name, host)| self.node_at(name, host).joins(self))
    }

    /// Nodes of registered people, running.
    #[must_use]
    pub fn people<const N: usize>(&self, names: [&str; N]) -> [Node; N] {
        let here = Host::here();
        self.people_at(names.map(|name| (name, &here)))
    }
}
