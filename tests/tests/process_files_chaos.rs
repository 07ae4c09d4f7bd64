//! Interrupted transfers, a few. The long run is `tests/chaos-files`.
#![cfg(target_os = "linux")]

use lanchat_tests::files::chaos::file_loop;

#[test]
fn interrupted_transfers_end_whole_or_fail_by_name() {
    let report = file_loop(5, 7);
    assert_eq!(report.complete + report.failed, 5);
    assert!(report.complete >= 3, "{report:?}");
}
