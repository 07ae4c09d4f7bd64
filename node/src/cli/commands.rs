//! What each command does, with the running node.

mod account;
mod doctor;
mod messages;
mod people;
mod settings;
pub(super) mod start;
mod stdin;
mod transfers;
mod verify;
mod watch;

use crate::cli::args::{Command, DevicesCommand};
use crate::cli::{Failure, Session};
use crate::lang::{Lang, Msg};
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// Carries out a command that talks to the running node.
pub(super) fn talk(session: &Session, command: Command) -> Result<(), Failure> {
    let client = session.client()?;
    let out = &session.out;
    match command {
        // Carried out by the caller: these need no running node.
        Command::Run(_) | Command::Demo | Command::Restore(_) => Ok(()),
        Command::Register(args) => account::enrol(&client, out, &args, true),
        Command::Login(args) => account::enrol(&client, out, &args, false),
        Command::Logout => account::logout(&client, out),
        Command::Passwd(args) => account::passwd(&client, out, &args),
        Command::Status => people::status(&client, out),
        Command::Doctor => doctor::doctor(&client, out),
        Command::Users { query } => people::users(&client, out, query),
        Command::Verify(args) => verify::verify(&client, out, &args),
        Command::Profile(args) => people::profile(&client, out, &args),
        Command::Contacts(command) => people::contacts(&client, out, &command),
        Command::Send(args) => messages::send(&client, out, &args),
        Command::SendFile(args) => transfers::send_file(&client, out, &args),
        Command::Transfers => transfers::list(&client, out),
        Command::Accept { id, to } => transfers::accept(&client, out, &id, to),
        Command::Reject { id } => transfers::act(&client, out, &id, "reject"),
        Command::Pause { id } => transfers::act(&client, out, &id, "pause"),
        Command::Resume { id } => transfers::act(&client, out, &id, "resume"),
        Command::Cancel { id } => transfers::act(&client, out, &id, "cancel"),
        Command::Nudge { user } => messages::nudge(&client, out, &user),
        Command::History(args) => messages::history(&client, out, &args),
        Command::Search { query, within, limit } => messages::search(&client, out, query, within, limit),
        Command::Watch { since } => watch::watch(&client, out, since),
        Command::Config(command) => settings::config(&client, out, &command),
        Command::Backup(args) => settings::backup(&client, out, &args),
        Command::Devices(DevicesCommand::List) => account::devices(&client, out),
        Command::Devices(DevicesCommand::Endorse { device }) => account::endorse(&client, out, &device),
        Command::Devices(DevicesCommand::Accept { device }) => account::accept(&client, out, &device),
    }
}

/// Digits of a transfer's id that are shown to people.
const SHORT_ID: usize = 8;

/// A text field of a JSON object; empty without it.
fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The items of a JSON array.
fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A word of the API in the person's language.
fn word(lang: Lang, word: &str) -> String {
    let message = match word {
        "online" => Msg::Online,
        "away" => Msg::Away,
        "busy" => Msg::Busy,
        "offline" => Msg::Offline,
        "direct" => Msg::Direct,
        "relay" => Msg::Relay,
        "none" => Msg::NoRoute,
        "connected" => Msg::Connected,
        "reconnecting" => Msg::Reconnecting,
        "pending" => Msg::Pending,
        "stored" => Msg::Stored,
        "delivered" => Msg::Delivered,
        "read" => Msg::Read,
        "real" => Msg::RealAdapter,
        "virtual" => Msg::VirtualAdapter,
        "loopback" => Msg::LoopbackAdapter,
        "reserved" => Msg::Reserved,
        "reserving" => Msg::Reserving,
        "off" => Msg::Off,
        "coordinator" => Msg::TheCoordinator,
        "nobody" => Msg::NobodyToAsk,
        "no_answer" => Msg::NoAnswer,
        "reached" => Msg::Reached,
        "failed" => Msg::NotReached,
        "not_tried" | "untried" => Msg::NotTried,
        "last_link" => Msg::LastLink,
        "mdns" => Msg::ByMdns,
        "forgotten" => Msg::Forgotten,
        "ok" => Msg::Answered,
        "refused" => Msg::DialRefused,
        "timed_out" => Msg::DialTimedOut,
        "unreachable" => Msg::DialUnreachable,
        "wrong_device" => Msg::DialWrongDevice,
        "other" => Msg::DialOther,
        other => return other.to_owned(),
    };
    lang.say(message, &[])
}

/// How far a transfer is, in the person's language.
pub(super) fn transfer_state(lang: Lang, state: &str) -> String {
    let message = match state {
        "offered" => Msg::TransferOffered,
        "waiting" => Msg::TransferWaiting,
        "running" => Msg::TransferRunning,
        "paused" => Msg::TransferPaused,
        "complete" => Msg::TransferComplete,
        "failed" => Msg::TransferFailed,
        "cancelled" => Msg::TransferCancelled,
        "rejected" => Msg::TransferRejected,
        other => return other.to_owned(),
    };
    lang.say(message, &[])
}

/// A time of the API as people of this place read it.
fn local_time(rfc3339: &str) -> String {
    let Ok(at) = OffsetDateTime::parse(rfc3339, &Rfc3339) else { return String::new() };
    let here = at.to_offset(UtcOffset::local_offset_at(at).unwrap_or(UtcOffset::UTC));
    here.format(&format_description!("[year]-[month]-[day] [hour]:[minute]")).unwrap_or_default()
}
