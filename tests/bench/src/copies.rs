//! A file copied to this same machine by what people use, to compare with: plain TCP, TLS 1.3 over TCP, `scp`.
//!
//! Keeps true: each end is a process of its own; what is timed ends when the bytes are on the disk (our own copies; `scp`
//! does not wait for the disk); the processor time is that of both ends. Goes in: a file and where the copy goes. Goes out:
//! [`Copied`].
//!
//! - [`stream`]: both ends of a copy over TCP, plain or with TLS
//! - [`ssh`]: `scp` and the server that it needs

pub mod ssh;
pub mod stream;

use crate::error::BenchError;
use crate::memory::children_time;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a copy took.
#[derive(Clone, Copy, Debug)]
pub struct Copied {
    /// From its start until the copy is there.
    pub took: Duration,
    /// Processor time of both ends; `None` where the system does not tell.
    pub processor: Option<Duration>,
}

/// Times something that starts processes and waits for all of them.
///
/// # Errors
/// [`BenchError`]: its own, or the copy is not as long as the file.
pub(crate) fn timed(
    from: &Path,
    to: &Path,
    copy: impl FnOnce() -> Result<Duration, BenchError>,
) -> Result<Copied, BenchError> {
    let before = children_time();
    let took = copy()?;
    let processor = children_time().zip(before).map(|(after, before)| after.saturating_sub(before));
    let len = |path: &Path| std::fs::metadata(path).map_err(BenchError::io(path.display().to_string()));
    if len(from)?.len() != len(to)?.len() {
        return Err(BenchError::Unexpected(format!("{} is not the whole file", to.display())));
    }
    std::fs::remove_file(to).map_err(BenchError::io(to.display().to_string()))?;
    Ok(Copied { took, processor })
}

/// The time that something takes.
pub(crate) fn time<T>(job: impl FnOnce() -> Result<T, BenchError>) -> Result<Duration, BenchError> {
    let begin = Instant::now();
    job()?;
    Ok(begin.elapsed())
}
