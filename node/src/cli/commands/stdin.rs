//! What people type or pipe in: texts, passwords, answers. All bounded.

use crate::api::error::EXIT_USAGE;
use crate::cli::Failure;
use crate::lang::{Lang, Msg};
use std::io::{BufRead, IsTerminal, Read, Write};
use zeroize::Zeroizing;

/// Bytes of a text that are read at all, far more than may be sent: so that its length can be told.
const MAX_INPUT: u64 = 16 << 20;
/// Bytes of a password or passphrase with its line end.
const MAX_LINES: u64 = 16 * 1024;

fn cannot_read(lang: Lang, error: &std::io::Error) -> Failure {
    Failure::failed(lang.say(Msg::StdinFailed, &[("reason", &error.to_string())]))
}

/// Standard input as bytes, without the line end that `echo` adds; of more than [`MAX_INPUT`] only so many.
pub(super) fn bytes(lang: Lang) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(MAX_INPUT).read_to_end(&mut bytes);
    read.map_err(|error| cannot_read(lang, &error))?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Ok(bytes)
}

/// Bytes as a text.
pub(super) fn text(lang: Lang, bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|_| cannot_read(lang, &std::io::ErrorKind::InvalidData.into()))
}

/// The first `count` lines of standard input.
pub(super) fn lines(lang: Lang, count: usize) -> Result<Vec<Zeroizing<String>>, Failure> {
    let mut input = std::io::stdin().lock().take(MAX_LINES);
    let mut lines = Vec::with_capacity(count);
    for _ in 0..count {
        let mut line = Zeroizing::new(String::new());
        let read = input.read_line(&mut line).map_err(|error| cannot_read(lang, &error))?;
        if read == 0 {
            let count = count.to_string();
            return Err(Failure::new(EXIT_USAGE, lang.say(Msg::MissingLine, &[("lines", &count)])));
        }
        lines.push(Zeroizing::new(line.trim_end_matches(['\n', '\r']).to_owned()));
    }
    Ok(lines)
}

/// Asks for a secret on the terminal; `option` is what to give where there is none.
pub(super) fn secret(lang: Lang, question: Msg, option: &str) -> Result<Zeroizing<String>, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(EXIT_USAGE, lang.say(Msg::NoTerminal, &[("option", option)])));
    }
    let typed = rpassword::prompt_password(lang.say(question, &[]));
    typed.map(Zeroizing::new).map_err(|error| cannot_read(lang, &error))
}

/// Asks for a new secret twice.
pub(super) fn new_secret(lang: Lang, question: Msg, option: &str) -> Result<Zeroizing<String>, Failure> {
    let first = secret(lang, question, option)?;
    let second = secret(lang, Msg::AskAgain, option)?;
    if *first == *second { Ok(first) } else { Err(Failure::failed(lang.say(Msg::NotTheSame, &[]))) }
}

/// Asks a yes-or-no question on the terminal; `None` where there is none.
pub(super) fn confirm(question: &str) -> Option<bool> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    let mut stderr = std::io::stderr();
    write!(stderr, "{}", crate::cli::out::clean_line(question)).and_then(|()| stderr.flush()).ok()?;
    let mut answer = String::new();
    std::io::stdin().lock().take(MAX_LINES).read_line(&mut answer).ok()?;
    Some(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes" | "是" | "好"))
}
