//! Kicked users are out and may return, banned ones may not, also while the coordinator is down.

use lanchat_tests::office::PASSWORD;
use lanchat_tests::{Office, within};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_kicked_user_is_out_within_two_seconds_and_returns_with_the_password() {
    let office = Office::open();
    let [alice, bob] = office.people(["alice", "bob"]);
    within(10 * SECOND, "they see each other", || alice.sees(&bob));
    office.admin(&["kick", "bob"]).ok();
    within(2 * SECOND, "bob is out", || alice.misses(&bob));
    bob.login(&office.join(), PASSWORD).ok();
    within(10 * SECOND, "bob is back", || alice.sees(&bob) && bob.sees(&alice));
}

#[test]
fn a_banned_user_stays_out_also_while_the_coordinator_is_down() {
    let office = Office::open();
    let [alice, bob] = office.people(["alice", "bob"]);
    within(10 * SECOND, "they see each other", || alice.sees(&bob));
    office.admin(&["ban", "bob"]).ok();
    within(2 * SECOND, "bob is out", || alice.misses(&bob));
    bob.login(&office.join(), PASSWORD).fails_with(4);
    office.kill();
    bob.kill();
    bob.start();
    // Ten seconds of trying would do for a link that is let in: one is up within a second elsewhere in these stories.
    let end = std::time::Instant::now() + 10 * SECOND;
    while std::time::Instant::now() < end {
        assert!(alice.misses(&bob));
    }
    office.start();
    office.admin(&["unban", "bob"]).ok();
    bob.login(&office.join(), PASSWORD).ok();
    within(10 * SECOND, "bob is back", || alice.sees(&bob));
}
