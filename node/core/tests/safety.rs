//! Stories of safety codes: what two people compared, and what it is worth when somebody adds devices.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is a failed story; each story breaks in its own way"
)]

mod stage;

use lanchat_node_core::boot::LinkId;
use lanchat_node_core::output::{Answer, CommandError, Notice};
use lanchat_node_core::{Command, Input};
use lanchat_proto::certificate::{Act, DeviceChain, SafetyCode};
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::wire::link::Revocations;
use stage::{At, DiskMood, Stage};

/// What `at` is told of the code with the user of `other`.
fn code(stage: &mut Stage, at: At, other: At) -> Result<(SafetyCode, bool), CommandError> {
    let user = stage.pcs[other].user;
    let request = stage.command(at, Command::AskSafetyCode { user });
    match stage.answer(at, request).unwrap().clone()? {
        Answer::SafetyCode { code, verified } => Ok((code, verified)),
        other => panic!("{other:?}"),
    }
}

/// `at` marks the code with `other` as compared.
fn confirm(stage: &mut Stage, at: At, other: At) {
    let user = stage.pcs[other].user;
    let (code, _) = code(stage, at, other).unwrap();
    let request = stage.command(at, Command::ConfirmSafetyCode { user, code });
    stage.settle();
    assert!(matches!(stage.answer(at, request), Some(Ok(Answer::Done))));
}

fn is_verified(stage: &Stage, at: At, other: At) -> bool {
    stage.view(at, other).unwrap().verified
}

/// Alice and Bob, linked, have talked.
fn pair() -> (Stage, At, At) {
    let mut stage = Stage::new();
    let (alice, desk) = (stage.pc(1, "alice"), stage.pc(2, "bob"));
    stage.connect(alice, desk);
    stage.settle();
    stage.says(alice, desk, "old secret");
    stage.settle();
    (stage, alice, desk)
}

/// A further device of Bob's that only Alice is linked to. Returns her end of the link too.
fn newcomer(stage: &mut Stage, alice: At, desk: At, chain: DeviceChain) -> (At, LinkId) {
    let laptop = stage.pc_with(3, stage.org.certificate("bob", 3), chain);
    stage.cut(desk, laptop);
    stage.start(laptop);
    let (link, _) = stage.connect(alice, laptop);
    stage.settle();
    (laptop, link)
}

/// Kinds of frames that tell something of conversations.
fn told(stage: &Stage, at: At, link: LinkId) -> Vec<Kind> {
    let telling = [Kind::Heads, Kind::Entries, Kind::States];
    let sent = stage.pcs[at].sent_kinds(link).into_iter().flatten();
    sent.filter(|kind| telling.contains(kind)).collect()
}

#[test]
fn both_see_one_code_and_a_confirmed_one_is_kept() {
    let (mut stage, alice, desk) = pair();
    let (hers, verified) = code(&mut stage, alice, desk).unwrap();
    assert!(!verified && !is_verified(&stage, alice, desk));
    assert_eq!(code(&mut stage, desk, alice).unwrap().0, hers);
    confirm(&mut stage, alice, desk);
    assert!(is_verified(&stage, alice, desk) && !is_verified(&stage, desk, alice));
    assert_eq!(code(&mut stage, alice, desk).unwrap(), (hers, true));
    stage.crash(alice);
    stage.start(alice);
    assert!(is_verified(&stage, alice, desk), "it is on disk");
    let user = stage.pcs[desk].user;
    stage.command(alice, Command::ForgetSafetyCode { user });
    stage.settle();
    stage.crash(alice);
    stage.start(alice);
    assert!(!is_verified(&stage, alice, desk));
}

#[test]
fn there_is_no_code_with_oneself_with_nobody_or_from_a_device_that_is_not_endorsed() {
    let (mut stage, alice, desk) = pair();
    assert_eq!(code(&mut stage, alice, alice), Err(CommandError::Yourself));
    let stranger = stage.pc(9, "carol");
    assert_eq!(code(&mut stage, alice, stranger), Err(CommandError::NoSuchUser));
    let (laptop, _) = newcomer(&mut stage, alice, desk, DeviceChain::empty());
    assert_eq!(code(&mut stage, laptop, alice), Err(CommandError::NotEndorsed));
    // Somebody whose only device shows no chain.
    let pale = stage.pc_with(8, stage.org.certificate("dave", 8), DeviceChain::empty());
    stage.start(pale);
    stage.connect(alice, pale);
    stage.settle();
    assert_eq!(code(&mut stage, alice, pale), Err(CommandError::NoSafetyCode));
}

