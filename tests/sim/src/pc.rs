//! A person's machine: the real rules, a disk, a clock that may be wrong.

use crate::disk::Disk;
use crate::net::{At, endpoint};
use crate::office::Person;
use crate::relay::Place;
use crate::time::{Clock, Micros};
use lanchat_node_core::boot::{AutoAccept, CoordinatorPin, LoadId, PersistId, Settings, TransferState};
use lanchat_node_core::output::Change;
use lanchat_node_core::view::Route;
use lanchat_node_core::{Boot, NodeState};
use lanchat_proto::ids::{DeviceId, Epoch, HostId, LogId, MessageId, RealmId};
use lanchat_proto::wire::Endpoint;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Work for the disk, done in order.
#[derive(Debug)]
pub enum Job {
    /// Write this; asked for when the program knew of so many failures.
    Write(PersistId, Vec<Change>, u64),
    /// Read this.
    Read {
        /// Repeated in the answer.
        id: LoadId,
        /// Which log.
        log: LogId,
        /// From which number.
        from: u64,
        /// Most entries.
        max_entries: usize,
        /// Most bytes.
        max_bytes: usize,
    },
}

/// Why a device is not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is a member.
    Member,
    /// Its user was kicked and has not logged in again.
    Kicked,
    /// Its user is banned.
    Banned,
}

/// A person's machine.
pub struct Pc {
    /// Who sits there.
    pub person: Person,
    /// Where it is on the network.
    pub at: At,
    /// The program, while it runs.
    pub core: Option<Box<NodeState>>,
    /// Which run it is.
    pub run: u32,
    /// Whether the machine itself has power and network.
    pub powered: bool,
    /// Its clock.
    pub clock: Clock,
    /// What is durable.
    pub disk: Disk,
    /// An old copy of it.
    pub backup: Option<Disk>,
    /// Work for the disk.
    pub jobs: VecDeque<Job>,
    /// When the newest outcome of a job reaches the program.
    pub disk_told: Micros,
    /// Writes of this run that failed.
    pub failures: u64,
    /// Those of them that the program knows of.
    pub failures_heard: u64,
    /// How many writes in a hundred fail now.
    pub failing: u64,
    /// Nothing happens on it before this moment.
    pub frozen_until: Micros,
    /// The moment for which a timer is set.
    pub timer: Option<Micros>,
    /// Whether it is let in.
    pub standing: Standing,
    /// How often its user was kicked or banned.
    pub expelled: u32,
    /// Whether the disk was ever replaced by an old copy.
    pub rolled_back: bool,
    /// Whether its clock ever jumped.
    pub clock_jumped: bool,
    /// Messages that the program told of in this run.
    pub told: BTreeSet<MessageId>,
    /// The furthest that each log was ever durable here.
    pub furthest: BTreeMap<LogId, u64>,
    /// Timeouts handled without time passing.
    pub spins: u32,
    /// What it does to keep its place at the relay.
    pub place: Place,
    /// How its program says that others are reached.
    pub routes: BTreeMap<DeviceId, Route>,
    /// Announcements that its program was told of.
    pub heard: BTreeMap<DeviceId, Vec<Endpoint>>,
    /// When its program was last told that the network changed; 0: not in this run.
    pub changed: Micros,
    /// How it is wired.
    pub wiring: Wiring,
    /// Whose files are fetched unasked.
    pub rule: AutoAccept,
    /// How far each transfer is, as the program told in this run.
    pub transfers: BTreeMap<MessageId, TransferState>,
}

/// How a machine is wired.
#[derive(Clone, Debug, Default)]
pub struct Wiring {
    /// Addresses that it tells besides the one at which it is, before and after that one.
    pub extra: [Vec<Endpoint>; 2],
    /// Whether it announces itself.
    pub announces: bool,
    /// Whether it tells its subnets.
    pub tells_subnets: bool,
    /// How often it moved to another address.
    pub moves: u64,
}

impl Pc {
    /// A machine with a fresh database.
    #[must_use]
    pub fn new(person: Person, at: At, epoch: Epoch) -> Self {
        let disk = Disk::new(epoch, person.certificate.clone(), person.chain.clone());
        Self {
            person,
            at,
            core: None,
            run: 0,
            powered: true,
            clock: Clock::default(),
            disk,
            backup: None,
            jobs: VecDeque::new(),
            disk_told: 0,
            failures: 0,
            failures_heard: 0,
            failing: 0,
            frozen_until: 0,
            timer: None,
            standing: Standing::Member,
            expelled: 0,
            rolled_back: false,
            clock_jumped: false,
            told: BTreeSet::new(),
            furthest: BTreeMap::new(),
            spins: 0,
            place: Place::default(),
            routes: BTreeMap::new(),
            heard: BTreeMap::new(),
            changed: 0,
            wiring: Wiring::default(),
            rule: AutoAccept::Never,
            transfers: BTreeMap::new(),
        }
    }

    /// Its device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.person.key.public()
    }

    /// Whether its program runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.core.is_some()
    }

    /// What its program starts from.
    #[must_use]
    pub fn boot(&self, realm: RealmId, coordinator: DeviceId, seed: [u8; 32], at: Micros) -> Boot {
        let mut host = [0; 16];
        host.fill(u8::try_from(self.at).unwrap_or(u8::MAX));
        Boot {
            realm,
            key: self.person.key.clone(),
            certificate: self.disk.certificate.clone(),
            chain: self.disk.chain.clone(),
            epoch: self.disk.epoch,
            coordinator: Some(CoordinatorPin {
                device: coordinator,
                endpoints: vec![endpoint(crate::net::OFFICE)],
            }),
            host: HostId(host),
            seed,
            settings: Settings {
                auto_accept: self.rule.clone(),
                auto_accept_max: crate::offers::UNASKED,
                ..Settings::default()
            },
            stored: self.disk.stored(),
            started: self.clock.now(at).wall,
        }
    }

    /// Makes a transaction durable.
    ///
    /// # Errors
    /// What the real store would refuse it for.
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), String> {
        self.disk.apply(changes)?;
        for (log, end) in self.disk.ends(changes) {
            let furthest = self.furthest.entry(log).or_default();
            *furthest = end.number.max(*furthest);
        }
        Ok(())
    }
}
