//! What follows from the facts: pure, so that every case is a line of a test.

use super::{Dialled, Facts, Failure, MdnsState, MdnsTrouble, MdnsWish};
use crate::adapters::{Adapter, AdapterKind};
use crate::platform::Firewall;
use lanchat_node_core::view::{CoordinatorState, ReachView, RelayState, Route, Source};
use lanchat_proto::ids::{DeviceId, UserId};
use lanchat_proto::limits::MAX_CLOCK_AHEAD;
use lanchat_proto::time::millis;
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::reach::Dialled as Outcome;
use std::collections::BTreeSet;
use std::time::Duration;

/// Time that a place at the relay may take to get.
const RELAY_WAIT: Duration = Duration::from_secs(30);
/// Time that the coordinator may be away: a restart is no problem.
const COORDINATOR_WAIT: Duration = Duration::from_secs(10);

/// How much something matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// Somebody or something is not reached.
    Problem,
    /// It works, and would work better.
    Hint,
}

impl Severity {
    /// Its stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Hint => "hint",
        }
    }
}

macro_rules! codes {
    ($($name:ident $text:literal;)*) => {
        /// What can be advised; the names are stable.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[expect(missing_docs, reason = "the words of each stand in `lang/advice.rs`")]
        pub enum Code { $($name),* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its stable name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

codes! {
    NoAdapter "no_adapter";
    OnlyVirtual "only_virtual_adapters";
    LoopbackOnly "listens_on_loopback_only";
    BlockedUfw "blocked_ufw";
    BlockedFirewalld "blocked_firewalld";
    BlockedLinux "blocked_linux";
    BlockedWindows "blocked_windows";
    BlockedMacos "blocked_macos";
    MdnsOffByOption "mdns_off_by_option";
    MdnsOffBySetting "mdns_off_by_setting";
    MdnsNoMulticast "mdns_no_multicast";
    MdnsPort "mdns_port";
    MdnsFlooded "mdns_flooded";
    MdnsFailed "mdns_failed";
    MdnsSilent "mdns_silent";
    CoordinatorAway "coordinator_away";
    CoordinatorRefuses "coordinator_refuses";
    NoRelay "no_relay";
    RelayWaits "relay_waits";
    ClockWrong "clock_wrong";
    PeerRelayed "peer_relayed";
    PeerNoAddress "peer_no_address";
    PeerRefused "peer_refused";
    PeerTimedOut "peer_timed_out";
    PeerUnreachable "peer_unreachable";
    PeerWrongDevice "peer_wrong_device";
    PeerFailed "peer_failed";
}

impl Code {
    /// The code of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
}

/// One thing that stands in the way, and what it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Advice {
    /// What.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// The device that is not reached well; `None` when it is about this PC.
    pub device: Option<(UserId, DeviceId)>,
    /// What the words are made of.
    pub args: Vec<(&'static str, String)>,
}

impl Advice {
    fn new(code: Code, severity: Severity) -> Self {
        Self { code, severity, device: None, args: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.args.push((name, value.to_string()));
        self
    }
}

/// What stands in the way, what matters most first.
#[must_use]
pub fn advise(facts: &Facts) -> Vec<Advice> {
    let mut advice: Vec<Advice> = Vec::new();
    advice.extend(adapters(facts));
    advice.extend(reachable(facts));
    advice.extend(mdns(facts));
    advice.extend(coordinator(facts));
    advice.extend(clock(facts));
    advice.extend(facts.ways.iter().flat_map(|way| peer(facts, way)));
    advice.sort_by_key(|one| one.severity);
    advice
}

/// Whether the coordinator names everybody and their addresses now.
fn is_signed_in(facts: &Facts) -> bool {
    facts.coordinator.state == CoordinatorState::Connected
}

/// Addresses at which others could be met.
fn usable(facts: &Facts) -> impl Iterator<Item = &Adapter> + Clone {
    facts.adapters.iter().filter(|one| one.usable && one.kind != AdapterKind::Loopback)
}

fn adapters(facts: &Facts) -> Option<Advice> {
    let mut usable = usable(facts);
    if usable.clone().next().is_none() {
        return Some(Advice::new(Code::NoAdapter, Severity::Problem));
    }
    let names: BTreeSet<&str> = usable.clone().map(|one| one.name.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    usable
        .all(|one| one.kind == AdapterKind::Virtual)
        .then(|| Advice::new(Code::OnlyVirtual, Severity::Hint).with("adapters", names.join(", ")))
}

/// The ports at which somebody tried in vain.
fn blocked_ports(facts: &Facts) -> BTreeSet<u16> {
    let Dialled::Tried { ports, .. } = &facts.dialled else { return BTreeSet::new() };
    let reached = ports.iter().any(|port| port.outcome == Outcome::Reached);
    let failed = ports.iter().filter(|port| !reached && port.outcome == Outcome::Failed);
    failed.map(|port| port.port).collect()
}

fn reachable(facts: &Facts) -> Option<Advice> {
    if facts.loopback_only {
        return Some(Advice::new(Code::LoopbackOnly, Severity::Problem));
    }
    let ports = blocked_ports(facts);
    let port = ports.first()?;
    let code = match facts.firewall {
        Firewall::Ufw => Code::BlockedUfw,
        Firewall::Firewalld => Code::BlockedFirewalld,
        Firewall::Windows => Code::BlockedWindows,
        Firewall::MacOs => Code::BlockedMacos,
        Firewall::Other => Code::BlockedLinux,
    };
    Some(Advice::new(code, Severity::Problem).with("port", port))
}

fn mdns(facts: &Facts) -> Option<Advice> {
    let needed = !is_signed_in(facts);
    let severity = if needed { Severity::Problem } else { Severity::Hint };
    let linked = facts.ways.iter().any(|way| way.route != Route::None);
    match (&facts.mdns.state, facts.mdns.wish) {
        (_, MdnsWish::OffByOption) => needed.then(|| Advice::new(Code::MdnsOffByOption, severity)),
        (_, MdnsWish::OffBySetting) => needed.then(|| Advice::new(Code::MdnsOffBySetting, severity)),
        (MdnsState::Failed(trouble, reason), MdnsWish::On) => {
            let code = match trouble {
                // The adapters have been told of.
                MdnsTrouble::NoAdapter => return None,
                MdnsTrouble::NoMulticast => Code::MdnsNoMulticast,
                MdnsTrouble::Port => Code::MdnsPort,
                MdnsTrouble::Flooded => Code::MdnsFlooded,
                MdnsTrouble::Other => Code::MdnsFailed,
            };
            Some(Advice::new(code, severity).with("reason", reason))
        }
        (MdnsState::Running, MdnsWish::On) => {
            let silent = needed && facts.mdns.devices == 0 && !linked;
            silent.then(|| Advice::new(Code::MdnsSilent, Severity::Hint))
        }
        (MdnsState::Off | MdnsState::Starting, MdnsWish::On) => None,
    }
}

fn coordinator(facts: &Facts) -> Option<Advice> {
    let coordinator = &facts.coordinator;
    let addr = coordinator.addr.clone().unwrap_or_default();
    match coordinator.state {
        CoordinatorState::None => None,
        CoordinatorState::Refused(refusal) => Some(
            Advice::new(Code::CoordinatorRefuses, Severity::Problem)
                .with("addr", addr)
                .with("reason", refusal),
        ),
        CoordinatorState::Reconnecting => (coordinator.since >= COORDINATOR_WAIT).then(|| {
            let seconds = coordinator.since.as_secs();
            Advice::new(Code::CoordinatorAway, Severity::Problem).with("addr", addr).with("seconds", seconds)
        }),
        CoordinatorState::Connected => match coordinator.relay {
            RelayState::Reserved => None,
            RelayState::Reserving => {
                let long = coordinator.since >= RELAY_WAIT;
                long.then(|| Advice::new(Code::RelayWaits, Severity::Hint))
            }
            // Only matters when somebody is out of reach.
            RelayState::None => {
                let lost = facts.ways.iter().any(|way| way.route == Route::None && is_on(facts, way));
                lost.then(|| Advice::new(Code::NoRelay, Severity::Hint))
            }
        },
    }
}

fn clock(facts: &Facts) -> Option<Advice> {
    let wrong = facts.clock_offset.unsigned_abs() > millis(MAX_CLOCK_AHEAD);
    let seconds = facts.clock_offset.unsigned_abs().div_ceil(1000);
    wrong.then(|| Advice::new(Code::ClockWrong, Severity::Hint).with("seconds", seconds))
}

/// Whether something says that the device is on now; the memory of an address does not.
fn is_on(facts: &Facts, way: &ReachView) -> bool {
    let told = way.addresses.iter().any(|one| matches!(one.source, Source::Announced | Source::Coordinator));
    let online = facts.people.get(&way.user).is_some_and(|person| person.online);
    way.wanted && (told || (online && is_signed_in(facts) && way.addresses.is_empty()))
}

/// The best address that failed at its last try.
fn best_failure(way: &ReachView) -> Option<(Endpoint, &str)> {
    way.addresses.iter().find_map(|one| Some((one.endpoint, one.failure.as_deref()?)))
}

fn peer(facts: &Facts, way: &ReachView) -> Vec<Advice> {
    let severity = match way.route {
        Route::Direct => return Vec::new(),
        Route::Relay => Severity::Hint,
        Route::None => Severity::Problem,
    };
    let known = facts.people.get(&way.user).map(|person| person.name.clone()).filter(|name| !name.is_empty());
    let name = known.unwrap_or_else(|| way.device.short());
    let about = |code, severity| {
        let mut advice = Advice::new(code, severity).with("name", &name);
        advice.device = Some((way.user, way.device));
        advice
    };
    let mut advice = Vec::new();
    if way.route == Route::Relay {
        advice.push(about(Code::PeerRelayed, severity));
    } else if !is_on(facts, way) {
        return Vec::new();
    }
    match best_failure(way) {
        Some((endpoint, line)) => {
            let code = match Failure::of(line) {
                Failure::Refused => Code::PeerRefused,
                Failure::TimedOut => Code::PeerTimedOut,
                Failure::Unreachable => Code::PeerUnreachable,
                Failure::WrongDevice => Code::PeerWrongDevice,
                Failure::Other => Code::PeerFailed,
            };
            let one = about(code, severity).with("addr", endpoint).with("port", endpoint.port());
            advice.push(one.with("reason", line));
        }
        None if way.addresses.is_empty() => advice.push(about(Code::PeerNoAddress, severity)),
        // It is about to be tried, or somebody dials from the other side.
        None => {}
    }
    advice
}
