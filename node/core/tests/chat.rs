//! Stories of what is said: once, in order, on disk before it is called sent, delivered when it is there.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is a failed story; each story breaks in its own way"
)]

mod stage;

use lanchat_node_core::Command;
use lanchat_node_core::output::{Answer, CommandError, Event, Notice};
use lanchat_proto::frame::Kind;
use lanchat_proto::ids::UserId;
use stage::{DiskMood, Stage};

#[test]
fn what_is_said_arrives_once_in_order_and_is_delivered() {
    let (mut stage, alice, bob) = Stage::two();
    let sent: Vec<_> = (0..50).map(|n| stage.says(alice, bob, &format!("{n}"))).collect();
    stage.settle();
    let expected: Vec<String> = (0..50).map(|n| n.to_string()).collect();
    assert_eq!(stage.texts(alice, alice, bob), expected);
    assert_eq!(stage.texts(bob, alice, bob), expected);
    assert!(sent.iter().all(|request| stage.delivered(alice, *request)));
    assert_eq!(stage.pcs[bob].messages().len(), 50);
    assert_eq!(stage.pcs[alice].messages().len(), 50);
}

#[test]
fn an_answer_finds_its_way_back_and_both_see_one_order() {
    let (mut stage, alice, bob) = Stage::two();
    stage.says(alice, bob, "ping");
    stage.settle();
    stage.says(bob, alice, "pong");
    stage.settle();
    assert_eq!(stage.texts(alice, alice, bob), ["ping", "pong"]);
    assert_eq!(stage.texts(bob, alice, bob), ["ping", "pong"]);
}

#[test]
fn nothing_is_called_sent_nor_leaves_before_it_is_on_disk() {
    let (mut stage, alice, bob) = Stage::two();
    stage.set_mood(alice, DiskMood::Held);
    let request = stage.says(alice, bob, "not yet");
    stage.settle();
    assert!(stage.answer(alice, request).is_none());
    assert!(!stage.pcs[alice].sent.iter().any(|(_, frame)| frame.known() == Some(Kind::Entries)));
    stage.set_mood(alice, DiskMood::Fine);
    stage.settle();
    assert!(stage.is_sent(alice, request));
    assert!(stage.delivered(alice, request));
}

#[test]
fn nothing_is_called_delivered_before_it_is_on_the_other_disk() {
    let (mut stage, alice, bob) = Stage::two();
    stage.set_mood(bob, DiskMood::Held);
    let request = stage.says(alice, bob, "hello");
    stage.settle();
    assert!(stage.is_sent(alice, request) && !stage.delivered(alice, request));
    assert!(stage.pcs[bob].messages().is_empty());
    stage.set_mood(bob, DiskMood::Fine);
    stage.settle();
    assert!(stage.delivered(alice, request));
}

#[test]
fn whoever_was_away_catches_up_on_return() {
    let (mut stage, alice, bob) = Stage::two();
    stage.says(alice, bob, "before");
    stage.settle();
    stage.crash(bob);
    stage.settle();
    let sent: Vec<_> = (0..300).map(|n| stage.says(alice, bob, &format!("away {n}"))).collect();
    stage.settle();
    assert!(sent.iter().all(|request| stage.is_sent(alice, *request) && !stage.delivered(alice, *request)));
    stage.start(bob);
    stage.connect(bob, alice);
    stage.settle();
    assert_eq!(stage.texts(bob, alice, bob).len(), 301);
    assert_eq!(stage.texts(bob, alice, bob), stage.texts(alice, alice, bob));
    assert!(sent.iter().all(|request| stage.delivered(alice, *request)));
}

#[test]
fn a_crash_loses_only_what_was_not_called_sent() {
    let (mut stage, alice, bob) = Stage::two();
    let first = stage.says(alice, bob, "safe");
    stage.settle();
    stage.set_mood(alice, DiskMood::Held);
    let second = stage.says(alice, bob, "volatile");
    stage.settle();
    stage.crash(alice);
    stage.pcs[alice].mood = DiskMood::Fine;
    assert!(stage.is_sent(alice, first) && stage.answer(alice, second).is_none());
    stage.start(alice);
    stage.connect(alice, bob);
    stage.settle();
    stage.says(alice, bob, "after");
    stage.settle();
    assert_eq!(stage.texts(alice, alice, bob), ["safe", "after"]);
    assert_eq!(stage.texts(bob, alice, bob), ["safe", "after"]);
    assert!(!stage.pcs[alice].notices().contains(&Notice::RestoredFromOldCopy));
}

#[test]
fn a_receiver_that_crashes_before_its_disk_gets_it_again() {
    let (mut stage, alice, bob) = Stage::two();
    stage.set_mood(bob, DiskMood::Held);
    let request = stage.says(alice, bob, "again");
    stage.settle();
    stage.crash(bob);
    stage.pcs[bob].mood = DiskMood::Fine;
    stage.start(bob);
    stage.connect(bob, alice);
    stage.settle();
    assert_eq!(stage.texts(bob, alice, bob), ["again"]);
    assert!(stage.delivered(alice, request));
}

