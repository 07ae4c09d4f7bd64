//! The kill loop, short. The long one is `tests/chaos-kill`.

use lanchat_tests::chaos::kill_loop;

#[test]
fn ten_kills_lose_double_and_disorder_nothing() {
    let report = kill_loop(10, 7);
    assert!(report.stored > 10, "{report:?}");
}
