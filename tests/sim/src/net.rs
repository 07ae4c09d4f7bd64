//! The virtual network: ordered streams with delay that can stall, be cut, and lose their tail.
//!
//! Keeps true: what arrives is a prefix of what was sent, in order, as with TCP. Loss, duplication and reordering are
//! those of connections: a cut stream loses what was under way, two dials make two links, an older link may end after
//! its successor began. Who is in reach is a set of blocked directions, and who may dial whom another one: a firewall
//! that drops the first packet of a stream lets those go on that stand. Who is behind an address is a table, since
//! machines change theirs.

use crate::rng::Rng;
use crate::time::{MS, Micros};
use lanchat_node_core::boot::Channel;
use lanchat_proto::frame::Frame;
use lanchat_proto::wire::Endpoint;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A machine on the network. 0 is the coordinator's.
pub type At = usize;
/// The coordinator's machine.
pub const OFFICE: At = 0;

/// Where a machine listens at first.
#[must_use]
pub fn endpoint(at: At) -> Endpoint {
    let host = u8::try_from(at).unwrap_or(u8::MAX);
    let port = if at == OFFICE { 7422 } else { 7420 };
    Endpoint::new(SocketAddr::from(([10, 0, 0, host], port)))
}

fn machine(endpoint: &Endpoint) -> Option<At> {
    match endpoint.ip() {
        IpAddr::V4(ip) if ip.octets().starts_with(&[10, 0, 0]) => ip.octets().last().map(|at| At::from(*at)),
        _ => None,
    }
}

/// Something under way in a stream.
#[derive(Debug)]
pub enum Item {
    /// A frame.
    Frame(Arc<Frame>),
    /// The sender closed.
    End,
}

/// One side of a connection.
#[derive(Debug)]
pub struct End {
    /// The machine.
    pub at: At,
    /// The run of the program that holds it.
    pub run: u32,
    /// Whether the program still has it.
    pub open: bool,
    /// Whether the program accepted the other's hello.
    pub admitted: bool,
    /// Bytes received before that.
    pub before_hello: usize,
    /// What is on its way to this side.
    pub inbound: VecDeque<Item>,
    /// Whether the next arrival is in the queue of events.
    pub scheduled: bool,
    /// No arrival before this moment: streams do not overtake themselves.
    pub not_before: Micros,
}

/// A connection. Side 0 dialled.
#[derive(Debug)]
pub struct Conn {
    /// What it carries.
    pub channel: Channel,
    /// The connections of both sides with the coordinator, when it is a circuit through there.
    pub carriers: Option<[u64; 2]>,
    /// Whether nothing gets through any more and nobody is told: a firewall forgot it, or an address is gone.
    pub silent: bool,
    /// Both sides.
    pub ends: [End; 2],
}

impl Conn {
    /// The side and its other.
    #[must_use]
    pub fn side(&self, side: usize) -> &End {
        let [dialler, listener] = &self.ends;
        if side == 0 { dialler } else { listener }
    }

    /// The side, to change it.
    pub fn side_mut(&mut self, side: usize) -> &mut End {
        let [dialler, listener] = &mut self.ends;
        if side == 0 { dialler } else { listener }
    }

    /// The side on which this run of this machine's program is.
    #[must_use]
    pub fn side_of(&self, at: At, run: u32) -> Option<usize> {
        self.ends.iter().position(|end| end.at == at && end.run == run)
    }

    /// Whether the programs at both ends have accepted each other and have not closed.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.ends.iter().all(|end| end.open && end.admitted)
    }
}

/// The network.
#[derive(Debug, Default)]
pub struct Network {
    /// Connections by number; the programs use the number as the link's.
    pub conns: BTreeMap<u64, Conn>,
    blocked: BTreeSet<(At, At)>,
    walls: BTreeSet<(At, At)>,
    homes: BTreeMap<At, Endpoint>,
    holders: BTreeMap<IpAddr, Option<At>>,
    next: u64,
    /// Whether a firewall refuses what it does not let through, instead of dropping it.
    pub refuses: bool,
    /// How many connections in a hundred come up at the listener alone.
    pub lame: u64,
    /// Longest delay of one frame beyond the shortest.
    pub jitter: Micros,
}

impl Network {
    /// A quick office network.
    #[must_use]
    pub fn new() -> Self {
        Self { jitter: 2 * MS, ..Self::default() }
    }

    /// Whether frames get from one machine to the other.
    #[must_use]
    pub fn reaches(&self, from: At, to: At) -> bool {
        !self.blocked.contains(&(from, to))
    }

