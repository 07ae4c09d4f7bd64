//! Each case: an office, one thing wrong, and what the doctor says.

use super::*;
use crate::adapters::sorted;
use lanchat_node_core::view::{AddressView, Route, Source};
use lanchat_proto::wire::coordinator::Refusal;
use lanchat_proto::wire::reach::Dialled as Outcome;

const BOB: UserId = UserId([2; 16]);

fn at(text: &str) -> Endpoint {
    Endpoint::new(text.parse().unwrap())
}

fn adapter(name: &str, ip: &str) -> Adapter {
    Adapter::new(name, ip.parse().unwrap(), 24, true)
}

fn address(text: &str, source: Source, failure: Option<&str>) -> AddressView {
    let tried_ago = failure.map(|_| Duration::from_secs(3));
    AddressView { endpoint: at(text), source, tried_ago, failure: failure.map(str::to_owned) }
}

fn way(route: Route, addresses: Vec<AddressView>) -> ReachView {
    ReachView {
        device: DeviceId([2; 32]),
        user: BOB,
        route,
        addr: None,
        wanted: true,
        addresses,
        circuit_failure: None,
        next_try: None,
    }
}

/// Signed in, relayed for if need be, bob linked directly, everything as it should be.
fn office() -> Facts {
    Facts {
        adapters: sorted(vec![adapter("eth0", "192.168.1.5"), adapter("lo", "127.0.0.1")]),
        listening: vec![at("192.168.1.5:7420")],
        loopback_only: false,
        dialled: Dialled::Tried {
            by: None,
            ports: vec![DialledPort { port: 7420, outcome: Outcome::Reached }],
        },
        firewall: Firewall::Other,
        mdns: Mdns {
            wish: MdnsWish::On,
            state: MdnsState::Running,
            interfaces: BTreeMap::new(),
            announcements: 3,
            devices: 1,
            heard: Some(Duration::from_secs(1)),
        },
        coordinator: Coordinator {
            state: CoordinatorState::Connected,
            addr: Some("192.168.1.9:7422".into()),
            since: Duration::from_secs(100),
            relay: RelayState::Reserved,
        },
        clock_offset: 40,
        people: BTreeMap::from([(BOB, Person { name: "bob".into(), online: true })]),
        ways: vec![way(Route::Direct, vec![address("192.168.1.6:7420", Source::Coordinator, None)])],
    }
}

/// The same without a coordinator.
fn open_lan() -> Facts {
    let mut facts = office();
    facts.coordinator = Coordinator {
        state: CoordinatorState::None,
        addr: None,
        since: Duration::ZERO,
        relay: RelayState::None,
    };
    facts
}

fn said(facts: &Facts) -> Vec<(Code, Severity)> {
    advise(facts).into_iter().map(|advice| (advice.code, advice.severity)).collect()
}

fn argument(facts: &Facts, name: &str) -> String {
    let advice = advise(facts);
    let mut args = advice.iter().flat_map(|one| &one.args);
    args.find(|(known, _)| *known == name).map(|(_, value)| value.clone()).unwrap_or_default()
}

#[test]
fn nothing_is_said_when_all_is_well() {
    assert_eq!(said(&office()), []);
    assert_eq!(said(&open_lan()), []);
}

#[test]
fn adapters_that_lead_nowhere_are_told() {
    let mut facts = office();
    facts.adapters = vec![adapter("lo", "127.0.0.1"), adapter("eth0", "fe80::1")];
    facts.mdns.state = MdnsState::Failed(MdnsTrouble::NoAdapter, "no adapter".into());
    assert_eq!(said(&facts), [(Code::NoAdapter, Severity::Problem)]);
    facts.mdns.state = MdnsState::Running;
    facts.adapters = vec![adapter("docker0", "172.17.0.1"), adapter("tun0", "10.8.0.2")];
    assert_eq!(said(&facts), [(Code::OnlyVirtual, Severity::Hint)]);
    assert_eq!(argument(&facts, "adapters"), "docker0, tun0");
}

#[test]
fn a_port_that_nobody_gets_through_to_comes_with_the_firewall_that_is_there() {
    let mut facts = office();
    let port = |port, outcome| DialledPort { port, outcome };
    facts.dialled = Dialled::Tried { by: Some(DeviceId([2; 32])), ports: vec![port(7420, Outcome::Failed)] };
    for (firewall, code) in [
        (Firewall::Ufw, Code::BlockedUfw),
        (Firewall::Firewalld, Code::BlockedFirewalld),
        (Firewall::Windows, Code::BlockedWindows),
        (Firewall::MacOs, Code::BlockedMacos),
        (Firewall::Other, Code::BlockedLinux),
    ] {
        facts.firewall = firewall;
        assert_eq!(said(&facts), [(code, Severity::Problem)]);
        assert_eq!(argument(&facts, "port"), "7420");
    }
    facts.loopback_only = true;
    assert_eq!(said(&facts), [(Code::LoopbackOnly, Severity::Problem)]);
    facts.loopback_only = false;
    facts.dialled =
        Dialled::Tried { by: None, ports: vec![port(7420, Outcome::Reached), port(9, Outcome::Failed)] };
    assert_eq!(said(&facts), [], "one open port is enough");
    for unknown in [Dialled::NobodyToAsk, Dialled::NoAnswer] {
        facts.dialled = unknown;
        assert_eq!(said(&facts), []);
    }
}

