//! A coordinator and nodes as real programs: they find each other, talk, leave, and come back.

use lanchat_tests::{Office, within};
use serde_json::Value;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn three_people_see_each_other_and_a_message_is_delivered() {
    let office = Office::open();
    let everybody @ [alice, bob, _] = &office.people(["alice", "bob", "carol"]);
    for node in everybody {
        assert_eq!(node.stop(), Some(0));
    }
    for node in everybody {
        let ready = node.start();
        for key in ["user_id", "name", "peer_id", "ui"] {
            assert!(ready[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {ready}");
        }
        assert!(ready["listen"].as_array().is_some_and(|list| !list.is_empty()), "{ready}");
    }
    within(5 * SECOND, "everybody sees everybody, directly", || {
        everybody.iter().all(|a| everybody.iter().all(|b| a.name == b.name || a.sees(b)))
    });
    let sent = alice.send("bob", "hello 你好");
    let id = sent["id"].as_str().unwrap().to_owned();
    within(SECOND, "the message is in bob's history and delivered at alice's", || {
        bob.texts("alice") == ["hello 你好"] && alice.state("bob", &id) == "delivered"
    });
    let found = bob.cli(&["search", "你好", "--json"]).json();
    assert_eq!(found.as_array().map(Vec::len), Some(1), "{found}");
}

#[test]
fn a_clean_exit_is_seen_in_two_seconds_and_a_kill_in_twenty() {
    let office = Office::open();
    let [alice, bob, carol] = office.people(["alice", "bob", "carol"]);
    within(10 * SECOND, "alice sees both", || alice.sees(&bob) && alice.sees(&carol));
    assert_eq!(bob.stop(), Some(0));
    within(2 * SECOND, "bob is gone", || alice.misses(&bob) && carol.misses(&bob));
    carol.kill();
    within(20 * SECOND, "carol is gone", || alice.misses(&carol));
}

#[test]
fn the_coordinator_restarts_and_nothing_is_lost_meanwhile() {
    let office = Office::open();
    let [alice, bob] = office.people(["alice", "bob"]);
    within(10 * SECOND, "they see each other", || alice.sees(&bob) && bob.sees(&alice));
    office.kill();
    alice.send("bob", "the coordinator is down");
    within(2 * SECOND, "it arrives without a coordinator", || bob.texts("alice").len() == 1);
    assert!(alice.sees(&bob), "the link is untouched");
    office.start();
    let connected = |status: &Value| status["coordinator"]["state"] == "connected";
    within(10 * SECOND, "both are signed in again", || {
        [&alice, &bob].iter().all(|node| connected(&node.cli(&["status", "--json"]).json()))
    });
    assert!(alice.sees(&bob) && bob.sees(&alice));
    let online = office.admin(&["online", "--json"]).json();
    assert_eq!(online.as_array().map(Vec::len), Some(2), "{online}");
}

#[test]
fn what_was_written_while_the_other_was_away_arrives_once_and_in_order() {
    let office = Office::open();
    let [alice, bob] = office.people(["alice", "bob"]);
    within(10 * SECOND, "they see each other", || alice.sees(&bob));
    bob.kill();
    let lines: Vec<String> = (0..20).map(|n| format!("line {n}")).collect();
    for line in &lines {
        alice.send("bob", line);
    }
    bob.start();
    within(5 * SECOND, "all of it is there", || bob.texts("alice") == lines);
    within(5 * SECOND, "alice knows", || alice.history("bob").iter().all(|row| row["state"] == "delivered"));
}

#[test]
fn a_second_device_of_an_account_gets_both_sides() {
    let office = Office::open();
    let [alice, bob] = office.people(["alice", "bob"]);
    let mut laptop = office.node("laptop");
    laptop.start();
    laptop.name = "alice".to_owned();
    laptop.login(&office.join(), lanchat_tests::office::PASSWORD).ok();
    within(10 * SECOND, "bob sees two devices", || {
        bob.users().iter().any(|user| user["devices"].as_array().is_some_and(|list| list.len() == 2))
    });
    bob.send("alice", "to alice");
    alice.send("bob", "from alice");
    within(5 * SECOND, "the laptop has both", || laptop.texts("bob").len() == 2);
}
