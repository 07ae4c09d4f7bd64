//! Stories of members and coordinators that lie: nobody panics, loses what was said or is talked into anything.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is a failed story; each story breaks in its own way"
)]

mod stage;

use lanchat_node_core::Input;
use lanchat_node_core::boot::LinkId;
use lanchat_node_core::output::Notice;
use lanchat_proto::codec::{BoundedVec, Text};
use lanchat_proto::entry::{Descriptor, Draft, Entry, EntryKind, LogEnd, WireEntry};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{ConversationId, DeviceId, EntryHash, Epoch, LogId, MessageId};
use lanchat_proto::time::{Hlc, Wall};
use lanchat_proto::wire::coordinator::{Announcement, Change, Delta, DirectoryMark, OnlineDevice, Snapshot};
use lanchat_proto::wire::link::{Acknowledge, Entries, Head, Heads, Hello};
use stage::org::{key, user};
use stage::{DAWN, Stage};

/// A member's device with the key 66, which the story plays, is let in by a PC. Its clock says `time`.
fn let_in(stage: &mut Stage, at: usize, name: &str, time: Wall) -> LinkId {
    let hello = Hello {
        realm: stage.realm(),
        versions: BoundedVec::first([1]),
        certificate: stage.org.certificate(name, 66),
        chain: stage.org.first_chain(name, 66),
        epoch: Epoch(1),
        revocations: BoundedVec::empty(),
        time,
    };
    let link = stage.stranger(at, key(66).public(), false);
    say(stage, at, link, Frame::new(Kind::Hello, &hello).unwrap());
    assert!(stage.pcs[at].admitted.contains(&link));
    link
}

fn say(stage: &mut Stage, at: usize, link: LinkId, frame: Frame) {
    stage.input(at, Input::Frame { link, frame });
    stage.run(stage::TICK * 5);
}

fn entries(conversation: ConversationId, wires: impl IntoIterator<Item = WireEntry>) -> Entries {
    Entries { conversation, entries: BoundedVec::first(wires) }
}

fn head(device: DeviceId, epoch: Epoch, number: u64, floor: u64) -> Head {
    let (hash, floor_hash) = (EntryHash([7; 32]), EntryHash([7; 32]));
    Head { device, epoch, number, hash, floor_number: floor, floor_hash }
}

fn heads(conversation: ConversationId, list: &[Head], last: bool) -> Heads {
    Heads { conversation, heads: BoundedVec::first(list.to_vec()), answer: true, last }
}

fn last_acknowledged(stage: &Stage, at: usize, link: LinkId) -> Option<u64> {
    let sent = stage.pcs[at].sent.iter().rev();
    let mut acks = sent.filter(|(id, frame)| *id == link && frame.known() == Some(Kind::Acknowledge));
    let ack: Acknowledge = acks.next()?.1.decode().unwrap();
    ack.heads.first().map(|head| head.number)
}

#[test]
fn an_entry_that_was_stripped_of_its_body_is_not_taken() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.pc(1, "alice"), stage.pc(2, "bob"));
    stage.connect(alice, bob);
    stage.settle();
    stage.says(alice, bob, "one");
    stage.settle();
    stage.crash(bob);
    let request = stage.says(alice, bob, "two");
    stage.settle();
    stage.start(bob);
    let conversation = stage.conversation(alice, bob);
    let log = LogId { conversation, device: stage.pcs[alice].device(), epoch: Epoch(1 << 8) };
    let mut wires: Vec<WireEntry> =
        stage.pcs[alice].disk.load(&log, 3, 9, 9999).into_iter().map(|(_, wire)| wire).collect();
    wires.iter_mut().for_each(|wire| wire.body = None);
    assert_eq!(wires.len(), 1);
    let link = let_in(&mut stage, bob, "bob", DAWN);
    say(&mut stage, bob, link, Frame::new(Kind::Entries, &entries(conversation, wires)).unwrap());
    assert_eq!(last_acknowledged(&stage, bob, link), Some(2));
    assert_eq!(stage.texts(bob, alice, bob), ["one"]);
    stage.connect(alice, bob);
    stage.settle();
    assert_eq!(stage.texts(bob, alice, bob), ["one", "two"]);
    assert!(stage.delivered(alice, request));
}