#[test]
fn mdns_matters_most_without_a_coordinator() {
    for (mut facts, severity) in [(open_lan(), Severity::Problem), (office(), Severity::Hint)] {
        for (trouble, code) in [
            (MdnsTrouble::NoMulticast, Code::MdnsNoMulticast),
            (MdnsTrouble::Port, Code::MdnsPort),
            (MdnsTrouble::Flooded, Code::MdnsFlooded),
            (MdnsTrouble::Other, Code::MdnsFailed),
        ] {
            facts.mdns.state = MdnsState::Failed(trouble, "why".into());
            assert_eq!(said(&facts), [(code, severity)]);
        }
    }
    for (wish, code) in
        [(MdnsWish::OffByOption, Code::MdnsOffByOption), (MdnsWish::OffBySetting, Code::MdnsOffBySetting)]
    {
        let (mut office, mut lan) = (office(), open_lan());
        (office.mdns.wish, lan.mdns.wish) = (wish, wish);
        (office.mdns.state, lan.mdns.state) = (MdnsState::Off, MdnsState::Off);
        assert_eq!(said(&office), []);
        assert_eq!(said(&lan), [(code, Severity::Problem)]);
    }
    let mut lonely = open_lan();
    lonely.ways.clear();
    lonely.mdns.devices = 0;
    assert_eq!(said(&lonely), [(Code::MdnsSilent, Severity::Hint)]);
}

#[test]
fn a_coordinator_that_is_away_or_says_no_is_a_problem_and_a_restart_is_not() {
    let mut facts = office();
    facts.coordinator.state = CoordinatorState::Reconnecting;
    facts.coordinator.since = Duration::from_secs(3);
    assert_eq!(said(&facts), []);
    facts.coordinator.since = Duration::from_secs(70);
    assert_eq!(said(&facts), [(Code::CoordinatorAway, Severity::Problem)]);
    assert_eq!(
        (argument(&facts, "addr"), argument(&facts, "seconds")),
        ("192.168.1.9:7422".into(), "70".into())
    );
    facts.coordinator.state = CoordinatorState::Refused(Refusal::Banned);
    assert_eq!(said(&facts), [(Code::CoordinatorRefuses, Severity::Problem)]);
}

#[test]
fn the_relay_is_told_of_when_it_is_needed_or_late() {
    let mut facts = office();
    facts.coordinator.relay = RelayState::Reserving;
    assert_eq!(said(&facts), [(Code::RelayWaits, Severity::Hint)]);
    facts.coordinator.relay = RelayState::None;
    assert_eq!(said(&facts), []);
    facts.ways =
        vec![way(Route::None, vec![address("192.168.1.6:7420", Source::Coordinator, Some("timed out"))])];
    assert_eq!(said(&facts), [(Code::PeerTimedOut, Severity::Problem), (Code::NoRelay, Severity::Hint)]);
}

#[test]
fn a_wrong_clock_is_told() {
    let mut facts = office();
    facts.clock_offset = -3_600_000;
    assert_eq!(said(&facts), [(Code::ClockWrong, Severity::Hint)]);
    assert_eq!(argument(&facts, "seconds"), "3600");
}

#[test]
fn each_way_a_dial_fails_has_its_own_advice_for_the_best_address() {
    for (line, code) in [
        ("Connection refused (os error 111)", Code::PeerRefused),
        ("由于目标计算机积极拒绝，无法连接。 (os error 10061)", Code::PeerRefused),
        ("Timeout has been reached", Code::PeerTimedOut),
        ("Connection timed out (os error 110)", Code::PeerTimedOut),
        ("No route to host (os error 113)", Code::PeerUnreachable),
        ("Network is unreachable (os error 101)", Code::PeerUnreachable),
        ("another device answered", Code::PeerWrongDevice),
        ("the hello was not accepted", Code::PeerFailed),
    ] {
        let mut facts = office();
        facts.ways = vec![way(
            Route::None,
            vec![
                address("192.168.1.6:7420", Source::Coordinator, Some(line)),
                address("10.8.0.6:7420", Source::Coordinator, Some("another device answered")),
            ],
        )];
        assert_eq!(said(&facts), [(code, Severity::Problem)], "{line}");
        assert_eq!(argument(&facts, "addr"), "192.168.1.6:7420");
        assert_eq!(argument(&facts, "name"), "bob");
    }
}

#[test]
fn whoever_is_reached_through_the_coordinator_gets_hints_only() {
    let mut facts = office();
    facts.ways =
        vec![way(Route::Relay, vec![address("192.168.1.6:7420", Source::Coordinator, Some("timed out"))])];
    assert_eq!(said(&facts), [(Code::PeerRelayed, Severity::Hint), (Code::PeerTimedOut, Severity::Hint)]);
}

#[test]
fn whoever_may_be_switched_off_is_no_problem() {
    let failed = |source| vec![address("192.168.1.6:7420", source, Some("timed out"))];
    let mut facts = open_lan();
    facts.people.insert(BOB, Person { name: "bob".into(), online: false });
    facts.ways = vec![way(Route::None, failed(Source::LastLink))];
    assert_eq!(said(&facts), []);
    facts.ways = vec![way(Route::None, failed(Source::Announced))];
    assert_eq!(said(&facts), [(Code::PeerTimedOut, Severity::Problem)]);
    facts.ways = vec![ReachView { wanted: false, ..way(Route::None, failed(Source::Announced)) }];
    assert_eq!(said(&facts), []);
}

#[test]
fn somebody_who_is_on_without_any_address_is_told() {
    let mut facts = office();
    facts.ways = vec![way(Route::None, Vec::new())];
    assert_eq!(said(&facts), [(Code::PeerNoAddress, Severity::Problem)]);
}
