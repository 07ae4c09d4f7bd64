//! Progress on a terminal: a bar for each transfer, on stderr, and nothing at all elsewhere.

use super::{left_text, rate_text};
use crate::cli::commands::{field, transfer_state};
use crate::cli::out::clean_line;
use crate::lang::Lang;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::Value;
use std::fmt::Write;
use std::time::Duration;

/// Time between two turns of what shows that something is being done.
const TURN: Duration = Duration::from_millis(100);

/// A line while a file is read before it is offered; gone when dropped.
pub(super) struct Reading(ProgressBar);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Shows that a file is being read.
pub(super) fn reading(line: &str) -> Reading {
    // Hidden by itself where stderr is no terminal.
    let bar = ProgressBar::new_spinner().with_message(line.to_owned());
    if !bar.is_hidden() {
        bar.enable_steady_tick(TURN);
    }
    Reading(bar)
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
            false => transfers.iter().map(|transfer| all.add(bar(transfer))).collect(),
        };
        let bars = Self { lang, all, bars };
        bars.draw(transfers);
        bars
    }

    /// Whether somebody sees them.
    pub(super) fn is_drawn(&self) -> bool {
        !self.all.is_hidden()
    }

    /// Draws transfers, in the order in which they were given first, as they are now.
    pub(super) fn draw(&self, transfers: &[Value]) {
        for (bar, transfer) in self.bars.iter().zip(transfers) {
            let number = |name: &str| transfer.get(name).and_then(Value::as_u64).unwrap_or(0);
            let state = field(transfer, "state");
            let told = match state {
                "running" => [rate_text(transfer), left_text(transfer)].join(" ").trim().to_owned(),
                _ => transfer_state(self.lang, state),
            };
            bar.set_position(number("done"));
            bar.set_message(format!("{} {told}", clean_line(field(transfer, "name"))));
            if matches!(state, "complete" | "failed" | "cancelled" | "rejected") {
                bar.abandon();
            }
        }
    }
}

fn bar(transfer: &Value) -> ProgressBar {
    let size = transfer.get("size").and_then(Value::as_u64).unwrap_or(0);
    let template = "{bar:24} {hundredths:>4} {binary_bytes}/{binary_total_bytes} {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let hundredths = |state: &ProgressState, to: &mut dyn Write| {
        // An empty file has no part that is done.
        let part = u128::from(state.pos()) * 100 / u128::from(state.len().unwrap_or(0).max(1));
        // A line that cannot be written is not drawn; the next one is.
        write!(to, "{part}%").unwrap_or_default();
    };
    ProgressBar::new(size).with_style(style.with_key("hundredths", hundredths).progress_chars("=> "))
}
