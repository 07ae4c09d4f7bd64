//! Stories of the first frames on a link: who is let in, and that whoever is not is told nothing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic is a failed story; each story breaks in its own way"
)]

mod stage;

use lanchat_node_core::boot::LinkId;
use lanchat_node_core::{Input, view::Route};
use lanchat_proto::certificate::{Act, Certificate, DeviceChain};
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{Epoch, RealmId};
use lanchat_proto::limits::{CERTIFICATE_SLACK, HELLO_DEADLINE};
use lanchat_proto::wire::link::{Heartbeat, Hello, HelloAnswer, Revocations};
use stage::org::{DAY, Org, key};
use stage::{DAWN, Stage};

fn hello(realm: RealmId, certificate: Certificate, chain: DeviceChain) -> Hello {
    Hello {
        realm,
        versions: BoundedVec::first([1]),
        certificate,
        chain,
        epoch: Epoch(1),
        revocations: BoundedVec::empty(),
        time: DAWN,
    }
}

fn good(stage: &Stage) -> Hello {
    hello(stage.realm(), stage.org.certificate("mallory", 66), stage.org.first_chain("mallory", 66))
}

/// A stranger with the key 66 dials and says this first. Returns whether it was let in, after checking that whoever
/// was not let in was told nothing.
fn knocks(stage: &mut Stage, at: usize, frame: Frame) -> bool {
    let link = stage.stranger(at, key(66).public(), false);
    stage.input(at, Input::Frame { link, frame });
    stage.settle();
    let admitted = stage.pcs[at].admitted.contains(&link);
    assert_eq!(admitted, !stage.pcs[at].sent_kinds(link).is_empty(), "told without being let in");
    assert_eq!(admitted, !stage.pcs[at].closed.contains(&link));
    admitted
}

fn says_hello(stage: &mut Stage, at: usize, hello: &Hello) -> bool {
    knocks(stage, at, Frame::new(Kind::Hello, hello).unwrap())
}

#[test]
fn a_colleague_is_let_in_and_answered() {
    let mut stage = Stage::new();
    let alice = stage.pc(1, "alice");
    let hello = good(&stage);
    assert!(says_hello(&mut stage, alice, &hello));
}

#[test]
fn whoever_does_not_belong_is_told_nothing() {
    let mut stage = Stage::new();
    let alice = stage.pc(1, "alice");
    let base = good(&stage);
    let mallory = || stage.org.membership("mallory", key(66).public());
    let certified = |certificate| Hello { certificate, ..base.clone() };
    let other = Org::with(100);
    let late = DAWN.minus(CERTIFICATE_SLACK).minus(DAY);
    let early = DAWN.plus(CERTIFICATE_SLACK).plus(DAY);
    let open = Certificate::self_signed(&key(66), "mallory".parse().unwrap(), [0; 32], DAWN).unwrap();
    let mut membership = mallory();
    let cases = [
        ("another organisation", hello(other.realm, other.certificate("mallory", 66), DeviceChain::empty())),
        ("another organisation's certificate", certified(other.certificate("mallory", 66))),
        ("self-signed", certified(open)),
        ("forged", certified(stage.org.sign_with(&mallory(), &key(66)))),
        ("of another device", certified(stage.org.certificate("mallory", 67))),
        ("expired", {
            membership.not_after = late;
            certified(stage.org.sign(&membership))
        }),
        ("not valid yet", {
            membership.not_after = early.plus(DAY);
            membership.not_before = early;
            certified(stage.org.sign(&membership))
        }),
        ("broken chain", Hello { chain: stage.org.first_chain("mallory", 67), ..base.clone() }),
        ("no version in common", Hello { versions: BoundedVec::first([9]), ..base.clone() }),
    ];
    for (what, hello) in cases {
        assert!(!says_hello(&mut stage, alice, &hello), "{what}");
    }
    assert!(stage.pcs[alice].core.as_ref().unwrap().users().is_empty());
}

#[test]
fn anything_but_a_hello_first_ends_the_link() {
    let mut stage = Stage::new();
    let alice = stage.pc(1, "alice");
    let beat = Frame::new(Kind::Heartbeat, &Heartbeat { answer: true }).unwrap();
    assert!(!knocks(&mut stage, alice, beat));
    assert!(!knocks(&mut stage, alice, Frame { kind: Kind::Hello.number(), payload: vec![7; 900] }));
    assert!(!knocks(&mut stage, alice, Frame { kind: 0xfff0, payload: Vec::new() }));
    let answer = HelloAnswer { version: 1, hello: good(&stage) };
    assert!(!knocks(&mut stage, alice, Frame::new(Kind::HelloAnswer, &answer).unwrap()));
}

#[test]
fn silence_ends_the_link_at_the_deadline() {
    let mut stage = Stage::new();
    let alice = stage.pc(1, "alice");
    let link = stage.stranger(alice, key(66).public(), false);
    stage.run(HELLO_DEADLINE - stage::TICK);
    assert!(!stage.pcs[alice].closed.contains(&link));
    stage.seconds(1);
    assert!(stage.pcs[alice].closed.contains(&link));
    assert!(stage.pcs[alice].sent_kinds(link).is_empty());
}

