//! Stories on the real rules, told without a clock or a socket.

use lanchat_sim::World;
use lanchat_sim::net::OFFICE;
use lanchat_sim::pc::Standing;
use lanchat_sim::time::{MS, SECOND};

#[test]
fn two_people_find_each_other_and_talk() {
    let mut w = World::seeded(1);
    let [alice, bob] = w.cast(["alice", "bob"]);
    assert!(w.sees(alice, bob) && w.sees(bob, alice));
    w.says(alice, bob, "hello");
    w.says(bob, alice, "hello yourself");
    w.run_for(SECOND);
    assert_eq!(w.screen(alice), w.screen(bob));
    assert_eq!(w.screen(bob).len(), 2);
    assert_eq!(w.unsettled(), Vec::<String>::new());
    w.check();
}

#[test]
fn what_was_written_while_the_other_was_away_arrives_within_five_seconds_of_its_return() {
    let mut w = World::seeded(2);
    let [alice, bob] = w.cast(["alice", "bob"]);
    w.quit(bob);
    w.run_for(2 * SECOND);
    assert!(w.misses(alice, bob));
    for n in 0..200 {
        w.says(alice, bob, &format!("line {n}"));
    }
    w.run_for(60 * SECOND);
    w.start(bob);
    w.run_for(5 * SECOND);
    let expected: Vec<String> = (0..200).map(|n| format!("line {n}")).collect();
    assert_eq!(w.screen(bob), expected);
    w.settle();
    w.check();
}

#[test]
fn a_clean_goodbye_is_seen_within_two_seconds_and_a_pulled_cable_within_twenty() {
    let mut w = World::seeded(3);
    let [alice, bob, carol] = w.cast(["alice", "bob", "carol"]);
    w.quit(bob);
    w.run_for(1800 * MS);
    assert!(w.misses(alice, bob) && w.misses(carol, bob));
    assert!(w.sees(alice, carol));
    w.crash(carol, true);
    w.run_for(20 * SECOND);
    assert!(w.misses(alice, carol));
    w.heal();
    w.settle();
    w.check();
}

#[test]
fn the_coordinator_restarts_and_links_between_nodes_stay() {
    let mut w = World::seeded(4);
    let [alice, bob] = w.cast(["alice", "bob"]);
    let links = w.net.between(alice, bob);
    assert!(!links.is_empty());
    w.crash_office();
    w.says(alice, bob, "is the office closed?");
    w.run_for(20 * SECOND);
    assert_eq!(w.screen(bob), ["is the office closed?"]);
    assert!(w.sees(alice, bob), "an office that is down takes nobody's presence away");
    w.start_office();
    w.run_for(10 * SECOND);
    assert_eq!(w.net.between(alice, bob), links);
    w.settle();
    w.check();
}

#[test]
fn both_devices_get_what_is_sent_to_the_user_and_what_the_user_sends() {
    let mut w = World::seeded(5);
    let [alice, bob] = w.cast(["alice", "bob"]);
    let laptop = w.second_device(alice);
    w.says(bob, alice, "to both of you");
    w.says(laptop, bob, "from the laptop");
    w.run_for(2 * SECOND);
    for screen in [alice, bob, laptop] {
        assert_eq!(w.screen(screen).len(), 2);
    }
    w.settle();
    w.check();
}

#[test]
fn a_message_reaches_a_reader_whom_its_author_never_meets() {
    let mut w = World::seeded(6);
    let [alice, bob] = w.cast(["alice", "bob"]);
    let laptop = w.second_device(bob);
    w.crash(laptop, false);
    w.says(alice, bob, "for all your devices");
    w.run_for(2 * SECOND);
    w.quit(alice);
    w.start(laptop);
    w.run_for(6 * SECOND);
    assert_eq!(w.screen(laptop), ["for all your devices"]);
    w.heal();
    w.settle();
    w.check();
}

#[test]
fn a_disk_that_is_replaced_by_an_old_copy_loses_nothing_that_others_hold() {
    let mut w = World::seeded(7);
    let [alice, bob] = w.cast(["alice", "bob"]);
    w.says(alice, bob, "one");
    w.run_for(SECOND);
    w.backup(alice);
    w.says(alice, bob, "two");
    w.says(bob, alice, "three");
    w.run_for(SECOND);
    w.restore(alice);
    w.says(alice, bob, "four");
    w.settle();
    let mut bobs = w.screen(bob);
    bobs.sort();
    assert_eq!(bobs, ["four", "one", "three", "two"]);
    w.check();
}

