//! How a command of the bench ends: with its figures, or with an error of one line.
//!
//! Keeps true: the stories' types, which panic when a story cannot go on, end a command as any error does. The panic of
//! anything else, a light device for one, is told as Rust tells it. Goes in: a command. Goes out: its end.

use crate::error::BenchError;
use std::panic::PanicHookInfo;
use std::sync::{Arc, OnceLock};

tokio::task_local! {
    /// Is set where the command itself runs. What a panic said there.
    static PANICKED: Arc<OnceLock<String>>;
}

/// Runs a command to its end. Blocking parts belong in [`tokio::task::block_in_place`], where a panic is still the
/// command's own.
///
/// # Errors
/// The command's own; [`BenchError::Unexpected`] with what a panic of it said and where.
pub async fn end_of<T: Send + 'static>(
    command: impl Future<Output = Result<T, BenchError>> + Send + 'static,
) -> Result<T, BenchError> {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let kept = PANICKED.try_with(|panicked| panicked.get_or_init(|| line_of(panic)).len());
        if kept.is_err() {
            usual(panic);
        }
    }));
    let panicked = Arc::<OnceLock<String>>::default();
    let done = tokio::spawn(PANICKED.scope(panicked.clone(), command)).await;
    match (done, panicked.get()) {
        (Ok(done), _) => done,
        (Err(error), Some(said)) if error.is_panic() => Err(BenchError::Unexpected(said.clone())),
        (Err(error), _) => Err(BenchError::Unexpected(format!("the measurement: {error}"))),
    }
}

/// What a panic says, in one line: a program's log can be part of it.
fn line_of(panic: &PanicHookInfo<'_>) -> String {
    let said = panic.payload_as_str().unwrap_or("a panic without words");
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let place = panic.location().map(|place| format!(" ({place})")).unwrap_or_default();
    lines.join("; ") + &place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_story_that_cannot_go_on_ends_as_one_line() {
        let command = async {
            tokio::task::yield_now().await;
            tokio::task::block_in_place(|| lanchat_tests::fail::fail("no ready line\n  its log: nothing\n"))
        };
        let error = end_of::<()>(command).await.unwrap_err().to_string();
        assert!(error.starts_with("no ready line; its log: nothing ("), "{error}");
        assert!(error.contains("command.rs:"), "{error}");
    }
}
