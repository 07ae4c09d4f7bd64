//! Progress on a terminal: a bar for each transfer, on stderr, and nothing at all elsewhere.
//!
//! Keeps true: a bar takes one line, however narrow the terminal is now and however long a name.

use super::{left_text, number, percent, rate_text};
use crate::cli::commands::{field, transfer_state};
use crate::cli::out::{clean_line, columns, shorten, size_text, width};
use crate::lang::{Lang, Msg};
use console::Term;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use serde_json::Value;
use std::path::Path;

/// Columns of a terminal that does not tell how many it has.
const USUAL: usize = 80;
/// Columns that a name gets before the rate or the time left does.
const NAME: usize = 8;

/// A bar while a file is read before it is offered; gone when dropped.
pub(super) struct Reading(ProgressBar);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Reading {
    /// Draws how far a file is, as the API tells it.
    pub(super) fn draw(&self, lang: Lang, path: &Path, reading: &Value) {
        let columns = columns(&Term::stderr()).unwrap_or(USUAL);
        self.0.set_message(reading_line(lang, path, reading, columns));
    }
}

/// A bar for a file that is read, where somebody sees it. A file that is read at once is not drawn at all.
pub(super) fn reading() -> Option<Reading> {
    let bar = bar();
    (!bar.is_hidden()).then(|| Reading(bar))
}

/// How far the reading of a file is, as one line.
pub(super) fn reading_line(lang: Lang, path: &Path, reading: &Value, columns: usize) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let said = clean_line(&lang.say(Msg::ReadingFile, &[("name", &name)]));
    let sizes = [number(reading, "done"), number(reading, "size")].map(size_text).join("/");
    fitted(percent(reading), vec![sizes], &said, columns)
}

/// A bar for each transfer.
pub(super) struct Bars {
    lang: Lang,
    all: MultiProgress,
    bars: Vec<ProgressBar>,
}

impl Bars {
    pub(super) fn new(lang: Lang, transfers: &[Value]) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let bars = match all.is_hidden() {
            true => Vec::new(),
            false => transfers.iter().map(|_| all.add(bar())).collect(),
        };
        let bars = Self { lang, all, bars };
        bars.draw(transfers);
        bars
    }

    /// Whether somebody sees them.
    pub(super) fn is_drawn(&self) -> bool {
        !self.all.is_hidden()
    }

    /// What takes them off the terminal for good.
    pub(super) fn eraser(&self) -> impl FnOnce() + Send + 'static {
        let all = self.all.clone();
        move || {
            // A terminal that cannot be written to shows nothing anyway.
            drop(all.clear());
            all.set_draw_target(ProgressDrawTarget::hidden());
        }
    }

    /// Draws transfers, in the order in which they were given first, as they are now.
    pub(super) fn draw(&self, transfers: &[Value]) {
        if self.bars.is_empty() {
            return;
        }
        // The terminal may have another width by now.
        let columns = columns(&Term::stderr()).unwrap_or(USUAL);
        for (bar, transfer) in self.bars.iter().zip(transfers) {
            bar.set_message(line(self.lang, transfer, columns));
        }
    }
}

/// A line that [`line()`] made; it stays when it is over.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style).with_finish(ProgressFinish::Abandon)
}

/// A frame that is filled by so many hundredths.
fn frame(hundredths: u64, cells: usize) -> String {
    let part = usize::try_from(hundredths.min(100)).unwrap_or(100);
    let full = cells * part / 100;
    let head = if part > 0 && full < cells { ">" } else { "" };
    let filled = format!("{}{head}", "=".repeat(full.saturating_sub(head.len())));
    format!("[{filled:<cells$}] {:>5}", format!("{part} %"))
}

/// A transfer as one line of a terminal with so many columns; the last of them stays free, for some break the line there.
pub(super) fn line(lang: Lang, transfer: &Value, columns: usize) -> String {
    let state = field(transfer, "state");
    let sizes = [number(transfer, "done"), number(transfer, "size")].map(size_text).join("/");
    let told = match state {
        // What a narrow terminal has no room for goes first.
        "running" => vec![sizes, rate_text(transfer), left_text(transfer)],
        _ => vec![transfer_state(lang, state)],
    };
    fitted(percent(transfer), told, &clean_line(field(transfer, "name")), columns)
}

/// A bar, what is told of it as far as there is room, and a name.
fn fitted(hundredths: u64, mut told: Vec<String>, name: &str, columns: usize) -> String {
    let room = columns.saturating_sub(1);
    let cells = match columns {
        ..60 => 6,
        60..100 => 12,
        _ => 24,
    };
    let mut line = frame(hundredths, cells);
    told.retain(|word| !word.is_empty());
    let taken = |told: &[String]| told.iter().map(|word| width(word) + 1).sum::<usize>();
    let wanted = width(&line) + 1 + width(name).min(NAME);
    while !told.is_empty() && wanted + taken(&told) > room {
        told.remove(0);
    }
    for word in &told {
        line.push(' ');
        line.push_str(word);
    }
    if let Some(left) = room.checked_sub(width(&line) + 1) {
        line.push(' ');
        line.push_str(&shorten(name, left));
    }
    shorten(&line, room).trim_end().to_owned()
}
