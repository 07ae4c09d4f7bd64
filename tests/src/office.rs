//! A coordinator and the nodes of its people.

use crate::bins;
use crate::command::{Finished, finish};
use crate::lab::Host;
use crate::program::{Program, quiet};
use serde_json::Value;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
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
    address: String,
    program: RefCell<Option<Program>>,
    port: RefCell<String>,
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[expect(clippy::panic, reason = "stories fail this way")]
fn temporary() -> TempDir {
    match tempfile::Builder::new().prefix("lanchat-story-").tempdir() {
        Ok(dir) => dir,
        Err(error) => panic!("no temporary directory: {error}"),
    }
}

impl Office {
    /// An office on this machine's loopback, with its coordinator running.
    #[must_use]
    pub fn open() -> Self {
        Self::at(Host::here(), "127.0.0.1")
    }

    /// An office on a host of the lab.
    #[must_use]
    pub fn at(host: Host, address: &str) -> Self {
        let office = Self {
            dir: temporary(),
            host,
            address: address.to_owned(),
            program: RefCell::new(None),
            port: RefCell::new("0".to_owned()),
        };
        office.start();
        office
    }

    /// Starts the coordinator, on the port that it had before.
    pub fn start(&self) {
        let listen = format!("/ip4/{}/tcp/{}", self.address, self.port.borrow());
        let args =
            ["run", "--listen", &listen, "--admin", "127.0.0.1:0", "--org", "Story"].map(str::to_owned);
        let mut all = self.data_dir();
        all.extend(args);
        let log = self.dir.path().join("coordinator.log");
        let program = Program::start(&self.host, &bins::coordinator(), &all, &log);
        let listening = program.ready.get("listen").and_then(|list| list.get(0)).and_then(Value::as_str);
        let port = listening.and_then(|addr| addr.split('/').skip_while(|part| *part != "tcp").nth(1));
        *self.port.borrow_mut() = port.unwrap_or("0").to_owned();
        *self.program.borrow_mut() = Some(program);
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
        self.program.borrow().as_ref().map(|program| text(&program.ready, "join")).unwrap_or_default()
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.program.borrow().as_ref().map(Program::pid)
    }

    /// Kills the coordinator.
    pub fn kill(&self) {
        self.program.borrow_mut().take();
    }

    /// Ends the coordinator in order; its exit status.
    pub fn stop(&self) -> Option<i32> {
        let program = self.program.borrow_mut().take();
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
        self.node_at(name, Host::here(), "127.0.0.1")
    }

    /// A node on a host of the lab.
    #[must_use]
    pub fn node_at(&self, name: &str, host: Host, address: &str) -> Node {
        Node::new(name, &self.dir.path().join(format!("node-{name}")), host, address)
    }

    /// Nodes of registered people, running.
    #[must_use]
    pub fn people<const N: usize>(&self, names: [&str; N]) -> [Node; N] {
        names.map(|name| {
            let node = self.node(name);
            node.start();
            node.register(&self.join(), PASSWORD).ok();
            node
        })
    }
}

/// A node with a data directory of its own.
pub struct Node {
    /// Its user's login.
    pub name: String,
    dir: PathBuf,
    host: Host,
    address: String,
    program: RefCell<Option<Program>>,
}

impl Node {
    /// A node that does not run yet.
    #[must_use]
    pub fn new(name: &str, dir: &Path, host: Host, address: &str) -> Self {
        Self {
            name: name.to_owned(),
            dir: dir.to_path_buf(),
            host,
            address: address.to_owned(),
            program: RefCell::new(None),
        }
    }