    /// Blocks one direction.
    pub fn block(&mut self, from: At, to: At) {
        if from != to {
            self.blocked.insert((from, to));
        }
    }

    /// Blocks both directions.
    pub fn cut(&mut self, a: At, b: At) {
        self.block(a, b);
        self.block(b, a);
    }

    /// From now on the first cannot dial the second; streams that stand go on.
    pub fn wall(&mut self, from: At, to: At) {
        self.walls.insert((from, to));
    }

    /// Whether the first can dial the second.
    #[must_use]
    pub fn dials(&self, from: At, to: At) -> bool {
        self.reaches(from, to) && self.reaches(to, from) && !self.walls.contains(&(from, to))
    }

    /// Lifts what stands between two machines.
    pub fn mend(&mut self, a: At, b: At) {
        for pair in [(a, b), (b, a)] {
            self.blocked.remove(&pair);
            self.walls.remove(&pair);
        }
    }

    /// Lifts all blocks.
    pub fn mend_all(&mut self) {
        self.blocked.clear();
        self.walls.clear();
    }

    /// Where a machine listens now.
    #[must_use]
    pub fn home(&self, at: At) -> Endpoint {
        self.homes.get(&at).copied().unwrap_or_else(|| endpoint(at))
    }

    /// Who answers at an address.
    #[must_use]
    pub fn holder(&self, endpoint: &Endpoint) -> Option<At> {
        self.holders.get(&endpoint.ip()).copied().unwrap_or_else(|| machine(endpoint))
    }

    /// A machine gets another address. At the one until now nobody answers any more, or `heir` does.
    pub fn move_home(&mut self, at: At, heir: Option<At>) -> Endpoint {
        let octet = |number: usize| u8::try_from(number % 250).unwrap_or(0);
        self.next += 1;
        let next = usize::try_from(self.next).unwrap_or(0);
        let new =
            SocketAddr::from(([10, octet(1 + next / 250), octet(next), octet(at)], self.home(at).port()));
        self.holders.insert(self.home(at).ip(), heir.filter(|heir| *heir != at));
        self.homes.insert(at, Endpoint::new(new));
        self.holders.insert(new.ip(), Some(at));
        self.home(at)
    }

    /// Whether what one side sends gets to the other: over the coordinator for a circuit.
    #[must_use]
    pub fn passes(&self, conn: &Conn, to_side: usize) -> bool {
        let (from, to) = (conn.side(to_side ^ 1).at, conn.side(to_side).at);
        if conn.silent {
            return false;
        }
        let Some(carriers) = conn.carriers else { return self.reaches(from, to) };
        let carried = carriers.iter().all(|id| self.conns.get(id).is_some_and(|carrier| !carrier.silent));
        carried && self.reaches(from, OFFICE) && self.reaches(OFFICE, to)
    }

    /// Whether anything is blocked.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.blocked.is_empty()
    }

    /// How long a frame takes now.
    pub fn delay(&self, rng: &mut Rng) -> Micros {
        MS / 5 + rng.below(self.jitter + 1)
    }

    /// A new connection.
    pub fn connect(
        &mut self,
        channel: Channel,
        dialler: (At, u32),
        listener: (At, u32),
        carriers: Option<[u64; 2]>,
    ) -> u64 {
        self.next += 1;
        let end = |(at, run): (At, u32)| End {
            at,
            run,
            open: true,
            admitted: false,
            before_hello: 0,
            inbound: VecDeque::new(),
            scheduled: false,
            not_before: 0,
        };
        let ends = [end(dialler), end(listener)];
        self.conns.insert(self.next, Conn { channel, carriers, silent: false, ends });
        self.next
    }

    /// Connections between two machines.
    #[must_use]
    pub fn between(&self, a: At, b: At) -> Vec<u64> {
        let joins = |conn: &Conn| {
            let ends = (conn.ends[0].at, conn.ends[1].at);
            ends == (a, b) || ends == (b, a)
        };
        self.conns.iter().filter(|(_, conn)| joins(conn)).map(|(id, _)| *id).collect()
    }

    /// Connections that a run of a machine's program holds.
    #[must_use]
    pub fn held_by(&self, at: At, run: u32) -> Vec<(u64, usize)> {
        let held = |(id, conn): (&u64, &Conn)| Some((*id, conn.side_of(at, run)?));
        self.conns.iter().filter_map(held).collect()
    }
}
