//! Why a figure was not taken. Each error ends as one line.

use std::io;
use std::time::Duration;

/// Why a figure was not taken.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A file, socket or process.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {} s", .after.as_secs())]
    TimedOut {
        /// What was waited for.
        what: String,
        /// For how long.
        after: Duration,
    },
    /// A program or peer did something else than it should.
    #[error("{0}")]
    Unexpected(String),
}

impl BenchError {
    /// For `map_err`: an I/O error with what was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// For `map_err`: another error with what was tried.
    pub fn failed<E: std::fmt::Display>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |error| Self::Unexpected(format!("{what}: {error}"))
    }
}
