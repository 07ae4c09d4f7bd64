//! Stories of several devices of one user, and of trust in them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is a failed story; each story breaks in its own way"
)]

mod stage;

use lanchat_node_core::Command;
use lanchat_node_core::output::{CommandError, Notice};
use lanchat_proto::certificate::DeviceChain;
use stage::{DiskMood, Stage};

/// Alice with one PC, Bob with two, the second one endorsed by the first; everybody linked.
fn three() -> (Stage, usize, usize, usize) {
    let mut stage = Stage::new();
    let (alice, desk) = (stage.pc(1, "alice"), stage.pc(2, "bob"));
    let certificate = stage.org.certificate("bob", 3);
    let chain = stage.org.second_chain("bob", 2, 3);
    let laptop = stage.pc_with(3, certificate, chain);
    stage.start(laptop);
    stage.connect(alice, desk);
    stage.connect(alice, laptop);
    stage.connect(desk, laptop);
    stage.settle();
    (stage, alice, desk, laptop)
}

/// Alice and Bob have talked; then Bob comes with a second device that nobody endorsed.
fn newcomer() -> (Stage, usize, usize, usize) {
    let mut stage = Stage::new();
    let (alice, desk) = (stage.pc(1, "alice"), stage.pc(2, "bob"));
    stage.connect(alice, desk);
    stage.settle();
    stage.says(alice, desk, "old secret");
    stage.says(desk, alice, "old answer");
    stage.settle();
    let certificate = stage.org.certificate("bob", 3);
    let laptop = stage.pc_with(3, certificate, DeviceChain::empty());
    stage.start(laptop);
    stage.connect(alice, laptop);
    stage.connect(desk, laptop);
    stage.settle();
    (stage, alice, desk, laptop)
}

#[test]
fn all_devices_get_what_is_sent_to_and_by_their_user() {
    let (mut stage, alice, desk, laptop) = three();
    stage.says(alice, desk, "to bob");
    stage.settle();
    stage.says(desk, alice, "from the desk");
    stage.settle();
    stage.says(laptop, alice, "from the laptop");
    stage.settle();
    for at in [alice, desk, laptop] {
        assert_eq!(stage.texts(at, alice, desk), ["to bob", "from the desk", "from the laptop"]);
        assert_eq!(stage.pcs[at].messages().len(), 3, "each told once");
    }
}

#[test]
fn one_device_passes_on_to_the_other_what_it_missed() {
    let (mut stage, alice, desk, laptop) = three();
    stage.crash(laptop);
    stage.settle();
    for n in 0..200 {
        stage.says(alice, desk, &n.to_string());
    }
    stage.settle();
    stage.cut(alice, laptop);
    stage.start(laptop);
    stage.connect(desk, laptop);
    stage.settle();
    assert_eq!(stage.texts(laptop, alice, desk).len(), 200);
    // New ones come by the same way, although their author is out of reach.
    stage.says(alice, desk, "relayed");
    stage.settle();
    assert_eq!(stage.texts(laptop, alice, desk).len(), 201);
}

#[test]
fn a_receipt_comes_back_by_way_of_the_other_device() {
    let (mut stage, alice, desk, laptop) = three();
    let certificate = stage.org.certificate("alice", 4);
    let chain = stage.org.second_chain("alice", 1, 4);
    let tablet = stage.pc_with(4, certificate, chain);
    stage.start(tablet);
    stage.connect(laptop, tablet);
    stage.settle();
    stage.crash(desk);
    stage.cut(laptop, tablet);
    stage.seconds(20);
    let request = stage.says(alice, desk, "for whoever is there");
    stage.settle();
    assert!(stage.delivered(alice, request), "any device of the user counts");
    // A second device of alice learns it from the first.
    stage.connect(alice, tablet);
    stage.settle();
    assert!(stage.texts(tablet, alice, laptop).len() == 1);
    let message = stage.pcs[tablet].disk.shown(&stage.conversation(alice, laptop))[0].message;
    assert!(!stage.pcs[tablet].disk.delivered_to(&message).is_empty());
}

