//! Files: sending, what becomes of them, and what the user wants of them.
//!
//! Keeps true: nothing is offered before every path was looked at; bars are drawn on a terminal only, and never on
//! stdout.

mod bars;
mod interrupt;

use crate::api::error::{EXIT_FAILED, EXIT_TIMED_OUT};
use crate::cli::Failure;
use crate::cli::args::{FileWaitArg, SendFileArgs};
use crate::cli::client::{Client, escape};
use crate::cli::commands::{SHORT_ID, field, items, transfer_state};
use crate::cli::out::{Out, clean_line, size_text};
use crate::lang::{Lang, Msg, chinese_error, chinese_own_file_error, chinese_transfer_error, fill};
use bars::Bars;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Time that a file may take to be read before it is offered.
const READING: Duration = Duration::from_secs(24 * 3600);
/// Time between two looks at transfers that are drawn as bars.
const LOOK: Duration = Duration::from_millis(200);
/// Longest single wait for a transfer that is not drawn; it is waited for again.
const WAIT: Duration = Duration::from_secs(30);

fn number(transfer: &Value, name: &str) -> u64 {
    transfer.get(name).and_then(Value::as_u64).unwrap_or(0)
}

/// A path as an error of the API, said here before anything is offered.
fn path_error(lang: Lang, code: &str, path: &Path, reason: &str, english: &str) -> Failure {
    let path = path.display().to_string();
    let template = match lang {
        Lang::ZhCn => chinese_error(code).unwrap_or(english),
        Lang::En => english,
    };
    Failure::new(EXIT_FAILED, fill(template, &[("path", &path), ("reason", reason)]))
}

/// The absolute path of what can be sent.
fn checked(lang: Lang, path: &Path) -> Result<PathBuf, Failure> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            let english = "{path} is a folder; folders come later";
            Err(path_error(lang, "is_directory", path, "", english))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(path_error(lang, "no_such_file", path, "", "there is no file {path}"))
        }
        Err(error) => {
            let (reason, english) = (error.to_string(), "{path} cannot be read: {reason}");
            Err(path_error(lang, "file_unreadable", path, &reason, english))
        }
        Ok(_) => absolute(lang, path),
    }
}

/// A path as the API takes it: absolute, in Unicode.
fn absolute(lang: Lang, path: &Path) -> Result<PathBuf, Failure> {
    let path = std::path::absolute(path).map_err(|error| Failure::failed(error.to_string()))?;
    if path.to_str().is_none() {
        let (reason, english) = ("its path is not in Unicode", "{path} cannot be read: {reason}");
        return Err(path_error(lang, "file_unreadable", &path, reason, english));
    }
    Ok(path)
}

/// What `send-file` tells of a transfer.
fn brief(transfer: &Value) -> Value {
    let keys = ["id", "blob", "name", "size", "state", "error"];
    let pairs = keys.map(|key| (key.to_owned(), transfer.get(key).cloned().unwrap_or_default()));
    Value::Object(pairs.into_iter().collect())
}

/// `send-file`.
pub(super) fn send_file(client: &Client, out: &Out, args: &SendFileArgs) -> Result<(), Failure> {
    let paths = args.paths.iter().map(|path| checked(out.lang, path));
    let paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
    let mut transfers = Vec::with_capacity(paths.len());
    let offered = paths.iter().try_for_each(|path| {
        let body = json!({ "to": args.to, "path": path });
        transfers.push(watching(client, out.lang, path, || client.post_within("transfers", &body, READING))?);
        Ok(())
    });
    // What was offered before something went wrong is on its way all the same.
    let waited = offered.and_then(|()| match args.wait {
        FileWaitArg::Offered => Ok(()),
        FileWaitArg::Complete => wait(client, out, &mut transfers, args.timeout),
    });
    if out.json && (waited.is_ok() || !transfers.is_empty()) {
        out.document(&json!({ "transfers": transfers.iter().map(brief).collect::<Vec<_>>() }))?;
    } else if !out.json {
        tell_sent(out, args, &transfers)?;
    }
    waited?;
    match args.wait {
        FileWaitArg::Offered => Ok(()),
        FileWaitArg::Complete => all_complete(out.lang, &transfers),
    }
}