#[test]
fn reading_tells_the_author() {
    let (mut stage, alice, bob) = Stage::two();
    stage.says(alice, bob, "read me");
    stage.settle();
    let conversation = stage.conversation(alice, bob);
    let receipts = |stage: &Stage| {
        let event = |event: &Event| match event {
            Event::Receipt { user, received, read, .. } => Some((*user, *received, *read)),
            _ => None,
        };
        stage.pcs[alice].events.iter().filter_map(event).collect::<Vec<_>>()
    };
    let bobs = stage.pcs[bob].user;
    assert_eq!(receipts(&stage), [(bobs, 2, 0)]);
    stage.command(bob, Command::MarkRead { conversation });
    stage.command(bob, Command::MarkRead { conversation });
    stage.settle();
    assert_eq!(receipts(&stage).last(), Some(&(bobs, 2, 2)));
    stage.crash(bob);
    stage.start(bob);
    stage.connect(alice, bob);
    stage.settle();
    let entries = stage.pcs[alice].disk.shown(&conversation);
    assert_eq!(stage.pcs[alice].disk.receipts(&entries[0].log, &bobs)[0].read, 2);
}

#[test]
fn a_receipt_that_was_lost_on_the_way_comes_with_the_next_link() {
    let (mut stage, alice, bob) = Stage::two();
    let request = stage.says(alice, bob, "one");
    stage.run(std::time::Duration::from_millis(3));
    stage.cut(alice, bob);
    stage.seconds(20);
    assert!(!stage.delivered(alice, request));
    stage.heal();
    stage.connect(alice, bob);
    stage.settle();
    assert!(stage.delivered(alice, request));
}

#[test]
fn what_cannot_be_said_is_refused_with_its_reason() {
    let (mut stage, alice, bob) = Stage::two();
    let to = stage.pcs[bob].user;
    let mut refused = |to: UserId, text: &str| {
        let command = Command::SendText { to, text: text.to_owned(), reply_to: None };
        let request = stage.command(alice, command);
        match stage.answer(alice, request) {
            Some(Err(error)) => error.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(to, ""), CommandError::EmptyText);
    assert_eq!(refused(to, " \n\t"), CommandError::EmptyText);
    assert_eq!(refused(to, "a\u{0}b"), CommandError::TextCharacter(0));
    assert_eq!(refused(to, "a\u{7}b"), CommandError::TextCharacter(7));
    let long = "x".repeat(65_537);
    assert_eq!(refused(to, &long), CommandError::TextTooLong { len: 65_537, max: 65_536 });
    assert_eq!(refused(UserId([9; 16]), "hi"), CommandError::NoSuchUser);
    assert_eq!(refused(stage::org::user("alice"), "hi"), CommandError::Yourself);
    let fits = stage.says(alice, bob, &"长".repeat(21_845));
    let lines = stage.says(alice, bob, "two\r\n\tlines");
    stage.settle();
    assert!(stage.delivered(alice, fits) && stage.delivered(alice, lines));
}

#[test]
fn a_nudge_arrives_and_the_next_has_to_wait() {
    let (mut stage, alice, bob) = Stage::two();
    let to = stage.pcs[bob].user;
    let first = stage.command(alice, Command::Nudge { to });
    let second = stage.command(alice, Command::Nudge { to });
    stage.settle();
    assert!(stage.is_sent(alice, first));
    assert!(matches!(stage.answer(alice, second), Some(Err(CommandError::NudgeTooSoon(1..=10)))));
    assert_eq!(stage.pcs[bob].messages().len(), 1);
    stage.seconds(10);
    let third = stage.command(alice, Command::Nudge { to });
    stage.settle();
    assert!(stage.is_sent(alice, third));
}

#[test]
fn too_much_that_waits_for_the_disk_is_busy() {
    let (mut stage, alice, bob) = Stage::two();
    stage.set_mood(alice, DiskMood::Held);
    let requests: Vec<_> = (0..1025).map(|n| stage.says(alice, bob, &n.to_string())).collect();
    assert!(matches!(stage.answer(alice, requests[1024]), Some(Err(CommandError::Busy))));
    stage.set_mood(alice, DiskMood::Fine);
    stage.seconds(5);
    assert!(requests[..1024].iter().all(|request| stage.delivered(alice, *request)));
    assert_eq!(stage.texts(bob, alice, bob).len(), 1024);
}

#[test]
fn stopping_answers_whoever_waits_and_says_goodbye() {
    let (mut stage, alice, bob) = Stage::two();
    stage.set_mood(alice, DiskMood::Held);
    let request = stage.says(alice, bob, "late");
    stage.stop(alice);
    assert!(matches!(stage.answer(alice, request), Some(Err(CommandError::Stopping))));
    stage.run(stage::TICK * 5);
    assert!(!stage.is_shown_online(bob, alice));
    let sent = |request| matches!(stage.answer(alice, request), Some(Ok(Answer::Sent { .. })));
    assert!(!sent(request));
}
