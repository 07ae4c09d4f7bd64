//! Offered files, told as stories of the rules: who fetches when, over which link, and what both sides see of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test panics"
)]

mod stage;

use lanchat_node_core::boot::{AutoAccept, TransferState};
use lanchat_node_core::input::{FetchEnd, TransferAct};
use lanchat_node_core::output::{Answer, Change, FetchOrder};
use lanchat_node_core::view::FAILED_THERE;
use lanchat_node_core::view::TransferView;
use lanchat_node_core::{Command, Input};
use lanchat_proto::blob::BlobHash;
use lanchat_proto::codec::Text;
use lanchat_proto::entry::FileBody;
use lanchat_proto::ids::MessageId;
use lanchat_proto::time::Wall;
use lanchat_proto::wire::blob::BlobRefusal;
use stage::{At, DiskMood, Stage};

fn file(size: u64) -> FileBody {
    FileBody {
        name: Text::new("plan.pdf").unwrap(),
        size,
        media_type: Text::new("application/pdf").unwrap(),
        hash: BlobHash([7; 32]),
        changed: Wall(0),
    }
}

/// Alice offers bob a file; returns the offer.
fn offers(stage: &mut Stage, alice: At, bob: At, size: u64) -> MessageId {
    let to = stage.pcs[bob].user;
    let request = stage.command(alice, Command::OfferFile { to, file: file(size) });
    stage.settle();
    let Some(Ok(Answer::Sent { message, .. })) = stage.answer(alice, request) else {
        panic!("{:?}", stage.answer(alice, request))
    };
    *message
}

fn acts(stage: &mut Stage, at: At, offer: MessageId, act: TransferAct) -> bool {
    let request = stage.command(at, Command::Transfer { offer, act });
    stage.settle();
    stage.answer(at, request).unwrap().is_ok()
}

fn transfer(stage: &Stage, at: At) -> TransferView {
    let mut all = stage.pcs[at].core.as_ref().unwrap().transfers();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn state(stage: &Stage, at: At) -> TransferState {
    transfer(stage, at).stored.state
}

fn orders(stage: &Stage, at: At) -> Vec<FetchOrder> {
    stage.pcs[at].fetches.clone()
}

/// Alice, and bob's two devices, all linked.
fn three() -> (Stage, At, At, At) {
    let (mut stage, alice, desk) = Stage::two();
    let certificate = stage.org.certificate("bob", 3);
    let chain = stage.org.second_chain("bob", 2, 3);
    let laptop = stage.pc_with(3, certificate, chain);
    stage.start(laptop);
    stage.connect(alice, laptop);
    stage.connect(desk, laptop);
    stage.settle();
    (stage, alice, desk, laptop)
}

#[test]
fn an_offer_that_is_accepted_is_fetched_and_both_see_it_complete() {
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    assert_eq!((state(&stage, alice), state(&stage, bob)), (TransferState::Offered, TransferState::Offered));
    assert!(orders(&stage, bob).is_empty(), "nothing is fetched unasked");
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept));
    let [order] = &orders(&stage, bob)[..] else { panic!("one order") };
    assert_eq!((order.offer, order.file.size, order.relayed), (offer, 5, false));
    assert_eq!((state(&stage, alice), state(&stage, bob)), (TransferState::Waiting, TransferState::Running));
    let link = stage.link_to(alice, bob);
    let allowed = stage.pcs[alice].core.as_ref().unwrap().may_fetch(link, &order.open);
    assert_eq!(allowed.unwrap().offer, offer);
    stage.input(bob, Input::FetchEnded { offer, link: order.link, end: FetchEnd::Complete });
    stage.settle();
    assert_eq!(
        (state(&stage, alice), state(&stage, bob)),
        (TransferState::Complete, TransferState::Complete)
    );
    assert!(transfer(&stage, alice).outgoing && !transfer(&stage, bob).outgoing);
}

