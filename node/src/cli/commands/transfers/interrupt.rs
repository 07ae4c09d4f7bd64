//! Ctrl-C while somebody waits for files: the wait ends, and what goes on is said.

use crate::cli::complain;
use tokio::signal::ctrl_c;

/// Status of a program that Ctrl-C ended, as shells tell it.
const INTERRUPTED: i32 = 130;

/// From now on Ctrl-C clears the bars, says a line and ends the program. Where that cannot be had, it ends it in silence.
pub(super) fn tell(line: String, clear: impl FnOnce() + Send + 'static) {
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        if runtime.block_on(ctrl_c()).is_ok() {
            clear();
            complain(&line);
            std::process::exit(INTERRUPTED);
        }
    });
}
