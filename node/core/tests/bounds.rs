//! What a colleague cannot fill here: offers, what is left of them, words about nothing, and a link with all of that.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test panics"
)]

mod stage;

use lanchat_node_core::boot::TransferState;
use lanchat_node_core::input::TransferAct;
use lanchat_node_core::limits::{MAX_OVER, MAX_TRANSFERS, MAX_UNKNOWN_WORDS, STATES_AT_ONCE};
use lanchat_node_core::output::{Answer, CommandError};
use lanchat_node_core::view::TransferView;
use lanchat_node_core::{Command, Input};
use lanchat_proto::blob::BlobHash;
use lanchat_proto::codec::{BoundedVec, Text};
use lanchat_proto::entry::FileBody;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::MessageId;
use lanchat_proto::limits::MAX_STATES;
use lanchat_proto::state::{FileRecord, FileWord};
use lanchat_proto::time::{Hlc, Wall};
use lanchat_proto::wire::link::States;
use stage::{At, DiskMood, Stage};

/// Offers a file; the offer, or why not.
fn offers(stage: &mut Stage, from: At, to: At) -> Result<MessageId, CommandError> {
    let file = FileBody {
        name: Text::new("a").unwrap(),
        size: 5,
        media_type: Text::default(),
        hash: BlobHash([7; 32]),
        changed: Wall(0),
    };
    let to = stage.pcs[to].user;
    let request = stage.command(from, Command::OfferFile { to, file });
    stage.settle();
    match stage.answer(from, request).unwrap() {
        Ok(Answer::Sent { message, .. }) => Ok(*message),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.clone()),
    }
}

fn withdraws(stage: &mut Stage, at: At, offer: MessageId) {
    stage.command(at, Command::Transfer { offer, act: TransferAct::Cancel });
    stage.settle();
}

fn transfers(stage: &Stage, at: At) -> Vec<TransferView> {
    stage.pcs[at].core.as_ref().unwrap().transfers()
}

#[test]
fn offers_of_one_colleague_leave_room_for_those_of_others() {
    let (mut stage, alice, bob) = Stage::two();
    let carol = stage.pc(3, "carol");
    stage.connect(carol, bob);
    stage.settle();
    for _ in 0..MAX_TRANSFERS {
        offers(&mut stage, alice, bob).unwrap();
    }
    assert_eq!(offers(&mut stage, alice, bob), Err(CommandError::Busy));
    assert_eq!(transfers(&stage, bob).len(), MAX_TRANSFERS);
    offers(&mut stage, carol, bob).unwrap();
    assert_eq!(transfers(&stage, bob).len(), MAX_TRANSFERS + 1);
    offers(&mut stage, bob, alice).unwrap();
}

#[test]
fn an_offer_that_was_not_written_takes_no_room() {
    let (mut stage, alice, bob) = Stage::two();
    stage.set_mood(alice, DiskMood::Failing { written: false });
    for _ in 0..MAX_TRANSFERS {
        assert!(matches!(offers(&mut stage, alice, bob), Err(CommandError::Store(_))));
    }
    stage.set_mood(alice, DiskMood::Fine);
    stage.seconds(5);
    offers(&mut stage, alice, bob).unwrap();
}

#[test]
fn of_what_is_over_only_so_much_is_kept_also_on_disk() {
    let (mut stage, alice, bob) = Stage::two();
    let first = offers(&mut stage, alice, bob).unwrap();
    for _ in 0..MAX_OVER + 20 {
        let offer = offers(&mut stage, alice, bob).unwrap();
        withdraws(&mut stage, alice, offer);
    }
    let kept = |stage: &Stage, at: At| {
        let all = transfers(stage, at);
        let over = all.iter().filter(|row| row.stored.state == TransferState::Cancelled).count();
        assert!(all.iter().any(|row| row.stored.offer == first), "what goes on is not forgotten");
        assert_eq!(all.len(), over + 1);
        over
    };
    assert_eq!((kept(&stage, alice), kept(&stage, bob)), (MAX_OVER, MAX_OVER));
    stage.crash(bob);
    stage.start(bob);
    stage.connect(alice, bob);
    stage.settle();
    assert_eq!(kept(&stage, bob), MAX_OVER);
}

/// Words of a device about offers that nobody knows, as frames.
fn idle_talk(stage: &Stage, from: At, to: At, count: u32) -> Vec<Frame> {
    let conversation = stage.conversation(from, to);
    let pc = &stage.pcs[from];
    let words: Vec<_> = (0..count)
        .map(|number| {
            let mut offer = [0xee; 16];
            offer[..4].copy_from_slice(&number.to_be_bytes());
            let record = FileRecord {
                conversation,
                offer: MessageId(offer),
                device: pc.key.public(),
                user: pc.user,
                word: FileWord::Withdrawn,
                counter: 1,
                time: Hlc::at(Wall(1)),
            };
            record.sign(&stage.realm(), &pc.key).unwrap()
        })
        .collect();
    words
        .chunks(MAX_STATES)
        .map(|part| States { records: BoundedVec::new(part.to_vec()).unwrap() })
        .map(|states| Frame::new(Kind::States, &states).unwrap())
        .collect()
}

fn stored_words(stage: &Stage, at: At) -> usize {
    stage.pcs[at].disk.stored().states.len()
}

#[test]
fn words_about_nothing_are_not_kept_without_end() {
    let (mut stage, alice, bob) = Stage::two();
    offers(&mut stage, alice, bob).unwrap();
    let before = stored_words(&stage, bob);
    let link = stage.link_to(bob, alice);
    for frame in idle_talk(&stage, alice, bob, 6000) {
        stage.input(bob, Input::Frame { link, frame });
    }
    stage.settle();
    let kept = stored_words(&stage, bob) - before;
    assert!((1..=MAX_UNKNOWN_WORDS).contains(&kept), "{kept}");
    let offer = offers(&mut stage, alice, bob).unwrap();
    withdraws(&mut stage, alice, offer);
    let state =
        transfers(&stage, bob).into_iter().find(|row| row.stored.offer == offer).unwrap().stored.state;
    assert_eq!(state, TransferState::Cancelled, "what is said of something counts all the same");
}

#[test]
fn many_words_reach_who_lacks_them_though_not_all_at_once() {
    let (mut stage, alice, bob) = Stage::two();
    let said = STATES_AT_ONCE * 3 / 2;
    stage.crash(bob);
    for _ in 0..said {
        let offer = offers(&mut stage, alice, bob).unwrap();
        withdraws(&mut stage, alice, offer);
    }
    stage.start(bob);
    stage.connect(alice, bob);
    stage.seconds(2);
    let cancelled = |row: &TransferView| row.stored.state == TransferState::Cancelled;
    assert_eq!(transfers(&stage, bob).iter().filter(|row| cancelled(row)).count(), said);
}