#[test]
fn nobody_else_may_fetch_and_nothing_else_than_what_is_offered() {
    let (mut stage, alice, bob) = Stage::two();
    let carol = stage.pc(3, "carol");
    stage.connect(alice, carol);
    let offer = offers(&mut stage, alice, bob, 5);
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept));
    let open = orders(&stage, bob)[0].open;
    let core = stage.pcs[alice].core.as_ref().unwrap();
    let may = |link, open| core.may_fetch(link, open).map(|_| ());
    assert_eq!(may(stage.link_to(alice, carol), &open), Err(BlobRefusal::NotOffered));
    let mut other = open;
    other.hash = BlobHash([8; 32]);
    assert_eq!(may(stage.link_to(alice, bob), &other), Err(BlobRefusal::NotOffered));
    assert_eq!(may(stage.link_to(alice, bob), &open), Ok(()));
}

#[test]
fn a_rejected_and_a_withdrawn_offer_are_over_on_both_sides_also_after_an_absence() {
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    assert!(acts(&mut stage, bob, offer, TransferAct::Reject));
    assert_eq!(
        (state(&stage, alice), state(&stage, bob)),
        (TransferState::Rejected, TransferState::Rejected)
    );

    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept));
    let open = orders(&stage, bob)[0].open;
    stage.crash(bob);
    stage.seconds(30);
    assert!(acts(&mut stage, alice, offer, TransferAct::Cancel));
    stage.start(bob);
    stage.connect(alice, bob);
    stage.settle();
    assert_eq!(
        (state(&stage, alice), state(&stage, bob)),
        (TransferState::Cancelled, TransferState::Cancelled)
    );
    assert_eq!(stage.pcs[bob].discarded, [offer]);
    let may = stage.pcs[alice].core.as_ref().unwrap().may_fetch(stage.link_to(alice, bob), &open);
    assert_eq!(may.map(|_| ()), Err(BlobRefusal::NotOffered));
}

#[test]
fn a_transfer_goes_on_after_a_crash_a_cut_and_a_pause() {
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept));
    stage.crash(bob);
    stage.start(bob);
    assert_eq!(state(&stage, bob), TransferState::Waiting);
    stage.connect(alice, bob);
    stage.settle();
    assert_eq!((state(&stage, bob), orders(&stage, bob).len()), (TransferState::Running, 2));
    let link = orders(&stage, bob)[1].link;
    stage.input(bob, Input::FetchEnded { offer, link, end: FetchEnd::Broken });
    stage.seconds(3);
    assert_eq!((state(&stage, bob), orders(&stage, bob).len()), (TransferState::Running, 3));
    assert!(acts(&mut stage, bob, offer, TransferAct::Pause));
    stage.seconds(60);
    assert_eq!((state(&stage, bob), orders(&stage, bob).len()), (TransferState::Paused, 3));
    assert!(acts(&mut stage, bob, offer, TransferAct::Resume));
    assert_eq!((state(&stage, bob), orders(&stage, bob).len()), (TransferState::Running, 4));
}

#[test]
fn what_the_sender_lets_go_on_goes_on_soon_unless_the_receiver_paused_it_too() {
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept));
    let held = |stage: &mut Stage| {
        assert!(acts(stage, alice, offer, TransferAct::Pause));
        let link = orders(stage, bob).last().unwrap().link;
        let end = FetchEnd::Refused(BlobRefusal::Paused);
        stage.input(bob, Input::FetchEnded { offer, link, end });
        assert_eq!(state(stage, bob), TransferState::Paused);
    };
    held(&mut stage);
    assert!(acts(&mut stage, alice, offer, TransferAct::Resume));
    stage.seconds(1);
    assert_eq!((state(&stage, bob), orders(&stage, bob).len()), (TransferState::Paused, 2));
    stage.pcs[bob].core.as_mut().unwrap().fetch_goes_on(&offer);
    assert_eq!(state(&stage, bob), TransferState::Running, "it is seen to run when something comes");
    held(&mut stage);
    assert!(acts(&mut stage, bob, offer, TransferAct::Pause));
    assert!(acts(&mut stage, alice, offer, TransferAct::Resume));
    stage.seconds(2);
    assert_eq!((state(&stage, bob), orders(&stage, bob).len()), (TransferState::Paused, 2));
}

