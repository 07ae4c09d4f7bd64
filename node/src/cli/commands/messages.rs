//! Sending, history, search.

use crate::api::error::{EXIT_FAILED, EXIT_TIMED_OUT};
use crate::cli::Failure;
use crate::cli::args::{HistoryArgs, SendArgs, WaitArg};
use crate::cli::client::{Client, with_query};
use crate::cli::commands::{SHORT_ID, field, items, local_time, stdin, word};
use crate::cli::out::{Out, clean, clean_line, size_text};
use crate::lang::{Lang, Msg, chinese_error, fill};
use lanchat_node_core::output::CommandError;
use lanchat_proto::limits::MAX_TEXT;
use serde_json::{Value, json};
use std::time::Duration;

/// Time that an answer may take beyond the wait that was asked for.
const MARGIN: Duration = Duration::from_secs(10);

/// The node's own error, said here so that a huge text need not travel.
fn too_long(lang: Lang, len: usize) -> Failure {
    let english = CommandError::TextTooLong { len, max: MAX_TEXT }.to_string();
    let (len, max) = (len.to_string(), MAX_TEXT.to_string());
    let line = match (lang, chinese_error("text_too_long")) {
        (Lang::ZhCn, Some(template)) => fill(template, &[("len", &len), ("max", &max)]),
        (Lang::ZhCn, None) | (Lang::En, _) => english,
    };
    Failure::new(EXIT_FAILED, line)
}

/// `send`.
pub(super) fn send(client: &Client, out: &Out, args: &SendArgs) -> Result<(), Failure> {
    let text = if args.text == "-" { stdin::bytes(out.lang)? } else { args.text.clone().into_bytes() };
    if text.len() > MAX_TEXT {
        return Err(too_long(out.lang, text.len()));
    }
    let text = stdin::text(out.lang, text)?;
    let wait = match args.wait {
        WaitArg::Stored => "stored",
        WaitArg::Delivered => "delivered",
        WaitArg::Read => "read",
    };
    let body = json!({
        "to": args.to,
        "text": text,
        "reply_to": args.reply_to,
        "wait": wait,
        "timeout_s": args.timeout,
    });
    let limit = Duration::from_secs(args.timeout).saturating_add(MARGIN);
    let answered = client.post_within("messages", &body, limit);
    if let Err(failure) = &answered
        && failure.exit == EXIT_TIMED_OUT
        && let Some(sent) = failure.detail.get("sent")
    {
        // The message is on its way: whoever waits by script gets its id all the same.
        if out.json {
            out.document(sent)?;
        }
        return Err(failure.clone());
    }
    let sent = answered?;
    let id = field(&sent, "id").to_owned();
    out.either(&sent, Msg::Sent, &[("id", &id), ("state", &word(out.lang, wait))])
}

/// `nudge`.
pub(super) fn nudge(client: &Client, out: &Out, user: &str) -> Result<(), Failure> {
    let sent = client.post("nudges", &json!({ "to": user }))?;
    out.either(&sent, Msg::Nudged, &[("user", user)])
}

/// A message as people read it: a line, or several for a text of several lines.
pub(super) fn shown(out: &Out, message: &Value) -> String {
    let lang = out.lang;
    let deleted = message.get("deleted").and_then(Value::as_bool) == Some(true);
    let text = match field(message, "kind") {
        _ if deleted => Msg::Deleted.text(lang).to_owned(),
        "text" => clean(field(message, "text")).replace('\n', "\n    "),
        "nudge" => Msg::Nudge.text(lang).to_owned(),
        "file" => {
            let size = message.pointer("/file/size").and_then(Value::as_u64).unwrap_or(0);
            let id: String = field(message, "id").chars().take(SHORT_ID).collect();
            let args = [
                ("id", id.as_str()),
                ("name", &clean_line(field(message, "text"))),
                ("size", &size_text(size)),
            ];
            let transfer = |key: &str| message.pointer(key).and_then(Value::as_str);
            let is = (transfer("/file/transfer/direction"), transfer("/file/transfer/state"));
            lang.say(
                if is == (Some("in"), Some("offered")) { Msg::FileToAccept } else { Msg::FileOffered },
                &args,
            )
        }
        _ => Msg::UnknownKind.text(lang).to_owned(),
    };
    let own = message.get("own").and_then(Value::as_bool) == Some(true);
    let state = if own { format!(" ({})", word(lang, field(message, "state"))) } else { String::new() };
    let author = match field(message, "author_name") {
        "" => format!("@{}", field(message, "author")),
        name => clean_line(name),
    };
    format!("{} {}: {text}{state}", local_time(field(message, "sent_at")), out.bold(&author))
}

fn show(out: &Out, messages: &Value) -> Result<(), Failure> {
    if out.json {
        return out.document(messages);
    }
    items(messages).try_for_each(|message| out.line(&shown(out, message)))
}

/// `history`.
pub(super) fn history(client: &Client, out: &Out, args: &HistoryArgs) -> Result<(), Failure> {
    let path = with_query(
        "history",
        &[
            ("to", Some(args.to.clone())),
            ("limit", args.limit.map(|limit| limit.to_string())),
            ("before", args.before.clone()),
        ],
    );
    let messages = client.get(&path)?;
    show(out, &messages)?;
    // A person has seen it; a program has not, unless it says so.
    let any = items(&messages).next().is_some();
    if any && (!out.json || args.mark_read) {
        client.post("read", &json!({ "to": args.to }))?;
    }
    Ok(())
}

/// `search`.
pub(super) fn search(
    client: &Client,
    out: &Out,
    query: String,
    within: Option<String>,
    limit: Option<usize>,
) -> Result<(), Failure> {
    let limit = limit.map(|limit| limit.to_string());
    let path = with_query("search", &[("query", Some(query)), ("in", within), ("limit", limit)]);
    show(out, &client.get(&path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offered_file_is_told_with_what_fetches_it() {
        let message = |direction: &str, state: &str| {
            let transfer = json!({ "direction": direction, "state": state });
            json!({
                "id": "abcdef0123456789", "kind": "file", "text": "a.pdf", "author_name": "bob",
                "file": { "size": 1536, "transfer": transfer },
            })
        };
        let told = |lang, message: &Value| shown(&Out::new(lang, false), message);
        let open = told(Lang::En, &message("in", "offered"));
        assert!(
            open.contains("* file abcdef01: a.pdf (1.5 KiB); `lanchat accept abcdef01` fetches it *"),
            "{open}"
        );
        assert!(told(Lang::ZhCn, &message("in", "offered")).contains("`lanchat accept abcdef01`"));
        for other in [message("in", "complete"), message("out", "offered")] {
            let told = told(Lang::En, &other);
            assert!(told.contains("* file abcdef01: a.pdf (1.5 KiB) *"), "{told}");
        }
    }
}
