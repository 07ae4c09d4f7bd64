//! The virtual network: ordered streams with delay that can stall, be cut, and lose their tail.
//!
//! Keeps true: what arrives is a prefix of what was sent, in order, as with TCP. Loss, duplication and reordering are
//! those of connections: a cut stream loses what was under way, two dials make two links, an older link may end after
//! its successor began. Who is in reach is a set of blocked directions.

use crate::rng::Rng;
use crate::time::{MS, Micros};
use lanchat_node_core::boot::Channel;
use lanchat_proto::frame::Frame;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// A machine on the network. 0 is the coordinator's.
pub type At = usize;
/// The coordinator's machine.
pub const OFFICE: At = 0;

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
}

/// The network.
#[derive(Debug, Default)]
pub struct Network {
    /// Connections by number; the programs use the number as the link's.
    pub conns: BTreeMap<u64, Conn>,
    blocked: BTreeSet<(At, At)>,
    next: u64,
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

    /// Lifts a block of both directions.
    pub fn mend(&mut self, a: At, b: At) {
        self.blocked.remove(&(a, b));
        self.blocked.remove(&(b, a));
    }

    /// Lifts all blocks.
    pub fn mend_all(&mut self) {
        self.blocked.clear();
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
    pub fn connect(&mut self, channel: Channel, dialler: (At, u32), listener: (At, u32)) -> u64 {
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
        self.conns.insert(self.next, Conn { channel, ends: [end(dialler), end(listener)] });
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