#[test]
fn what_failed_can_be_tried_again_or_given_up_by_its_receiver() {
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept));
    let fail = |stage: &mut Stage| {
        let link = orders(stage, bob).last().unwrap().link;
        stage.input(bob, Input::FetchEnded { offer, link, end: FetchEnd::Failed("no name".to_owned()) });
        assert_eq!(state(stage, bob), TransferState::Failed);
    };
    fail(&mut stage);
    assert!(acts(&mut stage, bob, offer, TransferAct::Resume));
    assert_eq!((state(&stage, bob), orders(&stage, bob).len()), (TransferState::Running, 2));
    fail(&mut stage);
    assert!(acts(&mut stage, bob, offer, TransferAct::Cancel));
    assert_eq!(
        (state(&stage, alice), state(&stage, bob)),
        (TransferState::Cancelled, TransferState::Cancelled)
    );
    assert_eq!(stage.pcs[bob].discarded, [offer]);
}

#[test]
fn want_of_room_pauses_and_goes_on_by_itself_a_changed_source_fails() {
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept));
    let link = orders(&stage, bob)[0].link;
    stage.input(bob, Input::FetchEnded { offer, link, end: FetchEnd::NoRoom });
    assert_eq!(state(&stage, bob), TransferState::Paused);
    assert!(!transfer(&stage, bob).stored.error.is_empty());
    stage.seconds(20);
    assert_eq!(state(&stage, bob), TransferState::Paused, "it is tried again, and runs when something comes");
    let link = orders(&stage, bob)[1].link;
    stage.pcs[bob].core.as_mut().unwrap().fetch_goes_on(&offer);
    assert_eq!(state(&stage, bob), TransferState::Running);
    stage.input(bob, Input::FetchEnded { offer, link, end: FetchEnd::Refused(BlobRefusal::Changed) });
    assert_eq!(state(&stage, bob), TransferState::Failed);
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept), "a failed one may be tried again");
}

#[test]
fn its_sender_is_told_that_a_file_could_not_be_saved_and_that_it_is_tried_again() {
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept));
    let end = FetchEnd::Failed("it is read-only".to_owned());
    for again in [TransferAct::Resume, TransferAct::Accept] {
        let link = orders(&stage, bob).last().unwrap().link;
        stage.input(bob, Input::FetchEnded { offer, link, end: end.clone() });
        stage.settle();
        assert_eq!(
            (state(&stage, alice), state(&stage, bob)),
            (TransferState::Failed, TransferState::Failed)
        );
        assert_eq!(transfer(&stage, alice).stored.error, FAILED_THERE);
        for at in [alice, bob] {
            stage.crash(at);
            stage.start(at);
        }
        stage.connect(alice, bob);
        stage.settle();
        assert_eq!(
            (state(&stage, alice), state(&stage, bob)),
            (TransferState::Failed, TransferState::Failed)
        );
        assert!(acts(&mut stage, bob, offer, again));
        assert_eq!(
            (state(&stage, alice), state(&stage, bob)),
            (TransferState::Waiting, TransferState::Running)
        );
        assert!(transfer(&stage, alice).stored.error.is_empty());
    }
    let link = orders(&stage, bob).last().unwrap().link;
    stage.input(bob, Input::FetchEnded { offer, link, end: FetchEnd::Complete });
    stage.settle();
    assert_eq!(state(&stage, alice), TransferState::Complete);
}