#[test]
fn a_revoked_member_is_not_let_in_and_a_link_that_is_up_ends_at_once() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.pc(1, "alice"), stage.pc(2, "bob"));
    let (_, link) = stage.connect(bob, alice);
    stage.settle();
    assert_eq!(stage.route(alice, bob), Route::Direct);
    let ban = stage.org.act(Act::Ban(stage.pcs[bob].user));
    let acts = Revocations { anchor: stage.org.anchor(), acts: BoundedVec::first([ban]) };
    let carol = stage.stranger(alice, key(66).public(), false);
    let frame = Frame::new(Kind::Hello, &good(&stage)).unwrap();
    stage.input(alice, Input::Frame { link: carol, frame });
    stage.input(alice, Input::Frame { link: carol, frame: Frame::new(Kind::Revocations, &acts).unwrap() });
    assert!(stage.pcs[alice].closed.contains(&link), "closed at once");
    stage.connect(bob, alice);
    stage.settle();
    assert_eq!(stage.open_links(alice, bob), 0);
    // It holds over a restart, too.
    stage.crash(alice);
    stage.start(alice);
    stage.connect(bob, alice);
    stage.settle();
    assert_eq!(stage.open_links(alice, bob), 0);
}

#[test]
fn the_dialler_checks_the_listener_as_strictly() {
    let mut stage = Stage::new();
    let alice = stage.pc(1, "alice");
    let other = Org::with(100);
    let stranger = hello(other.realm, other.certificate("mallory", 66), DeviceChain::empty());
    for (hello, fine) in [(stranger, false), (good(&stage), true)] {
        let link = stage.stranger(alice, key(66).public(), true);
        let answer = HelloAnswer { version: 1, hello };
        let frame = Frame::new(Kind::HelloAnswer, &answer).unwrap();
        stage.input(alice, Input::Frame { link, frame });
        assert_eq!(stage.pcs[alice].admitted.contains(&link), fine);
        assert_eq!(stage.pcs[alice].closed.contains(&link), !fine);
        if !fine {
            assert_eq!(stage.pcs[alice].sent_kinds(link), [Some(Kind::Hello)]);
        }
    }
}

#[test]
fn a_link_to_oneself_and_links_beyond_the_bound_are_closed() {
    let mut stage = Stage::new();
    let alice = stage.pc(1, "alice");
    let own = stage.stranger(alice, key(1).public(), false);
    assert!(stage.pcs[alice].closed.contains(&own));
    let links: Vec<LinkId> = (0..5).map(|_| stage.stranger(alice, key(66).public(), false)).collect();
    let closed: Vec<bool> = links.iter().map(|link| stage.pcs[alice].closed.contains(link)).collect();
    assert_eq!(closed, [false, false, false, false, true]);
}

#[test]
fn the_open_lan_accepts_whoever_signs_for_himself() {
    let mut stage = Stage::new();
    let open = |number: u8, name: &str| {
        Certificate::self_signed(&key(number), name.parse().unwrap(), [0; 32], DAWN).unwrap()
    };
    let ann = stage.pc_with(11, open(11, "ann"), DeviceChain::empty());
    let ben = stage.pc_with(12, open(12, "ben"), DeviceChain::empty());
    let alice = stage.pc(1, "alice");
    stage.start(ann);
    stage.start(ben);
    stage.connect(ann, ben);
    stage.connect(alice, ann);
    stage.settle();
    let request = stage.says(ann, ben, "hi");
    stage.settle();
    assert!(stage.delivered(ann, request));
    assert!(stage.view(ben, ann).unwrap().devices[0].endorsed);
    assert_eq!(stage.route(ann, alice), Route::None);
}

#[test]
fn a_clock_that_is_wrong_is_corrected_by_most_of_the_peers() {
    let mut stage = Stage::new();
    let pcs: Vec<usize> =
        (1..=4).map(|n| stage.pc(n, ["al", "bo", "cy", "di"][usize::from(n) - 1])).collect();
    stage.crash(pcs[0]);
    stage.pcs[pcs[0]].skew = -3_600_000;
    stage.org.realm = stage.realm();
    let open = |number: u8, name: &str| {
        Certificate::self_signed(&key(number), name.parse().unwrap(), [0; 32], DAWN).unwrap()
    };
    let slow = stage.pc_with(21, open(21, "slow"), DeviceChain::empty());
    stage.pcs[slow].skew = -3_600_000;
    stage.start(slow);
    for number in 22..25 {
        let peer = stage.pc_with(number, open(number, "peer"), DeviceChain::empty());
        stage.start(peer);
        stage.connect(peer, slow);
    }
    stage.settle();
    let offset = stage.pcs[slow].core.as_ref().unwrap().status().clock_offset;
    assert!((offset - 3_600_000).abs() < 1000, "{offset}");
    let notice = |notice: &_| matches!(notice, lanchat_node_core::output::Notice::ClockWrong(_));
    assert_eq!(stage.pcs[slow].notices().iter().filter(|row| notice(row)).count(), 1);
}