#[test]
fn a_code_that_is_not_the_one_of_now_is_not_confirmed() {
    let (mut stage, alice, desk) = pair();
    let (user, me) = (stage.pcs[desk].user, stage.pcs[alice].user);
    let root = stage.pcs[alice].device();
    let code = SafetyCode::of(&stage.realm(), (user, root), (me, root));
    let request = stage.command(alice, Command::ConfirmSafetyCode { user, code });
    assert!(matches!(stage.answer(alice, request), Some(Err(CommandError::CodeChanged))));
    assert!(!is_verified(&stage, alice, desk));
}

#[test]
fn an_unendorsed_device_of_a_verified_user_is_told_nothing_until_it_is_accepted() {
    let (mut stage, alice, desk) = pair();
    confirm(&mut stage, alice, desk);
    let (laptop, link) = newcomer(&mut stage, alice, desk, DeviceChain::empty());
    let (user, device) = (stage.pcs[desk].user, stage.pcs[laptop].device());
    let notices = [Notice::UnendorsedDevice { user, device }, Notice::NotVerified { user }];
    assert!(notices.iter().all(|notice| stage.pcs[alice].notices().contains(notice)));
    assert!(!is_verified(&stage, alice, desk));
    stage.says(alice, desk, "new secret");
    stage.settle();
    let request = stage.says(laptop, alice, "it is me");
    stage.settle();
    assert!(stage.texts(alice, alice, desk).contains(&"it is me".to_owned()), "what it writes is taken");
    assert!(!stage.delivered(laptop, request));
    assert_eq!(stage.texts(laptop, alice, desk), ["it is me"]);
    assert_eq!(told(&stage, alice, link), []);
    stage.command(alice, Command::AcceptDevice { device });
    stage.settle();
    assert_eq!(stage.texts(laptop, alice, desk), ["old secret", "new secret", "it is me"]);
    assert!(stage.delivered(laptop, request) && is_verified(&stage, alice, desk));
}

#[test]
fn it_does_not_get_from_the_other_devices_of_its_user_what_peers_withhold() {
    let (mut stage, alice, desk) = pair();
    confirm(&mut stage, alice, desk);
    let (laptop, _) = newcomer(&mut stage, alice, desk, DeviceChain::empty());
    stage.heal();
    stage.connect(desk, laptop);
    stage.settle();
    stage.says(alice, desk, "new secret");
    stage.says(desk, alice, "his own");
    stage.seconds(10);
    assert_eq!(stage.texts(laptop, alice, desk), ["his own"]);
    let device = stage.pcs[laptop].device();
    stage.command(desk, Command::Endorse { device });
    stage.settle();
    assert_eq!(stage.texts(laptop, alice, desk), ["old secret", "new secret", "his own"]);
}

#[test]
fn it_is_told_everything_once_an_older_device_endorses_it() {
    let (mut stage, alice, desk) = pair();
    confirm(&mut stage, alice, desk);
    let (laptop, _) = newcomer(&mut stage, alice, desk, DeviceChain::empty());
    stage.says(alice, desk, "new secret");
    stage.settle();
    stage.crash(laptop);
    stage.start(laptop);
    let (_, link) = stage.connect(laptop, alice);
    stage.settle();
    assert_eq!((stage.texts(laptop, alice, desk).len(), told(&stage, alice, link)), (0, vec![]));
    stage.heal();
    stage.connect(desk, laptop);
    stage.settle();
    let device = stage.pcs[laptop].device();
    stage.command(desk, Command::Endorse { device });
    stage.settle();
    assert_eq!(stage.texts(laptop, alice, desk), ["old secret", "new secret"]);
    assert!(is_verified(&stage, alice, desk));
    let request = stage.says(laptop, alice, "and back");
    stage.settle();
    assert!(stage.delivered(laptop, request));
}

#[test]
fn a_device_that_was_there_before_the_codes_were_compared_is_told_nothing_more() {
    let (mut stage, alice, desk) = pair();
    let (laptop, _) = newcomer(&mut stage, alice, desk, DeviceChain::empty());
    stage.says(alice, desk, "before");
    stage.settle();
    confirm(&mut stage, alice, desk);
    assert!(!is_verified(&stage, alice, desk), "one of his devices is nobody's");
    stage.says(alice, desk, "after");
    stage.settle();
    assert_eq!(stage.texts(laptop, alice, desk), ["before"]);
    // Taken back, it is as it was.
    let user = stage.pcs[desk].user;
    stage.command(alice, Command::ForgetSafetyCode { user });
    stage.settle();
    assert_eq!(stage.texts(laptop, alice, desk), ["before", "after"]);
}

