//! Logs: warnings to stderr, more to rotated files. Fields, never what people wrote.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::Path;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Log files kept, one a day.
const FILES: usize = 7;
/// The variable that changes what is logged, in the syntax of `tracing`.
const VARIABLE: &str = "LANCHAT_LOG";
/// What the files hold without it.
const DEFAULT: &str = "info,libp2p=warn,libp2p_swarm=warn,yamux=warn";

/// Keeps the log writer alive; what is queued is written when it is dropped.
pub struct Telemetry {
    _writer: Option<tracing_appender::non_blocking::WorkerGuard>,
}

/// Whether lines on stderr are coloured: for a person who has not said no, never in a file.
fn coloured(terminal: bool, no_color: Option<&OsStr>) -> bool {
    terminal && no_color.is_none_or(OsStr::is_empty)
}

/// Starts logging. A log directory that cannot be used costs the files, never the program.
#[must_use]
pub fn start(logs: &Path, file: &str) -> Telemetry {
    let filter = || EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let appender = std::fs::create_dir_all(logs).ok().and_then(|()| {
        tracing_appender::rolling::Builder::new()
            .rotation(tracing_appender::rolling::Rotation::DAILY)
            .filename_prefix(file)
            .filename_suffix("log")
            .max_log_files(FILES)
            .build(logs)
            .ok()
    });
    let (files, guard) = match appender {
        Some(appender) => {
            let (writer, guard) = tracing_appender::non_blocking(appender);
            let layer = fmt::layer().with_ansi(false).with_writer(writer).with_filter(filter());
            (Some(layer), Some(guard))
        }
        None => (None, None),
    };
    let colours = coloured(std::io::stderr().is_terminal(), std::env::var_os("NO_COLOR").as_deref());
    let stderr_filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new("error"));
    let stderr = fmt::layer().with_ansi(colours).with_writer(std::io::stderr).with_filter(stderr_filter);
    // A second start in one process (tests) keeps the first subscriber.
    drop(tracing_subscriber::registry().with(files).with(stderr).try_init());
    Telemetry { _writer: guard }
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