#[test]
fn one_device_that_cannot_save_a_file_does_not_hide_that_another_wants_it() {
    let (mut stage, alice, desk, laptop) = three();
    let offer = offers(&mut stage, alice, desk, 5);
    stage.settle();
    for at in [desk, laptop] {
        assert!(acts(&mut stage, at, offer, TransferAct::Accept));
    }
    let fails = |stage: &mut Stage, at: At| {
        let link = orders(stage, at)[0].link;
        stage.input(at, Input::FetchEnded { offer, link, end: FetchEnd::Failed("no".to_owned()) });
        stage.settle();
    };
    fails(&mut stage, desk);
    assert_eq!(state(&stage, alice), TransferState::Waiting);
    fails(&mut stage, laptop);
    assert_eq!(state(&stage, alice), TransferState::Failed);
}

#[test]
fn what_has_no_room_may_go_elsewhere_and_what_was_rejected_may_be_withdrawn() {
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept));
    let link = orders(&stage, bob)[0].link;
    stage.input(bob, Input::FetchEnded { offer, link, end: FetchEnd::NoRoom });
    assert!(transfer(&stage, bob).can_be_accepted());
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept));
    assert_eq!((state(&stage, bob), orders(&stage, bob).len()), (TransferState::Running, 2));

    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    assert!(acts(&mut stage, bob, offer, TransferAct::Reject));
    assert!(acts(&mut stage, alice, offer, TransferAct::Cancel));
    assert_eq!(state(&stage, bob), TransferState::Cancelled);
    assert!(!acts(&mut stage, bob, offer, TransferAct::Accept));
}

#[test]
fn what_is_all_here_is_saved_while_its_sender_is_away() {
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept));
    let link = orders(&stage, bob)[0].link;
    stage.input(bob, Input::FileWhole { offer });
    stage.input(bob, Input::FetchEnded { offer, link, end: FetchEnd::NoRoom });
    stage.crash(alice);
    stage.seconds(60);
    assert_eq!(stage.pcs[bob].saves, [offer], "once, until that has an end");
    stage.input(bob, Input::SaveEnded { offer, end: FetchEnd::NoRoom });
    assert_eq!(state(&stage, bob), TransferState::Paused);
    assert!(!transfer(&stage, bob).stored.error.is_empty(), "the user is told what it waits for");
    stage.seconds(60);
    assert_eq!(stage.pcs[bob].saves.len(), 2);
    stage.input(bob, Input::SaveEnded { offer, end: FetchEnd::Failed("it is read-only".to_owned()) });
    assert_eq!(state(&stage, bob), TransferState::Failed);
    assert!(acts(&mut stage, bob, offer, TransferAct::Resume));
    assert_eq!(stage.pcs[bob].saves.len(), 3, "the user made room elsewhere");
    stage.input(bob, Input::SaveEnded { offer, end: FetchEnd::Complete });
    assert_eq!((state(&stage, bob), orders(&stage, bob).len()), (TransferState::Complete, 1));
    stage.start(alice);
    stage.connect(alice, bob);
    stage.settle();
    assert_eq!(state(&stage, alice), TransferState::Complete);
}

#[test]
fn what_a_program_left_whole_is_saved_by_the_next_and_fetched_again_if_it_is_damaged() {
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept));
    stage.crash(alice);
    stage.crash(bob);
    stage.start(bob);
    assert_eq!(stage.pcs[bob].saves, []);
    stage.input(bob, Input::FileWhole { offer });
    assert_eq!(stage.pcs[bob].saves, [offer]);
    stage.input(bob, Input::SaveEnded { offer, end: FetchEnd::Broken });
    stage.start(alice);
    stage.connect(alice, bob);
    stage.seconds(60);
    assert_eq!((stage.pcs[bob].saves.len(), orders(&stage, bob).len()), (1, 2));
    assert_eq!(state(&stage, bob), TransferState::Running);
}

#[test]
fn a_pause_holds_also_what_is_all_here() {
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept));
    assert!(acts(&mut stage, bob, offer, TransferAct::Pause));
    stage.input(bob, Input::FileWhole { offer });
    stage.seconds(60);
    assert_eq!(stage.pcs[bob].saves, []);
    assert!(acts(&mut stage, bob, offer, TransferAct::Resume));
    assert_eq!(stage.pcs[bob].saves, [offer], "nothing is asked of anybody");
    assert_eq!(orders(&stage, bob).len(), 1);
}