#[test]
fn the_largest_numbers_of_a_peer_do_no_harm() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.pc(1, "alice"), stage.pc(2, "bob"));
    let max = u64::MAX;
    let link = let_in(&mut stage, alice, "mallory", Wall(max));
    let descriptor = Descriptor::direct(user("alice"), user("mallory"));
    let conversation = descriptor.id(&stage.realm()).unwrap();
    let (mine, hers) = (key(66).public(), stage.pcs[alice].device());
    stage.command(
        alice,
        lanchat_node_core::Command::SendText { to: user("mallory"), text: "hello".into(), reply_to: None },
    );
    stage.run(stage::TICK * 5);
    for floor in [max, max - 1, 0] {
        for last in [false, true] {
            let list = [head(mine, Epoch(1), max, floor), head(hers, Epoch(1 << 8), max, floor)];
            say(&mut stage, alice, link, Frame::new(Kind::Heads, &heads(conversation, &list, last)).unwrap());
        }
        for number in [1, 2, max - 1, max] {
            let log = LogId { conversation, device: mine, epoch: Epoch(1) };
            let draft = Draft {
                realm: stage.realm(),
                log,
                time: Hlc(max),
                kind: EntryKind::Text,
                message: MessageId([9; 16]),
                salt: [0; 16],
                content: b"x".to_vec(),
            };
            let end = LogEnd { number: number - 1, hash: EntryHash([7; 32]), time: Hlc(0) };
            let entry = Entry::write(draft, &end, &key(66)).unwrap();
            say(
                &mut stage,
                alice,
                link,
                Frame::new(Kind::Entries, &entries(conversation, [entry.wire])).unwrap(),
            );
        }
        let list = [head(hers, Epoch(1 << 8), max, max)];
        let ack = Acknowledge { conversation, heads: BoundedVec::first(list) };
        say(&mut stage, alice, link, Frame::new(Kind::Acknowledge, &ack).unwrap());
        stage.settle();
    }
    stage.crash(alice);
    stage.start(alice);
    stage.connect(alice, bob);
    stage.settle();
    let request = stage.says(alice, bob, "still here");
    stage.settle();
    assert!(stage.delivered(alice, request));
}

#[test]
fn the_largest_numbers_of_the_coordinator_do_no_harm() {
    let mut stage = Stage::new();
    let alice = stage.dark_pc(1, "alice");
    stage.start_in_office(alice);
    stage.settle();
    let link = *stage.coordinator.links.keys().next().unwrap();
    let (run, max) = (stage.coordinator.run, u64::MAX);
    let offline = Change::Offline { device: key(9).public(), last_seen: Wall(max) };
    let text = Text::new("the end").unwrap();
    let mark = DirectoryMark { generation: max, version: max };
    let none = BoundedVec::<OnlineDevice, _>::empty();
    let page = Snapshot { run, number: max, first: true, last: true, devices: none };
    let mut frames = vec![
        Frame::new(Kind::Snapshot, &page),
        Frame::new(Kind::Announcement, &Announcement { number: max, at: Wall(max), text }),
    ];
    for number in [0, max, 1] {
        let changes = BoundedVec::first([offline.clone()]);
        frames.push(Frame::new(Kind::Delta, &Delta { run, number, changes }));
    }
    let empty = lanchat_proto::wire::coordinator::Directory {
        mark,
        fresh: true,
        last: true,
        profiles: BoundedVec::empty(),
    };
    frames.push(Frame::new(Kind::Directory, &empty));
    let frames = frames.into_iter().map(|frame| (link, frame.unwrap())).collect();
    stage.coordinator_sends(frames);
    stage.settle();
    assert_eq!(stage.pcs[alice].notices().len(), 1);
    assert!(matches!(stage.pcs[alice].notices()[0], Notice::Announcement { .. }));
}

#[test]
fn a_peers_word_alone_opens_no_epoch() {
    let mut stage = Stage::new();
    let alice = stage.pc(1, "alice");
    let link = let_in(&mut stage, alice, "mallory", DAWN);
    let descriptor = Descriptor::direct(user("alice"), user("mallory"));
    let conversation = descriptor.id(&stage.realm()).unwrap();
    let (device, epoch) = (stage.pcs[alice].device(), stage.pcs[alice].disk.epoch().unwrap());
    let text =
        lanchat_node_core::Command::SendText { to: user("mallory"), text: "hi".into(), reply_to: None };
    for number in [9, 2, 3, 1] {
        let list = [head(device, epoch, number, 0)];
        say(&mut stage, alice, link, Frame::new(Kind::Heads, &heads(conversation, &list, true)).unwrap());
        let ack = Acknowledge { conversation, heads: BoundedVec::first(list) };
        say(&mut stage, alice, link, Frame::new(Kind::Acknowledge, &ack).unwrap());
        stage.command(alice, text.clone());
        stage.settle();
    }
    assert_eq!(stage.pcs[alice].disk.epoch(), Some(epoch));
    assert!(stage.pcs[alice].notices().is_empty());
}