    /// Its data directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn run_args(&self) -> Vec<String> {
        let listen = format!("/ip4/{}/tcp/0", self.address);
        let args = ["run", "--headless", "--no-mdns", "--name", &self.name, "--listen", &listen];
        let mut all = vec!["--data-dir".to_owned(), self.dir.display().to_string()];
        all.extend(args.map(str::to_owned));
        all.extend(["--ui", "127.0.0.1:0"].map(str::to_owned));
        all
    }

    fn log(&self) -> PathBuf {
        self.dir.with_extension("log")
    }

    /// Starts it; returns its ready line.
    #[track_caller]
    pub fn start(&self) -> Value {
        let program = Program::start(&self.host, &bins::lanchat(), &self.run_args(), &self.log());
        let ready = program.ready.clone();
        *self.program.borrow_mut() = Some(program);
        ready
    }

    /// Runs it with further arguments to its end, for what must not start.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Finished {
        let mut command = quiet(self.host.command(&bins::lanchat()));
        command.args(self.run_args()).args(args);
        finish(command, b"", crate::program::READY)
    }

    /// Kills it.
    pub fn kill(&self) {
        self.program.borrow_mut().take();
    }

    /// Ends it in order; its exit status.
    #[track_caller]
    pub fn stop(&self) -> Option<i32> {
        let program = self.program.borrow_mut().take();
        program.map(Program::stop)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.program.borrow().as_ref().map(Program::pid)
    }

    /// Time since its ready line.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.program.borrow().as_ref().map(|program| program.since.elapsed()).unwrap_or_default()
    }

    /// What it logged.
    #[must_use]
    pub fn logged(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// A command of the command line.
    #[must_use]
    pub fn cli(&self, args: &[&str]) -> Finished {
        self.cli_with(args, "")
    }

    /// A command with something on standard input.
    #[must_use]
    pub fn cli_with(&self, args: &[&str], stdin: &str) -> Finished {
        let mut command = quiet(self.host.command(&bins::lanchat()));
        command.arg("--data-dir").arg(&self.dir).args(args);
        finish(command, stdin.as_bytes(), COMMAND)
    }

    /// Registers its user.
    #[must_use]
    pub fn register(&self, coordinator: &str, password: &str) -> Finished {
        self.enter("register", coordinator, password)
    }

    /// Signs its user in.
    #[must_use]
    pub fn login(&self, coordinator: &str, password: &str) -> Finished {
        self.enter("login", coordinator, password)
    }

    fn enter(&self, how: &str, coordinator: &str, password: &str) -> Finished {
        let args = [how, "--coordinator", coordinator, "--user", &self.name, "--password-stdin"];
        self.cli_with(&args, &format!("{password}\n"))
    }

    /// Everybody as it sees them.
    #[must_use]
    pub fn users(&self) -> Vec<Value> {
        let users = self.cli(&["users", "--json"]);
        if users.code != 0 {
            return Vec::new();
        }
        users.json().as_array().cloned().unwrap_or_default()
    }

    fn user(&self, name: &str) -> Option<Value> {
        self.users().into_iter().find(|user| text(user, "name") == name)
    }

    /// Whether it sees somebody on, by a direct link.
    #[must_use]
    pub fn sees(&self, other: &Self) -> bool {
        self.user(&other.name)
            .is_some_and(|user| text(&user, "presence") == "online" && text(&user, "route") == "direct")
    }

    /// Whether it shows somebody as off, without a link.
    #[must_use]
    pub fn misses(&self, other: &Self) -> bool {
        self.user(&other.name)
            .is_none_or(|user| text(&user, "presence") == "offline" && text(&user, "route") == "none")
    }

    /// Sends a text; returns the answer.
    #[track_caller]
    pub fn send(&self, to: &str, message: &str) -> Value {
        self.cli(&["send", to, message, "--json"]).json()
    }

    /// The messages of a conversation, oldest first.
    #[must_use]
    pub fn history(&self, to: &str) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let before = all.first().map(|row| text(row, "id"));
            let mut args = vec!["history", to, "--limit", "1000", "--json"];
            args.extend(before.iter().flat_map(|id| ["--before", id]));
            let page = self.cli(&args);
            if page.code != 0 {
                return Vec::new();
            }
            let rows = page.json().as_array().cloned().unwrap_or_default();
            let last = rows.len() < 1000;
            all.splice(0..0, rows);
            if last {
                return all;
            }
        }
    }

    /// The texts of a conversation, oldest first.
    #[must_use]
    pub fn texts(&self, to: &str) -> Vec<String> {
        let messages = self.history(to).into_iter().filter(|row| text(row, "kind") == "text");
        messages.map(|row| text(&row, "text")).collect()
    }

    /// The state of a message that it wrote.
    #[must_use]
    pub fn state(&self, to: &str, id: &str) -> String {
        let row = self.history(to).into_iter().find(|row| text(row, "id") == id);
        row.map(|row| text(&row, "state")).unwrap_or_default()
    }
}
