//! The command line: `run`, and the administration of the running coordinator.
//!
//! Keeps true: with `--json` stdout holds one JSON document and nothing else; errors are one line on stderr; exit codes
//! are those of every lanchat program: 0 done, 1 failed, 2 bad usage, 3 no coordinator runs, 4 refused.

mod arguments;
mod client;
mod table;
mod telemetry;

use crate::error::ServerError;
use crate::limits::OPEN_FILES;
use crate::server::{Config, Info, Server};
use crate::settings::{self, DataDir};
use crate::store;
use arguments::{Cli, Command, RunArguments};
use clap::Parser;
use client::Failure;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The one line of `run` on stdout.
#[derive(serde::Serialize)]
struct Ready<'a> {
    event: &'static str,
    org: &'a str,
    fingerprint: &'a str,
    peer_id: &'a str,
    listen: &'a [String],
    join: String,
    admin: String,
}

/// Runs the program with the arguments of its process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let Some(dir) = cli.data_dir.clone().or_else(DataDir::standard) else {
        return failed(&Failure::usage("this platform names no data directory; give one with --data-dir"));
    };
    let dir = DataDir(dir);
    let done = match cli.command {
        Command::Run(arguments) => run(dir, *arguments),
        Command::Restore { ref file } => restore(&dir, file, cli.json),
        ref command => administrate(&dir, command, cli.json),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failed(&failure),
    }
}

fn failed(failure: &Failure) -> ExitCode {
    // Where even stderr is gone, the code has to do.
    drop(writeln!(io::stderr(), "lanchat-coordinator: {}", failure.text));
    ExitCode::from(failure.code)
}

fn say(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| Failure::new(error.to_string()))
}

fn run(dir: DataDir, arguments: RunArguments) -> Result<(), Failure> {
    // First: the log's directory lies in it.
    crate::platform::create_private_dir(&dir.0)
        .map_err(|error| Failure::new(format!("{}: {error}", dir.0.display())))?;
    let _telemetry = telemetry::start(&dir.logs());
    match crate::platform::allow_files(OPEN_FILES) {
        Ok(allowed) if allowed >= OPEN_FILES => {}
        Ok(allowed) => tracing::warn!(allowed, wanted = OPEN_FILES, "Few open files are permitted"),
        Err(error) => tracing::warn!(%error, "The limit of open files cannot be raised"),
    }
    let data_dir = dir.0.clone();
    let mut config = Config::new(dir.0);
    config.listen = arguments.listen;
    config.admin = arguments.admin;
    config.org = arguments.org;
    config.registration = arguments.registration;
    config.relay = arguments.relay;
    config.relay_per_user = arguments.relay_per_user;
    config.relay_total = arguments.relay_total;
    config.mdns = !arguments.no_mdns;
    config.new_issuing_key = arguments.new_issuing_key;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(error.to_string()))?;
    let result = runtime.block_on(async {
        // Before the ready line: whoever reads it may ask for the end at once.
        let end = crate::platform::asked_to_end().map_err(ServerError::file(&data_dir))?;
        let server = Server::bind(config).await?;
        let info = server.info();
        let (join, admin) = (server.join_link(), server.admin_url()?);
        let Info { org, fingerprint, peer_id, listen, .. } = info;
        let ready = Ready { event: "ready", org, fingerprint, peer_id, listen, join, admin };
        let line = serde_json::to_string(&ready).map_err(|error| Failure::new(error.to_string()));
        if let Err(failure) = line.and_then(|line| say(&line)) {
            tracing::warn!(error = failure.text, "Nobody reads the ready line");
        }
        server.run_until(end).await
    });
    result.map_err(|error: ServerError| {
        tracing::warn!(%error, "Ended");
        Failure::new(error.to_string())
    })
}

fn restore(dir: &DataDir, file: &Path, json: bool) -> Result<(), Failure> {
    let work = || -> Result<(), ServerError> {
        let _lock = dir.lock()?;
        if !settings::is_empty(dir) {
            return Err(ServerError::NotEmpty(dir.0.clone()));
        }
        let files: [(&str, PathBuf); 2] = [("org.key", dir.keys()), ("config.toml", dir.config())];
        Ok(store::restore(file, &dir.database(), &files)?)
    };
    work().map_err(|error| Failure::new(error.to_string()))?;
    if json {
        say(&json!({ "data_dir": dir.0, "next": "run --new-issuing-key" }).to_string())
    } else {
        say("restored; now start it once with: lanchat-coordinator run --new-issuing-key")
    }
}