/// Does what lets the node read a file, and shows meanwhile how far that is.
fn watching<T>(client: &Client, lang: Lang, path: &Path, work: impl FnOnce() -> T) -> T {
    let Some(bar) = bars::reading() else { return work() };
    std::thread::scope(|scope| {
        let (end, ended) = mpsc::channel::<()>();
        scope.spawn(move || {
            while ended.recv_timeout(LOOK) == Err(mpsc::RecvTimeoutError::Timeout) {
                // Whoever cannot tell how far it is costs the bar, not the file.
                let readings = client.get("readings").unwrap_or_default();
                if let Some(reading) = items(&readings).find(|one| Some(field(one, "path")) == path.to_str())
                {
                    bar.draw(lang, path, reading);
                }
            }
        });
        let done = work();
        drop(end);
        done
    })
}

fn tell_sent(out: &Out, args: &SendFileArgs, transfers: &[Value]) -> Result<(), Failure> {
    for transfer in transfers {
        let (id, name) = (field(transfer, "id"), field(transfer, "name"));
        match args.wait {
            FileWaitArg::Offered => {
                out.say(Msg::Offered, &[("id", id), ("user", &args.to), ("name", name)])?
            }
            FileWaitArg::Complete => tell(out, transfer)?,
        }
    }
    Ok(())
}

fn is_over(transfer: &Value) -> bool {
    matches!(field(transfer, "state"), "complete" | "failed" | "cancelled" | "rejected")
}

/// Waits until all are over.
fn wait(client: &Client, out: &Out, transfers: &mut [Value], timeout: Option<u64>) -> Result<(), Failure> {
    // A time too far away to be written down is none.
    let deadline = timeout.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
    let bars = Bars::new(out.lang, transfers);
    interrupt::tell(out.lang.say(Msg::TransfersGoOn, &[]), bars.eraser());
    let step = if bars.is_drawn() { LOOK } else { WAIT };
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let mut patience = left.map_or(step, |left| left.min(step));
        for transfer in transfers.iter_mut().filter(|transfer| !is_over(transfer)) {
            let id = field(transfer, "id").to_owned();
            // The first that is not over is waited for; the others are looked at.
            let wait_ms = std::mem::take(&mut patience).as_millis();
            *transfer = client.get(&format!("transfers/{id}?wait_ms={wait_ms}"))?;
        }
        bars.draw(transfers);
        if transfers.iter().all(is_over) {
            return Ok(());
        }
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Failure::new(EXIT_TIMED_OUT, out.lang.say(Msg::TransfersTimedOut, &[])));
        }
    }
}

/// Exit code 1, with the names of those that did not arrive.
fn all_complete(lang: Lang, transfers: &[Value]) -> Result<(), Failure> {
    let failed = transfers.iter().filter(|transfer| field(transfer, "state") != "complete");
    let told: Vec<String> = failed.map(|transfer| not_done(lang, transfer)).collect();
    match told.as_slice() {
        [] => Ok(()),
        [one] if transfers.len() == 1 => Err(Failure::failed(one)),
        several => {
            let (count, all) = (several.len().to_string(), transfers.len().to_string());
            let args = [("count", count.as_str()), ("all", &all), ("names", &several.join("; "))];
            Err(Failure::failed(lang.say(Msg::TransfersNotDone, &args)))
        }
    }
}

/// What went wrong, in the person's language where it is known what.
fn reason(lang: Lang, transfer: &Value) -> &str {
    let english = field(transfer, "error");
    let code = field(transfer, "error_code");
    let own = if field(transfer, "direction") == "out" { chinese_own_file_error(code) } else { None };
    match lang {
        Lang::ZhCn => own.or_else(|| chinese_transfer_error(code)).unwrap_or(english),
        Lang::En => english,
    }
}

fn not_done(lang: Lang, transfer: &Value) -> String {
    let (name, state) = (field(transfer, "name"), transfer_state(lang, field(transfer, "state")));
    match reason(lang, transfer) {
        "" => lang.say(Msg::TransferNotDone, &[("name", name), ("state", &state)]),
        reason => {
            lang.say(Msg::TransferNotDoneBecause, &[("name", name), ("state", &state), ("reason", reason)])
        }
    }
}

fn tell(out: &Out, transfer: &Value) -> Result<(), Failure> {
    let state = transfer_state(out.lang, field(transfer, "state"));
    let (id, name) = (field(transfer, "id"), field(transfer, "name"));
    out.say(Msg::TransferIs, &[("id", id), ("state", &state), ("name", name)])
}

/// Hundredths that are done; an empty file is done when it is there.
fn percent(transfer: &Value) -> u64 {
    let (done, size) = (number(transfer, "done"), number(transfer, "size"));
    let part = u128::from(done) * 100 / u128::from(size.max(1));
    match field(transfer, "state") {
        "complete" => 100,
        _ => u64::try_from(part).unwrap_or(100),
    }
}

