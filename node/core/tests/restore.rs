//! Stories of disks that fail and of copies that went back in time.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is a failed story; each story breaks in its own way"
)]

mod stage;

use lanchat_node_core::output::{CommandError, Notice};
use stage::{DiskMood, Stage};

fn says_all(stage: &mut Stage, from: usize, to: usize, texts: &[&str]) {
    for text in texts {
        stage.says(from, to, text);
        stage.settle();
    }
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[test]
fn a_failed_write_is_told_and_its_number_is_used_again() {
    let (mut stage, alice, bob) = Stage::two();
    says_all(&mut stage, alice, bob, &["one"]);
    stage.set_mood(alice, DiskMood::Failing { written: false });
    let lost = stage.says(alice, bob, "lost");
    let behind = stage.says(alice, bob, "behind");
    stage.settle();
    for request in [lost, behind] {
        assert!(matches!(stage.answer(alice, request), Some(Err(CommandError::Store(_)))));
    }
    stage.set_mood(alice, DiskMood::Fine);
    let request = stage.says(alice, bob, "two");
    stage.settle();
    assert!(stage.delivered(alice, request));
    assert_eq!(stage.texts(bob, alice, bob), ["one", "two"]);
    let reason = "disk full".to_owned();
    assert_eq!(stage.pcs[alice].notices(), [Notice::StoreFailing { reason }, Notice::StoreRecovered]);
}

#[test]
fn a_failure_that_wrote_nevertheless_counts_as_written() {
    let (mut stage, alice, bob) = Stage::two();
    stage.set_mood(alice, DiskMood::Failing { written: true });
    let request = stage.says(alice, bob, "there after all");
    stage.settle();
    assert!(stage.is_sent(alice, request));
    stage.set_mood(alice, DiskMood::Fine);
    says_all(&mut stage, alice, bob, &["next"]);
    assert_eq!(stage.texts(bob, alice, bob), ["there after all", "next"]);
}

#[test]
fn a_disk_that_cannot_be_read_either_is_asked_again_later() {
    let (mut stage, alice, bob) = Stage::two();
    says_all(&mut stage, alice, bob, &["one"]);
    stage.set_mood(alice, DiskMood::Blind);
    let request = stage.says(alice, bob, "unknown");
    stage.run(stage::TICK * 5);
    assert!(matches!(stage.answer(alice, request), Some(Err(CommandError::Store(_)))));
    stage.set_mood(alice, DiskMood::Fine);
    let early = stage.says(alice, bob, "too early");
    assert!(matches!(stage.answer(alice, early), Some(Err(CommandError::Busy))));
    stage.settle();
    says_all(&mut stage, alice, bob, &["two"]);
    assert_eq!(stage.texts(bob, alice, bob), ["one", "two"]);
}

#[test]
fn a_receiver_whose_disk_fails_gets_it_again() {
    let (mut stage, alice, bob) = Stage::two();
    says_all(&mut stage, alice, bob, &["one"]);
    stage.set_mood(bob, DiskMood::Failing { written: false });
    let request = stage.says(alice, bob, "two");
    stage.run(stage::TICK * 3);
    stage.set_mood(bob, DiskMood::Fine);
    stage.settle();
    assert!(stage.delivered(alice, request));
    assert_eq!(stage.texts(bob, alice, bob), ["one", "two"]);
    assert_eq!(stage.pcs[bob].messages().len(), 2);
}

#[test]
fn an_old_copy_begins_a_new_epoch_and_gets_back_what_it_forgot() {
    let (mut stage, alice, bob) = Stage::two();
    says_all(&mut stage, alice, bob, &["1", "2"]);
    let copy = stage.pcs[alice].disk.clone();
    says_all(&mut stage, alice, bob, &["3", "4"]);
    stage.crash(alice);
    stage.pcs[alice].disk = copy;
    stage.start(alice);
    stage.connect(alice, bob);
    stage.settle();
    assert!(stage.pcs[alice].notices().contains(&Notice::RestoredFromOldCopy));
    says_all(&mut stage, alice, bob, &["5"]);
    assert_eq!(stage.texts(alice, alice, bob), ["1", "2", "3", "4", "5"]);
    assert_eq!(stage.texts(bob, alice, bob), ["1", "2", "3", "4", "5"]);
    assert_ne!(stage.pcs[alice].disk.epoch(), Some(lanchat_proto::ids::Epoch(1 << 8)));
}

#[test]
fn a_copy_from_before_the_first_word_is_found_out_too() {
    let (mut stage, alice, bob) = Stage::two();
    let copy = stage.pcs[alice].disk.clone();
    says_all(&mut stage, alice, bob, &["1"]);
    stage.crash(alice);
    stage.pcs[alice].disk = copy;
    stage.start(alice);
    stage.connect(alice, bob);
    stage.settle();
    assert!(stage.pcs[alice].notices().contains(&Notice::RestoredFromOldCopy));
    says_all(&mut stage, alice, bob, &["2"]);
    assert_eq!(stage.texts(bob, alice, bob), ["1", "2"]);
    assert_eq!(stage.texts(alice, alice, bob), ["1", "2"]);
}

/// Alice's copy goes back to two messages and then writes on before it meets anybody.
fn about_to_meet(mine: &[&str]) -> (Stage, usize, usize) {
    let (mut stage, alice, bob) = Stage::two();
    says_all(&mut stage, alice, bob, &["1", "2"]);
    let copy = stage.pcs[alice].disk.clone();
    says_all(&mut stage, alice, bob, &["3", "4"]);
    stage.crash(alice);
    stage.pcs[alice].disk = copy;
    stage.cut(alice, bob);
    stage.start(alice);
    says_all(&mut stage, alice, bob, mine);
    stage.heal();
    (stage, alice, bob)
}

fn forked(mine: &[&str]) -> (Stage, usize, usize) {
    let (mut stage, alice, bob) = about_to_meet(mine);
    stage.connect(alice, bob);
    stage.seconds(5);
    (stage, alice, bob)
}

#[test]
fn what_was_written_on_both_branches_reaches_everybody_once() {
    for mine in [&["a", "b"][..], &["a"], &["a", "b", "c", "d", "e"]] {
        let (mut stage, alice, bob) = forked(mine);
        let mut expected: Vec<String> =
            ["1", "2", "3", "4"].iter().chain(mine).map(ToString::to_string).collect();
        expected.sort();
        assert_eq!(sorted(stage.texts(alice, alice, bob)), expected, "alice, {} on her branch", mine.len());
        assert_eq!(sorted(stage.texts(bob, alice, bob)), expected, "bob, {} on her branch", mine.len());
        assert!(stage.pcs[alice].notices().contains(&Notice::RestoredFromOldCopy));
        assert_eq!(stage.pcs[alice].disk.branches().len(), mine.len());
        let request = stage.says(alice, bob, "afterwards");
        stage.settle();
        assert!(stage.delivered(alice, request));
        assert_eq!(stage.texts(bob, alice, bob), stage.texts(alice, alice, bob));
    }
}

#[test]
fn a_fork_is_mended_on_the_link_that_stays_when_another_goes_meanwhile() {
    for (moment, alice_dials) in (1..15).flat_map(|moment| [(moment, true), (moment, false)]) {
        let (mut stage, alice, bob) = about_to_meet(&["a", "b", "c"]);
        stage.connect(alice, bob);
        stage.run(stage::TICK * moment);
        // What was on its way is lost, and both learn only in time that the first link is dead.
        stage.moves(bob, "192.168.1.77:7420".parse().unwrap());
        let (from, to) = if alice_dials { (alice, bob) } else { (bob, alice) };
        stage.connect(from, to);
        stage.seconds(30);
        assert_eq!(stage.open_links(alice, bob), 1);
        for at in [alice, bob] {
            let texts = sorted(stage.texts(at, alice, bob));
            assert_eq!(texts, ["1", "2", "3", "4", "a", "b", "c"], "{at}, {moment} ms, {alice_dials}");
        }
        let request = stage.says(alice, bob, "afterwards");
        stage.settle();
        assert!(stage.delivered(alice, request), "{moment} ms, {alice_dials}");
    }
}

#[test]
fn a_fork_is_mended_by_a_colleague_who_stays_when_another_goes_meanwhile() {
    for moment in 1..15 {
        let (mut stage, alice, [desk, laptop]) = colleagues_with_the_other_branch();
        stage.connect(alice, desk);
        stage.connect(alice, laptop);
        stage.run(stage::TICK * moment);
        stage.crash(desk);
        stage.seconds(20);
        for at in [alice, laptop] {
            let texts = sorted(stage.texts(at, alice, laptop));
            assert_eq!(texts, ["1", "2", "3", "4", "x", "y", "z"], "{at}, after {moment} ms");
        }
    }
}

#[test]
fn a_fork_is_mended_when_a_colleague_who_went_meanwhile_is_back() {
    for moment in 1..15 {
        let (mut stage, alice, bob) = about_to_meet(&["a", "b", "c"]);
        stage.connect(alice, bob);
        stage.run(stage::TICK * moment);
        stage.crash(bob);
        stage.settle();
        stage.start(bob);
        stage.connect(bob, alice);
        stage.seconds(20);
        for at in [alice, bob] {
            let texts = sorted(stage.texts(at, alice, bob));
            assert_eq!(texts, ["1", "2", "3", "4", "a", "b", "c"], "{at}, after {moment} ms");
        }
    }
}

#[test]
fn a_fork_is_mended_when_the_disk_works_again() {
    let moods = [DiskMood::Failing { written: false }, DiskMood::Failing { written: true }, DiskMood::Blind];
    for (moment, mood) in (1..15).flat_map(|moment| moods.map(|mood| (moment, mood))) {
        let (mut stage, alice, bob) = about_to_meet(&["a", "b", "c"]);
        stage.connect(alice, bob);
        stage.run(stage::TICK * moment);
        stage.set_mood(alice, mood);
        stage.seconds(7);
        stage.set_mood(alice, DiskMood::Fine);
        stage.seconds(20);
        for at in [alice, bob] {
            let texts = sorted(stage.texts(at, alice, bob));
            assert_eq!(texts, ["1", "2", "3", "4", "a", "b", "c"], "{at}, after {moment} ms, {mood:?}");
        }
    }
}

/// Bob's desk and laptop hold four messages; alice's copy went back to two and then wrote on. Nobody is linked to her.
fn colleagues_with_the_other_branch() -> (Stage, usize, [usize; 2]) {
    let mut stage = Stage::new();
    let (alice, desk) = (stage.pc(1, "alice"), stage.pc(2, "bob"));
    let certificate = stage.org.certificate("bob", 3);
    let chain = stage.org.second_chain("bob", 2, 3);
    let laptop = stage.pc_with(3, certificate, chain);
    stage.start(laptop);
    for at in [desk, laptop] {
        stage.connect(alice, at);
    }
    stage.settle();
    says_all(&mut stage, alice, desk, &["1", "2"]);
    let copy = stage.pcs[alice].disk.clone();
    says_all(&mut stage, alice, desk, &["3", "4"]);
    stage.crash(alice);
    stage.pcs[alice].disk = copy;
    for at in [desk, laptop] {
        stage.cut(alice, at);
    }
    stage.start(alice);
    says_all(&mut stage, alice, desk, &["x", "y", "z"]);
    stage.heal();
    (stage, alice, [desk, laptop])
}

#[test]
fn two_colleagues_with_two_branches_both_get_everything() {
    let mut stage = Stage::new();
    let (alice, desk) = (stage.pc(1, "alice"), stage.pc(2, "bob"));
    let certificate = stage.org.certificate("bob", 3);
    let chain = stage.org.second_chain("bob", 2, 3);
    let laptop = stage.pc_with(3, certificate, chain);
    stage.start(laptop);
    for at in [desk, laptop] {
        stage.connect(alice, at);
    }
    stage.settle();
    says_all(&mut stage, alice, desk, &["1", "2"]);
    stage.crash(laptop);
    let copy = stage.pcs[alice].disk.clone();
    says_all(&mut stage, alice, desk, &["3", "4"]);
    stage.crash(desk);
    stage.crash(alice);
    stage.pcs[alice].disk = copy;
    stage.start(laptop);
    stage.start(alice);
    stage.connect(alice, laptop);
    stage.settle();
    says_all(&mut stage, alice, desk, &["x", "y", "z"]);
    stage.start(desk);
    for at in [alice, laptop] {
        stage.connect(desk, at);
    }
    stage.seconds(10);
    for at in [alice, desk, laptop] {
        assert_eq!(sorted(stage.texts(at, alice, desk)), ["1", "2", "3", "4", "x", "y", "z"], "{at}");
    }
}

#[test]
fn a_clock_that_ran_far_ahead_begins_a_new_epoch_when_it_is_put_right() {
    let (mut stage, alice, bob) = Stage::two();
    stage.crash(alice);
    stage.pcs[alice].skew = 3_600_000;
    stage.start(alice);
    stage.connect(alice, bob);
    stage.settle();
    says_all(&mut stage, alice, bob, &["from the future"]);
    stage.crash(alice);
    stage.pcs[alice].skew = 0;
    let before = stage.pcs[alice].disk.epoch();
    stage.start(alice);
    stage.connect(alice, bob);
    stage.settle();
    says_all(&mut stage, alice, bob, &["now"]);
    assert_ne!(stage.pcs[alice].disk.epoch(), before);
    let rows = stage.pcs[bob].disk.shown(&stage.conversation(alice, bob));
    assert_eq!(rows.len(), 2);
    assert!(rows[0].time < rows[1].time && rows[0].text.as_deref() == Some("now"));
    says_all(&mut stage, bob, alice, &["bob is not dragged along"]);
    assert_eq!(stage.texts(bob, alice, bob)[1], "bob is not dragged along");
}

#[test]
fn receipts_of_an_old_copy_with_a_slow_clock_count_again() {
    let (mut stage, alice, bob) = Stage::two();
    let copy = stage.pcs[bob].disk.clone();
    stage.crash(bob);
    stage.pcs[bob].skew = 200_000;
    stage.start(bob);
    stage.connect(alice, bob);
    stage.settle();
    says_all(&mut stage, alice, bob, &["1"]);
    stage.crash(bob);
    stage.pcs[bob].disk = copy;
    stage.pcs[bob].skew = 0;
    stage.start(bob);
    stage.connect(alice, bob);
    stage.settle();
    let request = stage.says(alice, bob, "2");
    stage.settle();
    assert!(stage.delivered(alice, request));
}

#[test]
fn a_counter_that_an_old_copy_uses_again_does_not_hide_its_receipt() {
    let (mut stage, alice, bob) = Stage::two();
    // A last stamp far ahead: every copy of this data counts on from there, whatever the time is.
    stage.crash(bob);
    stage.pcs[bob].skew = 3_600_000;
    stage.start(bob);
    stage.connect(alice, bob);
    stage.settle();
    says_all(&mut stage, bob, alice, &["from the future"]);
    stage.crash(bob);
    stage.pcs[bob].skew = 0;
    let copy = stage.pcs[bob].disk.clone();
    stage.start(bob);
    stage.connect(alice, bob);
    stage.settle();
    says_all(&mut stage, alice, bob, &["1"]);
    stage.crash(bob);
    stage.pcs[bob].disk = copy;
    let request = stage.says(alice, bob, "2");
    stage.settle();
    stage.start(bob);
    stage.connect(alice, bob);
    stage.settle();
    assert_eq!(stage.texts(bob, alice, bob).len(), 3);
    assert!(stage.delivered(alice, request));
}