fn administrate(dir: &DataDir, command: &Command, json: bool) -> Result<(), Failure> {
    let client = client::Client::connect(dir)?;
    let answer = match command {
        Command::Users => client.get("users")?,
        Command::Online => client.get("online")?,
        Command::Stats => client.get("stats")?,
        Command::Relay => client.get("relay")?,
        Command::Page => client.post("page", &json!({}))?,
        Command::Join => client.post("join", &json!({}))?,
        Command::Invite { uses, expires, rotate } => {
            let expires_s = expires.map(|expires| expires.as_secs());
            client.post("invite", &json!({ "uses": uses, "expires_s": expires_s, "rotate": rotate }))?
        }
        Command::Kick(user) => client.post("kick", &json!({ "user": user.user, "force": user.force }))?,
        Command::Ban(user) => client.post("ban", &json!({ "user": user.user, "force": user.force }))?,
        Command::Unban(user) => client.post("unban", &json!({ "user": user.user, "force": user.force }))?,
        Command::ResetPassword { user } => client.post("reset-password", &json!({ "user": user }))?,
        Command::Department { user, name } => {
            client.post("department", &json!({ "user": user, "name": name }))?
        }
        Command::Announce { text } => client.post("announce", &json!({ "text": announcement(text)? }))?,
        Command::Backup { file } => {
            let path = std::path::absolute(file).map_err(|error| Failure::new(error.to_string()))?;
            client.post("backup", &json!({ "path": path }))?
        }
        Command::Run(_) | Command::Restore { .. } => return Ok(()),
    };
    if json { say(&answer.to_string()) } else { say(&human(command, &answer)) }
}

/// The text of an announcement; `-` reads it from stdin.
fn announcement(text: &str) -> Result<String, Failure> {
    if text != "-" {
        return Ok(text.to_owned());
    }
    let read = io::read_to_string(io::stdin()).map_err(|error| Failure::new(error.to_string()))?;
    Ok(read.trim_end().to_owned())
}

/// An answer for people.
fn human(command: &Command, answer: &Value) -> String {
    let text = |key: &str| table::cell(answer.get(key).unwrap_or(&Value::Null));
    match command {
        Command::Users => {
            table::table(answer, &["name", "display_name", "department", "online", "banned", "last_seen"])
        }
        Command::Online => table::table(answer, &["name", "presence", "since", "addrs", "peer_id"]),
        Command::Stats => table::pairs(answer),
        Command::Relay => relay(answer),
        Command::Page => text("url"),
        Command::Join => text("join"),
        Command::Invite { .. } => {
            format!(
                "{}\n(uses left: {}, until: {})",
                text("join"),
                or(text("uses"), "no end"),
                or(text("expires_at"), "replaced")
            )
        }
        Command::Kick(_) => format!("{} is signed out ({} sessions closed)", text("user"), text("closed")),
        Command::Ban(_) => format!("{} is banned ({} sessions closed)", text("user"), text("closed")),
        Command::Unban(_) => format!("{} may log in again, with the password", text("user")),
        Command::ResetPassword { .. } => format!(
            "one-time secret for {}: {}\nIt takes the place of the password for one login, which asks for a new one.",
            text("user"),
            text("secret")
        ),
        Command::Department { .. } => {
            format!("{} is in {}", text("user"), or(text("department"), "no department"))
        }
        Command::Announce { .. } => format!("announcement {}", text("number")),
        Command::Backup { .. } => {
            format!("{} ({} bytes; it holds the organisation's keys)", text("path"), text("bytes"))
        }
        Command::Run(_) | Command::Restore { .. } => String::new(),
    }
}

/// Figures of the relay, then those of the users.
fn relay(answer: &Value) -> String {
    let mut figures = answer.clone();
    let users = figures.as_object_mut().and_then(|figures| figures.remove("users")).unwrap_or_default();
    let figures = table::pairs(&figures);
    if users.as_array().is_none_or(Vec::is_empty) {
        return figures;
    }
    format!("{figures}\n\n{}", table::table(&users, &["name", "bytes", "circuits"]))
}

fn or(text: String, otherwise: &str) -> String {
    if text.is_empty() || text == "-" { otherwise.to_owned() } else { text }
}