/// How fast bytes move; empty while none do.
fn rate_text(transfer: &Value) -> String {
    match number(transfer, "rate") {
        0 => String::new(),
        rate => format!("{}/s", size_text(rate)),
    }
}

/// Time left as a clock shows it; empty while it is not known.
fn left_text(transfer: &Value) -> String {
    let left = transfer.get("seconds_left").and_then(Value::as_u64);
    let clock = |seconds: u64| match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours @ 1..=99, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => ">99 h".to_owned(),
    };
    left.map(clock).unwrap_or_default()
}

fn with_whom(lang: Lang, transfer: &Value) -> String {
    let user = match field(transfer, "peer_name") {
        "" => format!("@{}", field(transfer, "peer")),
        name => name.to_owned(),
    };
    let direction = if field(transfer, "direction") == "in" { Msg::DirectionIn } else { Msg::DirectionOut };
    lang.say(direction, &[("user", &user)])
}

/// An event of `watch` about a transfer.
pub(super) fn told(out: &Out, transfer: &Value) -> String {
    let id: String = field(transfer, "id").chars().take(SHORT_ID).collect();
    let state = transfer_state(out.lang, field(transfer, "state"));
    let (direction, percent) = (with_whom(out.lang, transfer), percent(transfer).to_string());
    let size = size_text(number(transfer, "size"));
    let args = [
        ("id", id.as_str()),
        ("direction", &direction),
        ("name", field(transfer, "name")),
        ("size", &size),
        ("percent", &percent),
        ("state", &state),
    ];
    clean_line(&out.lang.say(Msg::WatchTransfer, &args))
}

/// `transfers`.
pub(super) fn list(client: &Client, out: &Out) -> Result<(), Failure> {
    let transfers = client.get("transfers")?;
    if out.json {
        return out.document(&transfers);
    }
    let row = |transfer: &Value| {
        let state = transfer_state(out.lang, field(transfer, "state"));
        let state = match reason(out.lang, transfer) {
            "" => state,
            reason => format!("{state} ({reason})"),
        };
        vec![
            field(transfer, "id").chars().take(SHORT_ID).collect(),
            with_whom(out.lang, transfer),
            field(transfer, "name").to_owned(),
            size_text(number(transfer, "size")),
            format!("{} %", percent(transfer)),
            rate_text(transfer),
            left_text(transfer),
            state,
        ]
    };
    let rows: Vec<_> = items(&transfers).map(row).collect();
    let header = [
        Msg::ColTransfer,
        Msg::ColPeer,
        Msg::ColFile,
        Msg::ColSize,
        Msg::ColDone,
        Msg::ColRate,
        Msg::ColLeft,
        Msg::ColState,
    ];
    out.table_fitting(&header, &rows, header.iter().position(|column| *column == Msg::ColFile))
}

fn done(out: &Out, transfer: &Value) -> Result<(), Failure> {
    if out.json { out.document(transfer) } else { tell(out, transfer) }
}

/// `accept`.
pub(super) fn accept(client: &Client, out: &Out, id: &str, to: Option<PathBuf>) -> Result<(), Failure> {
    let to = to.map(|to| absolute(out.lang, &to)).transpose()?;
    let path = format!("transfers/{}/accept", escape(id));
    done(out, &client.post(&path, &json!({ "to_dir": to }))?)
}

