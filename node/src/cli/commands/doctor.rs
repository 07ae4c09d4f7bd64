//! `doctor`: what stands between this PC and the others, and what to do about it.

use crate::cli::Failure;
use crate::cli::client::{Client, plain};
use crate::cli::commands::{field, items, word};
use crate::cli::out::{Out, clean_line};
use crate::doctor::Code;
use crate::lang::{Lang, Msg, advice_text, chinese_error, fill};
use serde_json::Value;

/// `doctor`.
pub(super) fn doctor(client: &Client, out: &Out) -> Result<(), Failure> {
    let seen = client.get("doctor")?;
    if out.json {
        return out.document(&seen);
    }
    interfaces(out, &seen)?;
    out.line("")?;
    out.fields(&summary(out.lang, &seen))?;
    out.line("")?;
    peers(out, &seen)?;
    problems(out, &seen)
}

fn at<'a>(seen: &'a Value, path: &str) -> &'a Value {
    seen.pointer(path).unwrap_or(&Value::Null)
}

fn is(seen: &Value, path: &str) -> bool {
    at(seen, path).as_bool() == Some(true)
}

fn yes(lang: Lang, yes: bool) -> String {
    (if yes { Msg::Yes } else { Msg::No }).text(lang).to_owned()
}

fn interfaces(out: &Out, seen: &Value) -> Result<(), Failure> {
    let row = |one: &Value| {
        vec![
            plain(at(one, "/rank")),
            field(one, "name").to_owned(),
            format!("{}/{}", field(one, "ip"), plain(at(one, "/prefix"))),
            word(out.lang, field(one, "kind")),
            yes(out.lang, is(one, "/usable")),
        ]
    };
    let rows: Vec<_> = items(at(seen, "/interfaces")).map(row).collect();
    let header = [Msg::ColRank, Msg::ColAdapter, Msg::ColAddress, Msg::ColKind, Msg::ColUsable];
    out.table(&header, &rows)
}

fn summary(lang: Lang, seen: &Value) -> Vec<(Msg, String)> {
    let text = |path: &str| plain(at(seen, path));
    let ports = items(at(seen, "/reachable/ports"))
        .map(|row| format!("{} {}", plain(at(row, "/port")), word(lang, field(row, "result"))));
    let by = match field(at(seen, "/reachable"), "asked") {
        "peer" => text("/reachable/name"),
        asked => word(lang, asked),
    };
    let reachable = format!("{} ({by})", ports.collect::<Vec<_>>().join(", "));
    let mdns = if is(seen, "/mdns/running") {
        let devices = text("/mdns/devices");
        let names = at(seen, "/mdns/interfaces").as_object();
        let names: Vec<&str> = names.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        lang.say(Msg::DoctorMdns, &[("devices", &devices), ("adapters", &names.join(", "))])
    } else {
        format!("{} {}", word(lang, "off"), text("/mdns/error"))
    };
    let coordinator = match field(at(seen, "/coordinator"), "state") {
        "none" => word(lang, "none"),
        state => {
            let (state, addr) = (word(lang, state), text("/coordinator/addr"));
            let (since, relay) = (text("/coordinator/since_s"), word(lang, &text("/coordinator/relay")));
            let args = [("state", &*state), ("addr", &*addr), ("seconds", &*since), ("relay", &*relay)];
            lang.say(Msg::DoctorCoordinator, &args)
        }
    };
    vec![
        (Msg::FieldListen, text("/listen")),
        (Msg::FieldReachable, reachable.trim().to_owned()),
        (Msg::FieldMdns, mdns.trim().to_owned()),
        (Msg::FieldCoordinator, coordinator),
        (Msg::FieldClock, lang.say(Msg::FieldMilliseconds, &[("ms", &text("/clock_offset_ms"))])),
    ]
}

/// A row for each address of each device; the first one names the device.
fn peers(out: &Out, seen: &Value) -> Result<(), Failure> {
    let lang = out.lang;
    let mut rows = Vec::new();
    for peer in items(at(seen, "/peers")) {
        let name = match field(peer, "name") {
            "" => field(peer, "peer_id"),
            name => name,
        };
        let mut head = vec![name.to_owned(), word(lang, field(peer, "route"))];
        for address in items(at(peer, "/addresses")) {
            let tried = at(address, "/tried_s");
            let ago = lang.say(Msg::FieldSeconds, &[("seconds", &plain(tried))]);
            let mut row = std::mem::replace(&mut head, vec![String::new(), String::new()]);
            row.extend([
                field(address, "addr").to_owned(),
                word(lang, field(address, "source")),
                word(lang, field(address, "result")),
                if tried.is_null() { String::new() } else { ago },
            ]);
            rows.push(row);
        }
        if head.iter().any(|cell| !cell.is_empty()) {
            rows.push(head);
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    let header = [Msg::ColName, Msg::ColRoute, Msg::ColAddress, Msg::ColSource, Msg::ColResult, Msg::ColAgo];
    out.table(&header, &rows)?;
    out.line("")
}

fn problems(out: &Out, seen: &Value) -> Result<(), Failure> {
    let mut none = true;
    let refused = field(at(seen, "/coordinator"), "refused");
    for problem in items(at(seen, "/problems")) {
        none = false;
        let mark = if field(problem, "severity") == "problem" { "!" } else { "-" };
        out.line(&clean_line(&format!("{mark} {}", said(out.lang, problem, refused))))?;
    }
    if none { out.say(Msg::DoctorAllWell, &[]) } else { Ok(()) }
}

/// An advice in the person's language; that of a newer node as it says it itself. `refused`: the code of the coordinator's
/// refusal.
fn said(lang: Lang, problem: &Value, refused: &str) -> String {
    let Some(code) = Code::of_name(field(problem, "code")) else {
        return field(problem, "message").to_owned();
    };
    let args = at(problem, "/args").as_object().into_iter().flatten();
    let mut args: Vec<(&str, &str)> =
        args.map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default())).collect();
    if let (Code::CoordinatorRefuses, Lang::ZhCn, Some(reason)) = (code, lang, chinese_error(refused)) {
        args.insert(0, ("reason", reason));
    }
    fill(advice_text(code, lang), &args)
}
