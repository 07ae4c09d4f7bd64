//! Logs: warnings to stderr, more to rotated files. Fields, never what people wrote.

use crate::limits::LOG_FILES;
use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::Path;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// The variable that changes what is logged, in the syntax of `tracing`.
const VARIABLE: &str = "LANCHAT_LOG";

/// Whether lines on stderr are coloured: for a person who has not said no, never in a file.
fn coloured(terminal: bool, no_color: Option<&OsStr>) -> bool {
    terminal && no_color.is_none_or(OsStr::is_empty)
}

/// Starts logging; what is queued is written when the guard is dropped. Without a log directory there are no files.
pub(super) fn start(logs: &Path) -> Option<tracing_appender::non_blocking::WorkerGuard> {
    let filter = |usual: &str| EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(usual));
    let appender = std::fs::create_dir_all(logs).ok().and_then(|()| {
        tracing_appender::rolling::Builder::new()
            .rotation(tracing_appender::rolling::Rotation::DAILY)
            .filename_prefix("coordinator")
            .filename_suffix("log")
            .max_log_files(LOG_FILES)
            .build(logs)
            .ok()
    });
    let (files, guard) = match appender.map(tracing_appender::non_blocking) {
        Some((writer, guard)) => {
            let layer = fmt::layer().with_ansi(false).with_writer(writer);
            (Some(layer.with_filter(filter("info,libp2p_swarm=warn"))), Some(guard))
        }
        None => (None, None),
    };
    let colours = coloured(std::io::stderr().is_terminal(), std::env::var_os("NO_COLOR").as_deref());
    let stderr = fmt::layer().with_ansi(colours).with_writer(std::io::stderr).with_filter(filter("error"));
    // A subscriber that is set already (a test's) stays.
    drop(tracing_subscriber::registry().with(files).with(stderr).try_init());
    guard
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_only() {
        let no = OsStr::new("1");
        assert!(coloured(true, None) && coloured(true, Some(OsStr::new(""))));
        assert!(!coloured(true, Some(no)) && !coloured(false, None) && !coloured(false, Some(no)));
    }
}