#[test]
fn a_kicked_user_is_out_within_two_seconds_and_may_return() {
    let mut w = World::seeded(8);
    let [alice, bob, carol] = w.cast(["alice", "bob", "carol"]);
    w.expel(bob, false);
    w.run_for(2 * SECOND);
    assert!(!w.sees(alice, bob) && !w.sees(carol, bob));
    assert!(w.net.between(alice, bob).is_empty());
    w.run_for(30 * SECOND);
    assert!(!w.sees(alice, bob), "without the password there is no way back");
    w.log_in(bob);
    w.run_for(5 * SECOND);
    assert!(w.sees(alice, bob));
    w.says(bob, alice, "back again");
    w.settle();
    w.check();
}

#[test]
fn a_login_that_its_machine_did_not_live_to_see_the_end_of_undoes_no_later_one() {
    let mut w = World::seeded(8);
    let [alice, bob] = w.cast(["alice", "bob"]);
    w.freeze(bob, 30 * SECOND);
    w.expel(bob, false);
    w.log_in(bob);
    w.run_for(SECOND);
    w.crash(bob, true);
    w.start(bob);
    w.run_for(SECOND);
    w.expel(bob, false);
    w.log_in(bob);
    w.run_for(60 * SECOND);
    assert!(w.sees(alice, bob) && w.sees(bob, alice));
    w.settle();
    w.check();
}

#[test]
fn a_banned_user_stays_out_while_the_coordinator_is_down() {
    let mut w = World::seeded(9);
    let [alice, bob, carol] = w.cast(["alice", "bob", "carol"]);
    w.expel(bob, true);
    w.run_for(2 * SECOND);
    assert!(w.net.between(alice, bob).is_empty());
    w.crash_office();
    w.crash(bob, false);
    w.start(bob);
    w.says(bob, alice, "let me in");
    w.run_for(60 * SECOND);
    assert!(!w.sees(alice, bob) && !w.sees(carol, bob));
    assert!(w.screen(alice).is_empty());
    assert_eq!(w.pc(bob).map(|pc| pc.standing), Some(Standing::Banned));
    w.heal();
    w.settle();
    w.check();
}

#[test]
fn a_ban_reaches_those_who_were_cut_off_from_the_coordinator() {
    let mut w = World::seeded(10);
    let [alice, bob, carol] = w.cast(["alice", "bob", "carol"]);
    w.cut(carol, OFFICE);
    w.run_for(SECOND);
    w.expel(bob, true);
    w.run_for(10 * SECOND);
    assert!(w.net.between(carol, bob).is_empty(), "alice passes the list on");
    assert!(w.sees(alice, carol));
    w.check();
}

#[test]
fn a_full_disk_refuses_and_nothing_is_said_that_was_not_written() {
    let mut w = World::seeded(11);
    let [alice, bob] = w.cast(["alice", "bob"]);
    w.pcs.iter_mut().for_each(|pc| pc.failing = 100);
    for n in 0..5 {
        w.says(alice, bob, &format!("no room {n}"));
    }
    w.run_for(5 * SECOND);
    w.heal();
    w.says(alice, bob, "room again");
    w.settle();
    assert!(w.screen(bob).contains(&"room again".to_owned()));
    w.check();
}

#[test]
fn a_wrong_clock_neither_stops_nor_reorders_a_chat() {
    let mut w = World::seeded(12);
    let [alice, bob] = w.cast(["alice", "bob"]);
    for jump in [3_600_000, -7_200_000, 30 * 24 * 3_600_000_i64, -30 * 24 * 3_600_000] {
        w.jump_clock(alice, jump);
        w.says(alice, bob, &format!("after {jump}"));
        w.says(bob, alice, &format!("answer {jump}"));
        w.run_for(20 * SECOND);
    }
    w.settle();
    assert_eq!(w.screen(bob).len(), 8);
    w.check();
}