#[test]
fn small_files_of_starred_people_are_fetched_unasked() {
    let (mut stage, alice, bob) = Stage::two();
    let users = [stage.pcs[alice].user].into();
    stage.crash(bob);
    stage.pcs[bob].settings.auto_accept = AutoAccept::From(users);
    stage.pcs[bob].settings.auto_accept_max = 1000;
    stage.start(bob);
    stage.connect(alice, bob);
    stage.settle();
    let small = offers(&mut stage, alice, bob, 1000);
    offers(&mut stage, alice, bob, 1001);
    assert_eq!(orders(&stage, bob).iter().map(|order| order.offer).collect::<Vec<_>>(), [small]);
}

#[test]
fn who_sends_sees_it_run_even_before_the_word_that_it_is_wanted() {
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    stage.input(alice, Input::Serving { offer, now: true });
    assert_eq!(state(&stage, alice), TransferState::Running);
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept));
    assert_eq!(state(&stage, alice), TransferState::Running);
    stage.input(alice, Input::Serving { offer, now: false });
    assert_eq!(state(&stage, alice), TransferState::Waiting);
}

#[test]
fn a_changed_rule_counts_for_what_is_offered_from_then_on() {
    let (mut stage, alice, bob) = Stage::two();
    offers(&mut stage, alice, bob, 5);
    let whose = AutoAccept::From([stage.pcs[alice].user].into());
    let request = stage.command(bob, Command::SetAutoAccept { whose, max: 5 });
    stage.settle();
    assert!(matches!(stage.answer(bob, request), Some(Ok(Answer::Done))));
    assert_eq!(state(&stage, bob), TransferState::Offered, "what was asked before stays asked");
    let large = offers(&mut stage, alice, bob, 6);
    let small = offers(&mut stage, alice, bob, 5);
    let shown =
        |offer: &MessageId| stage.pcs[bob].core.as_ref().unwrap().transfer(offer).unwrap().stored.state;
    assert_eq!((shown(&large), shown(&small)), (TransferState::Offered, TransferState::Running));
}

#[test]
fn a_lost_source_is_told_at_its_sender_too_and_the_offer_can_be_withdrawn_or_go_on() {
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept));
    stage.input(alice, Input::SourceLost { offer, reason: BlobRefusal::Gone });
    assert_eq!(state(&stage, alice), TransferState::Failed);
    assert_eq!(transfer(&stage, alice).stored.error, BlobRefusal::Gone.to_string());
    stage.input(alice, Input::Serving { offer, now: true });
    assert_eq!(state(&stage, alice), TransferState::Running, "the file is there again");
    stage.input(alice, Input::SourceLost { offer, reason: BlobRefusal::Changed });
    assert!(acts(&mut stage, alice, offer, TransferAct::Cancel));
    assert_eq!(
        (state(&stage, alice), state(&stage, bob)),
        (TransferState::Cancelled, TransferState::Cancelled)
    );
}

#[test]
fn what_is_there_is_complete_on_both_sides_though_a_withdrawal_crossed_the_word() {
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept));
    let link = orders(&stage, bob)[0].link;
    stage.cut(alice, bob);
    stage.input(bob, Input::FetchEnded { offer, link, end: FetchEnd::Complete });
    assert!(acts(&mut stage, alice, offer, TransferAct::Cancel));
    assert_eq!(
        (state(&stage, alice), state(&stage, bob)),
        (TransferState::Cancelled, TransferState::Complete)
    );
    stage.seconds(30);
    stage.heal();
    stage.connect(alice, bob);
    stage.settle();
    assert_eq!(
        (state(&stage, alice), state(&stage, bob)),
        (TransferState::Complete, TransferState::Complete)
    );
}

