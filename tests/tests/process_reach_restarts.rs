//! The coordinator restarts under an office where a third of the pairs talk through it. The long run is
//! `cargo run --release -p lanchat-tests --bin coordinator-restarts`.
#![cfg(target_os = "linux")]

use lanchat_tests::restarts::{BACK, restart_loop};

#[test]
fn everybody_is_back_after_each_restart_of_the_coordinator() {
    let report = restart_loop(2, 6);
    assert_eq!((report.restarts, report.pairs, report.relayed), (2, 15, 5));
    assert!(report.worst <= BACK);
}
