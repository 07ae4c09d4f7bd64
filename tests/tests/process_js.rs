//! What an independent implementation of libp2p gets to see as a stranger: js-libp2p, run by Node.js (`tests/js`).
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a story that cannot go on has failed")]

use data_encoding::HEXLOWER;
use lanchat_net::{multiaddr_of, parse_multiaddr, peer_id_string};
use lanchat_proto::frame::{FrameHeader, HEADER_LEN, Kind};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::join::JoinLink;
use lanchat_proto::limits::MAX_BEFORE_HELLO;
use lanchat_proto::version::{AGENT, COORDINATOR_PROTOCOL, LINK_PROTOCOL};
use lanchat_proto::wire::Endpoint;
use lanchat_tests::command::finish;
use lanchat_tests::{Office, within};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// What puts the stranger's packages where they are looked for.
const INSTALL: &str = "npm ci --prefix tests/js --ignore-scripts --no-audit --no-fund";

/// A program to knock at.
#[derive(Clone, Copy)]
struct Door {
    what: &'static str,
    at: Endpoint,
    device: DeviceId,
    /// The one protocol of ours on which it waits for somebody to say who he is.
    waits_on: &'static str,
}

/// Sends the stranger to a door; what it has to tell. `other` is whom it tries to reach through there.
fn knock(door: Door, other: Door) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("js/stranger.mjs");
    assert!(
        script.with_file_name("node_modules").join("libp2p/package.json").is_file(),
        "the stranger's packages are missing; install them with: {INSTALL}"
    );
    let version = Command::new("node").arg("--version").output();
    assert!(
        version.is_ok_and(|version| version.status.success()),
        "Node.js is missing; install it with: apt-get install -y nodejs npm && {INSTALL}"
    );
    let mut command = Command::new("node");
    command.arg(&script).arg(multiaddr_of(&door.at, &door.device)).arg(peer_id_string(&other.device));
    command.args([LINK_PROTOCOL, COORDINATOR_PROTOCOL]);
    finish(command, b"", 120 * SECOND).json()
}

fn list<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    value[key].as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}

/// The kinds of the frames that were heard, the last one complete.
fn kinds(heard: &str) -> Vec<Option<Kind>> {
    let bytes = HEXLOWER.decode(heard.as_bytes()).unwrap();
    let (mut kinds, mut rest) = (Vec::new(), bytes.as_slice());
    while let Some((header, behind)) = rest.split_first_chunk::<HEADER_LEN>() {
        let header = FrameHeader::parse(*header, MAX_BEFORE_HELLO).unwrap();
        kinds.push(Kind::from_number(header.kind));
        rest = behind.get(header.len..).unwrap();
    }
    assert!(rest.is_empty(), "no part of a frame: {rest:02x?}");
    kinds
}

/// Connected like any libp2p program, and told as little as there is to tell.
fn check_what_it_sees(door: Door, seen: &Value) {
    let what = door.what;
    assert_eq!(seen["peer"], peer_id_string(&door.device), "{what}");
    assert_eq!(seen["encryption"], "/noise", "{what}");
    assert_eq!(seen["multiplexer"], "/yamux/1.0.0", "{what}");
    let told = &seen["identify"];
    assert_eq!(told["agent"], AGENT, "{what} answers identify: {seen}");
    assert!(seen["ping_ms"].is_number(), "{what} answers ping: {seen}");
    let protocols = list(told, "protocols");
    assert!(protocols.contains(&"/ipfs/ping/1.0.0"), "{what}: {protocols:?}");
    assert!(protocols.iter().all(|name| !name.contains("lanchat")), "{what}: {protocols:?}");
    assert!(protocols.iter().all(|name| !name.contains("circuit")), "{what}: {protocols:?}");
    assert_eq!((list(told, "listen").len(), list(told, "record").len()), (0, 0), "{what}: {told}");
}

/// One name of ours is accepted, for the hello that has to come on it; without one nothing is told there, and the connection
/// ends. The coordinator introduces itself first, since whoever registers has to compare its fingerprint.
fn check_streams(door: Door, seen: &Value) {
    let what = door.what;
    let streams = seen["streams"].as_array().unwrap();
    assert_eq!(streams.len(), 4, "{what}: each name silent and with garbage");
    for stream in streams {
        let opened = stream["opened"] == true;
        if stream["protocol"] != door.waits_on {
            assert!(!opened, "{what} offers another's service: {stream}");
            continue;
        }
        assert!(opened, "{what} waits for a hello: {stream}");
        let allowed =
            if door.waits_on == COORDINATOR_PROTOCOL { vec![Some(Kind::Welcome)] } else { Vec::new() };
        assert_eq!(kinds(stream["heard"].as_str().unwrap()), allowed, "{what}: {stream}");
        assert_ne!(stream["connection"], "open", "{what} hangs up: {stream}");
        assert!(stream["ms"].as_u64().unwrap() < 5000, "{what} hangs up soon: {stream}");
    }
}

/// It carries nothing for a stranger, neither to it nor from it.
fn check_relay(door: Door, seen: &Value) {
    let what = door.what;
    for way in ["hop", "stop"] {
        assert_eq!(seen[way]["opened"], false, "{what}: {}", seen[way]);
    }
    assert_eq!(list(&seen["listen_through"], "addresses").len(), 0, "{what}: {}", seen["listen_through"]);
    assert_eq!(seen["dial_through"]["connected"], false, "{what}: {}", seen["dial_through"]);
}

#[test]
fn js_libp2p_as_a_stranger_is_told_nothing_and_carried_nowhere() {
    let office = Office::open();
    let [alice, bob] = office.people(["alice", "bob"]);
    within(10 * SECOND, "they see each other", || alice.sees(&bob));
    let join: JoinLink = office.join().parse().unwrap();
    let coordinator = Door {
        what: "the coordinator",
        at: Endpoint::new(join.addresses.first().unwrap().parse().unwrap()),
        device: join.coordinator,
        waits_on: COORDINATOR_PROTOCOL,
    };
    let status = alice.cli(&["status", "--json"]).json();
    let Some((at, Some(device))) = parse_multiaddr(status["listen"][0].as_str().unwrap()) else {
        panic!("no address with a peer id: {status}")
    };
    let node = Door { what: "the node", at, device, waits_on: LINK_PROTOCOL };
    for (door, other) in [(coordinator, node), (node, coordinator)] {
        let seen = knock(door, other);
        check_what_it_sees(door, &seen);
        check_streams(door, &seen);
        check_relay(door, &seen);
    }
    // The stranger was one in vain: members still talk.
    alice.cli(&["send", "bob", "still here", "--wait", "delivered"]).ok();
}