#[test]
fn a_device_that_nobody_endorsed_is_announced_and_learns_nothing_of_the_past() {
    let (mut stage, alice, desk, laptop) = newcomer();
    let notice = Notice::UnendorsedDevice { user: stage.pcs[desk].user, device: stage.pcs[laptop].device() };
    assert_eq!(stage.pcs[alice].notices(), std::slice::from_ref(&notice));
    assert_eq!(stage.pcs[desk].notices(), [notice]);
    assert!(stage.texts(laptop, alice, desk).is_empty());
    let request = stage.says(alice, desk, "from now on");
    stage.settle();
    assert!(stage.delivered(alice, request));
    stage.says(desk, alice, "this too");
    stage.settle();
    assert_eq!(stage.texts(laptop, alice, desk), ["from now on", "this too"]);
    stage.says(laptop, alice, "hello from the new one");
    stage.settle();
    assert_eq!(stage.texts(alice, alice, desk).len(), 5);
}

#[test]
fn what_came_while_an_unendorsed_device_was_away_reaches_it_by_its_floor() {
    let (mut stage, alice, desk, laptop) = newcomer();
    stage.crash(laptop);
    stage.settle();
    for n in 0..200 {
        stage.says(alice, desk, &n.to_string());
    }
    stage.settle();
    stage.start(laptop);
    stage.connect(alice, laptop);
    stage.settle();
    assert_eq!(stage.texts(laptop, alice, desk).len(), 200);
}

#[test]
fn an_endorsement_by_the_first_device_is_kept_and_believed() {
    let (mut stage, alice, desk, laptop) = newcomer();
    let device = stage.pcs[laptop].device();
    let request = stage.command(desk, Command::Endorse { device });
    stage.settle();
    assert!(matches!(stage.answer(desk, request), Some(Ok(_))));
    assert_eq!(stage.pcs[laptop].disk.own().unwrap().1.len(), 2);
    let row = |at: usize| {
        let view = stage.view(at, desk).unwrap();
        view.devices.into_iter().find(|row| row.device == device).unwrap()
    };
    assert!(row(alice).endorsed && row(desk).endorsed);
    assert_eq!(stage.texts(laptop, alice, desk).len(), 2, "now it learns of the past too");
}

#[test]
fn a_device_that_is_endorsed_later_gets_what_was_said_before_it_came() {
    for mood in [DiskMood::Fine, DiskMood::Failing { written: false }, DiskMood::Blind] {
        let (mut stage, alice, desk, laptop) = newcomer();
        stage.says(alice, desk, "since then");
        stage.settle();
        assert_eq!(stage.texts(laptop, alice, desk), ["since then"]);
        let mut all = stage.texts(desk, alice, desk);
        stage.set_mood(laptop, mood);
        let device = stage.pcs[laptop].device();
        stage.command(desk, Command::Endorse { device });
        stage.run(stage::TICK * 20);
        stage.set_mood(laptop, DiskMood::Fine);
        stage.seconds(5);
        assert_eq!(stage.texts(laptop, alice, desk), all, "{mood:?}");
        all.push("and on".to_owned());
        let request = stage.says(alice, desk, "and on");
        stage.settle();
        assert_eq!(stage.texts(laptop, alice, desk), all);
        assert!(stage.delivered(alice, request));
        let told = stage.pcs[laptop].messages().len();
        assert_eq!(told, all.len(), "each told once");
    }
}

#[test]
fn a_device_can_be_accepted_by_the_other_side() {
    let (mut stage, alice, desk, laptop) = newcomer();
    let device = stage.pcs[laptop].device();
    stage.command(alice, Command::AcceptDevice { device });
    stage.settle();
    assert!(stage.texts(laptop, alice, desk).contains(&"old secret".to_owned()));
}

#[test]
fn only_an_endorsed_device_endorses_and_only_its_own_users() {
    let (mut stage, alice, desk, laptop) = newcomer();
    let mut endorse = |at: usize, whom: usize| {
        let device = stage.pcs[whom].device();
        let request = stage.command(at, Command::Endorse { device });
        match stage.answer(at, request) {
            Some(Err(error)) => error.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(endorse(laptop, desk), CommandError::NotEndorsed);
    assert_eq!(endorse(alice, desk), CommandError::NoSuchDevice);
    assert_eq!(endorse(desk, desk), CommandError::NoSuchDevice);
}
