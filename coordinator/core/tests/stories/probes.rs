//! Devices that ask whether they can be dialled.

use crate::office::{Node, Office};
use lanchat_coordinator_core::limits::{MAX_PROBES, PROBE_DEADLINE, PROBE_REFILL, PROBES};
use lanchat_coordinator_core::{DialId, Input, LinkId, Registration};
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::frame::Kind;
use lanchat_proto::wire::coordinator::{Refusal, Refused};
use lanchat_proto::wire::reach::{DialMe, Dialled, DialledYou};

fn ask(office: &mut Office, node: &Node, request: u64, ports: &[u16]) {
    let ports = BoundedVec::first(ports.iter().copied());
    office.say(node, Kind::DialMe, &DialMe { request, ports });
}

fn answer(office: &mut Office, node: &Node) -> Option<(u64, Vec<(u16, Dialled)>)> {
    let mut answers = office.heard::<DialledYou>(node, Kind::DialledYou);
    assert!(answers.len() <= 1);
    answers.pop().map(|answer| {
        let ports = answer.ports.iter().map(|row| (row.port, row.outcome)).collect();
        (answer.request, ports)
    })
}

/// The dials that are under way, with the port of each.
fn dials(office: &mut Office) -> Vec<(DialId, u16)> {
    office.dials.drain(..).map(|(dial, _, endpoint)| (dial, endpoint.port())).collect()
}

#[test]
fn it_is_dialled_where_it_is_seen_and_told_what_happened() {
    let mut office = Office::new(Registration::Invite);
    let alice = office.member("alice");
    ask(&mut office, &alice, 9, &[7421, 7420, 0, 7421]);
    let seen: std::net::SocketAddr = alice.address.parse().unwrap();
    assert!(office.dials.iter().all(|(_, device, at)| *device == alice.device() && at.ip() == seen.ip()));
    let dials = dials(&mut office);
    assert_eq!(dials.iter().map(|(_, port)| *port).collect::<Vec<_>>(), [7420, 7421]);
    let link = LinkId(99_000);
    let remote = lanchat_proto::wire::Endpoint::new(seen);
    office.input(Input::Opened { link, device: alice.device(), remote, dial: Some(dials[0].0) });
    assert!(office.closed.contains(&link), "such a link carries nothing");
    assert_eq!(answer(&mut office, &alice), None, "the other port is still being tried");
    office.input(Input::DialFailed { dial: dials[1].0, tried: true });
    let told = answer(&mut office, &alice);
    assert_eq!(told, Some((9, vec![(7420, Dialled::Reached), (7421, Dialled::Failed)])));
}

#[test]
fn a_dial_that_takes_too_long_has_failed() {
    let mut office = Office::new(Registration::Invite);
    let alice = office.member("alice");
    ask(&mut office, &alice, 1, &[7420]);
    let first = dials(&mut office);
    office.wait(PROBE_DEADLINE);
    assert_eq!(answer(&mut office, &alice), Some((1, vec![(7420, Dialled::Failed)])));
    ask(&mut office, &alice, 2, &[7420]);
    office.input(Input::DialFailed { dial: first[0].0, tried: true });
    assert_eq!(answer(&mut office, &alice), None, "the late end of the first dial is no answer");
    let second = dials(&mut office);
    office.input(Input::DialFailed { dial: second[0].0, tried: false });
    assert_eq!(answer(&mut office, &alice), Some((2, vec![(7420, Dialled::NotTried)])));
}

#[test]
fn one_question_at_a_time_and_a_share_of_them() {
    let mut office = Office::new(Registration::Invite);
    let alice = office.member("alice");
    let not_tried = |request| Some((request, vec![(7420, Dialled::NotTried)]));
    ask(&mut office, &alice, 1, &[7420]);
    ask(&mut office, &alice, 2, &[7420]);
    assert_eq!(answer(&mut office, &alice), not_tried(2));
    for n in 1..PROBES {
        let dial = dials(&mut office)[0].0;
        office.input(Input::DialFailed { dial, tried: true });
        assert!(answer(&mut office, &alice).is_some());
        ask(&mut office, &alice, u64::from(n) + 10, &[7420]);
    }
    let dial = dials(&mut office)[0].0;
    office.input(Input::DialFailed { dial, tried: true });
    answer(&mut office, &alice);
    ask(&mut office, &alice, 99, &[7420]);
    assert_eq!(answer(&mut office, &alice), not_tried(99));
    office.wait(PROBE_REFILL);
    ask(&mut office, &alice, 100, &[7420]);
    assert_eq!((answer(&mut office, &alice), dials(&mut office).len()), (None, 1));
    ask(&mut office, &alice, 101, &[]);
    assert_eq!(answer(&mut office, &alice), Some((101, Vec::new())));
}

#[test]
fn there_is_a_bound_for_all_together_and_who_goes_makes_room() {
    let mut office = Office::new(Registration::Invite);
    let members: Vec<Node> = (0..=MAX_PROBES).map(|n| office.member(&format!("user{n}"))).collect();
    members.iter().for_each(|member| ask(&mut office, member, 1, &[7420]));
    let (last, first) = (&members[MAX_PROBES], &members[0]);
    assert_eq!(dials(&mut office).len(), MAX_PROBES);
    assert_eq!(answer(&mut office, last), Some((1, vec![(7420, Dialled::NotTried)])));
    office.input(Input::Closed { link: first.link });
    ask(&mut office, last, 2, &[7420]);
    assert_eq!(dials(&mut office).len(), 1);
}

#[test]
fn a_stranger_is_not_dialled() {
    let mut office = Office::new(Registration::Invite);
    let stranger = office.node("bob");
    ask(&mut office, &stranger, 1, &[7420]);
    assert!(office.dials.is_empty());
    let refused = office.heard::<Refused>(&stranger, Kind::Refused).pop().unwrap();
    assert_eq!(refused.code, Refusal::NotSignedIn.number());
}