#[test]
fn its_word_that_something_was_received_does_not_count() {
    let (mut stage, alice, desk) = pair();
    let (laptop, _) = newcomer(&mut stage, alice, desk, DeviceChain::empty());
    stage.crash(desk);
    stage.settle();
    stage.set_mood(laptop, DiskMood::Held);
    let request = stage.says(alice, desk, "for bob");
    stage.settle();
    confirm(&mut stage, alice, desk);
    stage.set_mood(laptop, DiskMood::Fine);
    stage.settle();
    assert!(!stage.delivered(alice, request));
    let device = stage.pcs[laptop].device();
    stage.command(alice, Command::AcceptDevice { device });
    stage.settle();
    assert!(stage.delivered(alice, request), "now it does, without being said again");
}

#[test]
fn chains_that_begin_anew_are_verified_only_after_they_were_accepted_and_compared() {
    let (mut stage, alice, desk) = pair();
    confirm(&mut stage, alice, desk);
    let (before, _) = code(&mut stage, alice, desk).unwrap();
    // All devices lost, or a coordinator that cheats: this one says that it is Bob's first.
    let chain = stage.org.first_chain("bob", 3);
    let (laptop, link) = newcomer(&mut stage, alice, desk, chain);
    assert!(!is_verified(&stage, alice, desk) && told(&stage, alice, link).is_empty());
    let (theirs, _) = code(&mut stage, laptop, alice).unwrap();
    assert_eq!(code(&mut stage, alice, desk).unwrap().0, before);
    assert_ne!(theirs, before, "comparing shows that something is wrong");
    let device = stage.pcs[laptop].device();
    stage.command(alice, Command::AcceptDevice { device });
    stage.settle();
    assert!(!stage.texts(laptop, alice, desk).is_empty() && !is_verified(&stage, alice, desk));
    for restarted in [false, true] {
        if restarted {
            stage.crash(alice);
            stage.start(alice);
        }
        assert_eq!(code(&mut stage, alice, desk).unwrap(), (theirs, false));
    }
    confirm(&mut stage, alice, desk);
    assert!(is_verified(&stage, alice, desk));
    let devices = stage.view(alice, desk).unwrap().devices;
    assert!(devices.iter().all(|device| device.endorsed), "the old one stays trusted");
}

#[test]
fn whoever_lost_all_devices_begins_a_chain_anew() {
    let (mut stage, alice, desk) = pair();
    confirm(&mut stage, alice, desk);
    stage.crash(desk);
    let (laptop, _) = newcomer(&mut stage, alice, desk, DeviceChain::empty());
    let device = stage.pcs[laptop].device();
    let request = stage.command(laptop, Command::Endorse { device });
    stage.settle();
    assert!(matches!(stage.answer(laptop, request), Some(Ok(Answer::Done))));
    assert_eq!(stage.pcs[laptop].disk.own().unwrap().1.len(), 1);
    assert!(stage.texts(laptop, alice, desk).is_empty(), "its own word opens nothing");
    stage.command(alice, Command::AcceptDevice { device });
    stage.settle();
    assert_eq!(code(&mut stage, alice, laptop).unwrap().0, code(&mut stage, laptop, alice).unwrap().0);
    confirm(&mut stage, alice, laptop);
    assert!(is_verified(&stage, alice, laptop));
    assert_eq!(stage.texts(laptop, alice, desk), ["old secret"]);
}

#[test]
fn a_device_that_was_logged_out_casts_no_doubt() {
    let (mut stage, alice, desk) = pair();
    confirm(&mut stage, alice, desk);
    let (laptop, _) = newcomer(&mut stage, alice, desk, DeviceChain::empty());
    assert!(!is_verified(&stage, alice, desk));
    let device = stage.pcs[laptop].device();
    let act = stage.org.act(Act::RevokeDevice { device, up_to_serial: 100 });
    let desks = stage.pcs[alice].sent.iter().map(|(link, _)| *link).min().unwrap();
    let acts = Revocations { anchor: stage.org.anchor(), acts: BoundedVec::first([act]) };
    let frame = Frame::new(Kind::Revocations, &acts).unwrap();
    stage.input(alice, Input::Frame { link: desks, frame });
    stage.settle();
    assert!(is_verified(&stage, alice, desk));
}

#[test]
fn a_confirmation_that_the_disk_did_not_take_is_tried_again_as_the_person_last_wished() {
    let (mut stage, alice, desk) = pair();
    let user = stage.pcs[desk].user;
    let (code, _) = code(&mut stage, alice, desk).unwrap();
    stage.set_mood(alice, DiskMood::Failing { written: false });
    let request = stage.command(alice, Command::ConfirmSafetyCode { user, code });
    stage.run(stage::TICK * 20);
    assert!(matches!(stage.answer(alice, request), Some(Err(CommandError::Store(_)))));
    stage.set_mood(alice, DiskMood::Fine);
    stage.seconds(10);
    stage.crash(alice);
    stage.start(alice);
    assert!(is_verified(&stage, alice, desk));
}