#[test]
fn what_was_rejected_can_be_wanted_after_all_unless_it_was_withdrawn() {
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    assert!(acts(&mut stage, bob, offer, TransferAct::Reject));
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept));
    assert_eq!((state(&stage, alice), state(&stage, bob)), (TransferState::Waiting, TransferState::Running));

    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    stage.cut(alice, bob);
    assert!(acts(&mut stage, bob, offer, TransferAct::Reject));
    assert!(acts(&mut stage, alice, offer, TransferAct::Cancel));
    stage.seconds(30);
    stage.heal();
    stage.connect(alice, bob);
    stage.settle();
    assert_eq!(
        (state(&stage, alice), state(&stage, bob)),
        (TransferState::Cancelled, TransferState::Cancelled)
    );
    assert!(!acts(&mut stage, bob, offer, TransferAct::Accept));
}

#[test]
fn a_device_that_does_not_want_a_file_does_not_keep_it_from_another_of_its_user() {
    for first in [TransferAct::Reject, TransferAct::Cancel] {
        let (mut stage, alice, desk, laptop) = three();
        let offer = offers(&mut stage, alice, desk, 5);
        assert!(acts(&mut stage, desk, offer, first));
        assert_ne!(state(&stage, alice), TransferState::Offered);
        assert!(acts(&mut stage, laptop, offer, TransferAct::Accept));
        assert_eq!(state(&stage, alice), TransferState::Waiting);
        let order = orders(&stage, laptop)[0].clone();
        let link = stage.link_to(alice, laptop);
        let allowed = stage.pcs[alice].core.as_ref().unwrap().may_fetch(link, &order.open);
        assert_eq!(allowed.unwrap().offer, offer);
        stage.input(laptop, Input::FetchEnded { offer, link: order.link, end: FetchEnd::Complete });
        stage.settle();
        assert_eq!(state(&stage, alice), TransferState::Complete);
    }
}

#[test]
fn a_word_that_was_stored_counts_and_a_decision_is_said_whatever_a_crash_left_out() {
    // The word is on disk, what follows from it is not.
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    let offered = transfer(&stage, alice).stored;
    assert!(acts(&mut stage, bob, offer, TransferAct::Reject));
    stage.crash(alice);
    stage.pcs[alice].disk.apply(&[Change::Transfer(offered)]).unwrap();
    stage.start(alice);
    assert_eq!(state(&stage, alice), TransferState::Rejected);

    // What was decided is on disk, the word is not.
    let (mut stage, alice, bob) = Stage::two();
    offers(&mut stage, alice, bob, 5);
    let mut rejected = transfer(&stage, bob).stored;
    rejected.state = TransferState::Rejected;
    stage.crash(bob);
    stage.pcs[bob].disk.apply(&[Change::Transfer(rejected)]).unwrap();
    stage.start(bob);
    stage.connect(alice, bob);
    stage.settle();
    assert_eq!(state(&stage, alice), TransferState::Rejected);
}

#[test]
fn a_write_that_is_tried_again_does_not_bring_back_what_was_before() {
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    stage.set_mood(bob, DiskMood::Failing { written: false });
    stage.command(bob, Command::Transfer { offer, act: TransferAct::Accept });
    stage.run(std::time::Duration::from_millis(200));
    stage.set_mood(bob, DiskMood::Fine);
    let link = orders(&stage, bob)[0].link;
    stage.input(bob, Input::FetchEnded { offer, link, end: FetchEnd::Complete });
    stage.settle();
    stage.crash(bob);
    stage.start(bob);
    assert_eq!(state(&stage, bob), TransferState::Complete);
}

