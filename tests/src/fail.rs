//! How a story ends when it cannot go on.

use std::fmt::Display;

/// Fails the story with a line for whoever reads the test's output.
///
/// # Panics
/// Always.
#[track_caller]
#[expect(clippy::panic, reason = "stories fail this way")]
pub fn fail(why: impl Display) -> ! {
    panic!("{why}")
}

/// The value, or the end of the story with what was tried.
///
/// # Panics
/// When there is none.
#[track_caller]
pub fn must<T, E: Display>(result: Result<T, E>, what: impl Display) -> T {
    match result {
        Ok(value) => value,
        Err(error) => fail(format_args!("{what}: {error}")),
    }
}
