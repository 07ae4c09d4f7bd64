//! A node and its person: started, spoken to, looked at.

use super::{COMMAND, Office, PASSWORD, lock, port_of, text};
use crate::api::{Api, told};
use crate::bins;
use crate::command::{Finished, finish};
use crate::lab::{AtHost, Host};
use crate::program::{Program, quiet};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

/// A node with a data directory of its own.
pub struct Node {
    /// Its user's login.
    pub name: String,
    dir: PathBuf,
    host: Host,
    listen: Vec<String>,
    mdns: bool,
    program: Mutex<Option<Program>>,
}

impl AtHost for Node {
    fn host(&self) -> &Host {
        &self.host
    }
}

impl Node {
    /// A node that does not run yet. On this machine it listens on loopback, on a host of the lab where the program
    /// listens when nothing is said; without mDNS.
    #[must_use]
    pub fn new(name: &str, dir: &Path, host: &Host) -> Self {
        let listen = if host.is_here() { vec!["/ip4/127.0.0.1/tcp/0".to_owned()] } else { Vec::new() };
        let (name, dir, host) = (name.to_owned(), dir.to_path_buf(), host.clone());
        Self { name, dir, host, listen, mdns: false, program: Mutex::new(None) }
    }

    /// The same, announcing itself and looking for others by mDNS.
    #[must_use]
    pub fn with_mdns(mut self) -> Self {
        self.mdns = true;
        self
    }

    /// The same, listening there.
    #[must_use]
    pub fn listening(mut self, multiaddr: &str) -> Self {
        self.listen = vec![multiaddr.to_owned()];
        self
    }

    /// Its data directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn run_args(&self) -> Vec<String> {
        let mut all = vec!["--data-dir".to_owned(), self.dir.display().to_string()];
        all.extend(["run", "--headless", "--name", &self.name, "--ui", "127.0.0.1:0"].map(str::to_owned));
        all.extend(self.listen.iter().flat_map(|address| ["--listen".to_owned(), address.clone()]));
        all.extend((!self.mdns).then(|| "--no-mdns".to_owned()));
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
        *lock(&self.program) = Some(program);
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
        lock(&self.program).take();
    }

    /// Ends it in order; its exit status.
    #[track_caller]
    pub fn stop(&self) -> Option<i32> {
        let program = lock(&self.program).take();
        program.map(Program::stop)
    }

    /// Ends it in order, asked by its local API, as works on every system; its exit status.
    ///
    /// # Panics
    /// When it cannot be asked, or does not end in time.
    #[track_caller]
    pub fn shut_down(&self) -> Option<i32> {
        told(self.api().post("/api/v1/shutdown", &json!({})));
        let program = lock(&self.program).take();
        program.map(Program::ended)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        lock(&self.program).as_ref().map(Program::pid)
    }

    /// Time since its ready line.
    #[must_use]
    pub fn age(&self) -> Duration {
        lock(&self.program).as_ref().map(|program| program.since.elapsed()).unwrap_or_default()
    }

    /// Time from its last start to its ready line.
    #[must_use]
    pub fn took(&self) -> Duration {
        lock(&self.program).as_ref().map(|program| program.took).unwrap_or_default()
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
        finish(self.command(args), stdin.as_bytes(), COMMAND)
    }

    /// A command of the command line that has not been started.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = quiet(self.host.command(&bins::lanchat()));
        command.arg("--data-dir").arg(&self.dir).args(args);
        command
    }

    /// A connection to its local API.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    #[track_caller]
    pub fn api(&self) -> Api {
        told(Api::connect(&self.host, &self.dir))
    }

    /// Stops it where it is, as a laptop does that is put to sleep.
    #[track_caller]
    pub fn freeze(&self) {
        lock(&self.program).iter().for_each(Program::freeze);
    }

    /// Lets it go on.
    #[track_caller]
    pub fn thaw(&self) {
        lock(&self.program).iter().for_each(Program::thaw);
    }

    /// Starts it and registers its user.
    ///
    /// # Panics
    /// When that does not work.
    #[must_use]
    #[track_caller]
    pub fn joins(self, office: &Office) -> Self {
        self.start();
        self.register(&office.join(), PASSWORD).ok();
        self
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

    /// What it says of itself.
    #[must_use]
    #[track_caller]
    pub fn status(&self) -> Value {
        self.cli(&["status", "--json"]).json()
    }

    /// Whether it is signed in at the coordinator.
    #[must_use]
    pub fn signed_in(&self) -> bool {
        self.status().pointer("/coordinator/state").and_then(Value::as_str) == Some("connected")
    }

    /// The TCP port at which it listens.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        let status = self.status();
        let addresses = status.get("listen").and_then(Value::as_array);
        addresses?.iter().filter_map(Value::as_str).find_map(port_of)
    }

    /// How it reaches somebody: `direct`, `relay` or `none`.
    #[must_use]
    pub fn route(&self, other: &Self) -> String {
        self.user(&other.name).map_or_else(|| "none".to_owned(), |user| text(&user, "route"))
    }

    /// The address at which it reaches somebody, `ip:port`; empty without a link.
    #[must_use]
    pub fn addr_of(&self, other: &Self) -> String {
        self.user(&other.name).map(|user| text(&user, "addr")).unwrap_or_default()
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