#[test]
fn a_place_that_gets_free_is_taken_also_by_what_waited_for_room_or_is_held_by_another() {
    let (mut stage, alice, bob) = Stage::two();
    let carol = stage.pc(3, "carol");
    stage.connect(carol, bob);
    stage.settle();
    let full = offers(&mut stage, alice, bob, 5);
    let four: Vec<MessageId> = (0..4).map(|_| offers(&mut stage, carol, bob, 5)).collect();
    assert!(acts(&mut stage, bob, full, TransferAct::Accept));
    let link = orders(&stage, bob)[0].link;
    stage.input(bob, Input::FetchEnded { offer: full, link, end: FetchEnd::NoRoom });
    for offer in &four {
        assert!(acts(&mut stage, bob, *offer, TransferAct::Accept));
    }
    stage.seconds(30);
    let tries = |stage: &Stage| orders(stage, bob).iter().filter(|order| order.offer == full).count();
    assert_eq!(tries(&stage), 1, "the four places are taken");
    // Whoever has the four is gone without a word.
    stage.crash(carol);
    stage.seconds(30);
    assert_eq!(tries(&stage), 2);
}

#[test]
fn what_was_taken_unasked_is_so_after_a_crash_too() {
    let (mut stage, alice, bob) = Stage::two();
    stage.crash(bob);
    stage.pcs[bob].settings.auto_accept = AutoAccept::All;
    stage.start(bob);
    stage.connect(alice, bob);
    stage.settle();
    let to = stage.pcs[bob].user;
    stage.command(alice, Command::OfferFile { to, file: file(5) });
    while orders(&stage, bob).is_empty() {
        stage.run(std::time::Duration::from_millis(1));
    }
    // Nothing is on disk yet but the offer.
    stage.crash(bob);
    stage.start(bob);
    stage.connect(alice, bob);
    stage.settle();
    assert_eq!((state(&stage, alice), state(&stage, bob)), (TransferState::Waiting, TransferState::Running));
}

#[test]
fn who_asks_is_told_of_a_withdrawal_once_it_is_stored() {
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    assert!(acts(&mut stage, bob, offer, TransferAct::Accept));
    let open = orders(&stage, bob)[0].open;
    stage.set_mood(alice, DiskMood::Held);
    stage.command(alice, Command::Transfer { offer, act: TransferAct::Cancel });
    let link = stage.link_to(alice, bob);
    let may = |stage: &Stage| stage.pcs[alice].core.as_ref().unwrap().may_fetch(link, &open).map(|_| ());
    assert_eq!(may(&stage), Err(BlobRefusal::Other), "it is asked for again later");
    stage.set_mood(alice, DiskMood::Fine);
    stage.settle();
    assert_eq!(may(&stage), Err(BlobRefusal::NotOffered));
}

#[test]
fn a_pause_that_was_overtaken_by_one_device_does_not_hold_up_another() {
    let (mut stage, alice, desk, laptop) = three();
    let offer = offers(&mut stage, alice, desk, 5);
    assert!(acts(&mut stage, desk, offer, TransferAct::Accept));
    assert!(acts(&mut stage, laptop, offer, TransferAct::Accept));
    assert!(acts(&mut stage, alice, offer, TransferAct::Pause));
    let order = orders(&stage, desk)[0].clone();
    stage.input(desk, Input::FetchEnded { offer, link: order.link, end: FetchEnd::Complete });
    stage.settle();
    assert_eq!(state(&stage, alice), TransferState::Complete);
    let link = stage.link_to(alice, laptop);
    let allowed = stage.pcs[alice].core.as_ref().unwrap().may_fetch(link, &orders(&stage, laptop)[0].open);
    assert_eq!(allowed.unwrap().offer, offer);
}

#[test]
fn who_sent_before_anybody_wanted_it_for_good_offers_it_again() {
    let (mut stage, alice, bob) = Stage::two();
    let offer = offers(&mut stage, alice, bob, 5);
    // Bob forgets in a crash that he accepted.
    stage.input(alice, Input::Serving { offer, now: true });
    stage.input(alice, Input::Serving { offer, now: false });
    assert_eq!((state(&stage, alice), state(&stage, bob)), (TransferState::Offered, TransferState::Offered));
}
