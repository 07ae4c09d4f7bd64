//! Waiting for something that a person would notice.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How often is looked.
const LOOK: Duration = Duration::from_millis(40);

/// What can be waited for: `true`, or `Some` value.
pub trait Seen {
    /// What is seen.
    type What;
    /// The thing, once it is there.
    fn seen(self) -> Option<Self::What>;
}

impl Seen for bool {
    type What = ();
    fn seen(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T: Debug> Seen for Option<T> {
    type What = T;
    fn seen(self) -> Option<T> {
        self
    }
}

/// Looks until it is there, and says how long it took to anybody who reads the test's output; on stderr, since stdout
/// belongs to what a command reports.
///
/// # Panics
/// When it is not there by the deadline.
#[track_caller]
#[expect(clippy::print_stderr, clippy::panic, reason = "stories tell and fail this way")]
pub fn within<S: Seen>(deadline: Duration, what: &str, mut look: impl FnMut() -> S) -> S::What {
    let begin = Instant::now();
    loop {
        if let Some(seen) = look().seen() {
            eprintln!("{:>6} ms: {what}", begin.elapsed().as_millis());
            return seen;
        }
        if begin.elapsed() > deadline {
            panic!("not within {} ms: {what}", deadline.as_millis());
        }
        std::thread::sleep(LOOK);
    }
}