/// `reject`, `pause`, `resume`, `cancel`.
pub(super) fn act(client: &Client, out: &Out, id: &str, act: &str) -> Result<(), Failure> {
    done(out, &client.post(&format!("transfers/{}/{act}", escape(id)), &json!({}))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::out::width;

    #[test]
    fn what_did_not_arrive_is_told_by_name() {
        let transfer =
            |name: &str, state: &str, error: &str| json!({ "name": name, "state": state, "error": error });
        let whole = transfer("a", "complete", "");
        assert!(all_complete(Lang::En, std::slice::from_ref(&whole)).is_ok());
        let refused = transfer("b.txt", "rejected", "");
        let failure = all_complete(Lang::En, std::slice::from_ref(&refused)).unwrap_err();
        assert_eq!((failure.exit, failure.line.as_str()), (1, "b.txt: rejected"));
        let broken = transfer("c", "failed", "no room");
        let failure = all_complete(Lang::En, &[whole, refused, broken]).unwrap_err();
        let full = json!({ "name": "d", "state": "failed", "error": "gone", "error_code": "gone" });
        assert!(not_done(Lang::ZhCn, &full).contains("文件在发送方已不存在"));
        let own =
            json!({ "name": "d", "state": "failed", "error": "x", "error_code": "gone", "direction": "out" });
        assert!(not_done(Lang::ZhCn, &own).contains("（文件已不存在）"));
        assert_eq!(failure.line, "2 of 3 files did not arrive: b.txt: rejected; c: failed (no room)");
    }

    #[test]
    fn rate_and_time_left_are_told_when_they_are_known() {
        let of = |rate: u64, left: Option<u64>| {
            let transfer = json!({ "rate": rate, "seconds_left": left });
            (rate_text(&transfer), left_text(&transfer))
        };
        assert_eq!(of(0, None), (String::new(), String::new()));
        for (left, text) in [
            (0, "0:00"),
            (1, "0:01"),
            (61, "1:01"),
            (3599, "59:59"),
            (3600, "1:00:00"),
            (359_999, "99:59:59"),
            (360_000, ">99 h"),
            (u64::MAX, ">99 h"),
        ] {
            assert_eq!(of(1536, Some(left)), ("1.5 KiB/s".to_owned(), text.to_owned()), "{left}");
        }
    }

    fn running() -> Value {
        json!({
            "name": format!("{}.pdf", "长名字 long ".repeat(20)),
            "size": 5_u64 << 40, "done": (5_u64 << 40) - 1, "rate": 1_048_575, "seconds_left": 359_999,
            "state": "running",
        })
    }

    #[test]
    fn a_bar_takes_one_line_of_any_terminal() {
        for columns in 1..200 {
            for lang in [Lang::En, Lang::ZhCn] {
                let line = bars::line(lang, &running(), columns);
                assert!(width(&line) < columns.max(2), "{columns}: {line}");
            }
        }
        let line = bars::line(Lang::En, &running(), 40);
        assert!(line.contains("99 %") && line.contains("99:59:59") && line.ends_with(".pdf"), "{line}");
        let line = bars::line(Lang::En, &running(), 80);
        assert!(line.contains("1023.9 KiB/s") && line.ends_with(".pdf"), "{line}");
        let line = bars::line(Lang::En, &running(), 160);
        assert!(line.contains("4.9 TiB/5.0 TiB") && line.ends_with(".pdf"), "{line}");
    }

    #[test]
    fn a_bar_has_a_frame_from_the_beginning() {
        let of = |done: u64, state: &str| {
            let transfer = json!({ "name": "a.pdf", "size": 1000, "done": done, "rate": 0, "state": state });
            bars::line(Lang::En, &transfer, 80)
        };
        assert_eq!(of(0, "waiting"), "[            ]   0 % waiting a.pdf");
        assert_eq!(of(500, "running"), "[=====>      ]  50 % 500 B/1000 B a.pdf");
        assert_eq!(of(1000, "complete"), "[============] 100 % complete a.pdf");
    }

    #[test]
    fn a_file_that_is_read_shows_how_far_that_is() {
        let reading = json!({ "path": "/x/a.pdf", "done": 500, "size": 1000 });
        let line = |lang, columns| bars::reading_line(lang, Path::new("/x/a.pdf"), &reading, columns);
        assert_eq!(line(Lang::En, 80), "[=====>      ]  50 % 500 B/1000 B reading a.pdf");
        assert_eq!(line(Lang::ZhCn, 80), "[=====>      ]  50 % 500 B/1000 B 正在读取 a.pdf");
        assert!(width(&line(Lang::En, 40)) < 40);
        let reading = json!({ "path": "/x/a.pdf", "done": 7 << 20, "size": 700 << 20 });
        let line = bars::reading_line(Lang::En, Path::new("/x/a.pdf"), &reading, 40);
        assert!(line.ends_with("1 % reading a.pdf"), "the name is more than the bytes: {line}");
        // One that grows is not more than whole.
        let grown = json!({ "path": "/x/a.pdf", "done": 500, "size": 100 });
        assert!(bars::reading_line(Lang::En, Path::new("/x/a.pdf"), &grown, 80).contains("100 %"));
    }

    #[test]
    fn hundredths_do_not_overflow_and_nothing_is_whole_early() {
        let of = |done: u64, size: u64, state: &str| {
            percent(&json!({ "done": done, "size": size, "state": state }))
        };
        assert_eq!(of(0, 0, "running"), 0);
        assert_eq!(of(0, 0, "complete"), 100);
        assert_eq!(of(999, 1000, "running"), 99);
        assert_eq!(of(u64::MAX, u64::MAX, "running"), 100);
    }
}
