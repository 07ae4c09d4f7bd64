//! The behaviour that keeps strangers from filling the table: how many connections others may have with us.
//!
//! Keeps true: connections that are being set up or are not admitted yet are bounded for each source address and in total,
//! and so is everything together; one address cannot use up what others need, many addresses together get less each; an
//! address that many admitted links came from (a terminal server) may set up as many again at once, whatever others do, also a
//! while after they all broke (a restart). Silent connections do not hold a place against a new one for long, and failing
//! quickly does not pay ([`FAILING_BURST`]).

use crate::address::{endpoint_of, relay_of};
use crate::intake::{Ends, Intake};
use crate::limits::{CROWDED_PART, FAILING_BURST, MAX_SOURCES, NetLimits, PLACE_TIME, SHARE_MEMORY};
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandlerInEvent, ToSwarm, dummy,
};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};
use tokio::time::Instant;

/// A source of connections: an IPv4 address, or an IPv6 network of 64 bits, which one host may have to itself.
type Source = [u8; 16];

fn source_of(address: &Multiaddr) -> Option<Source> {
    Some(match endpoint_of(address)?.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => (u128::from_be_bytes(ip.octets()) >> 64 << 64).to_be_bytes(),
    })
}

/// What stands for connections through relays, whose addresses say nothing; no address of a host.
const RELAYED: Source = [0xff; 16];

/// A connection was turned away.
#[derive(Debug, thiserror::Error)]
enum Denied {
    #[error("not a TCP address")]
    Address,
    #[error("too many connections from this address that said no hello yet")]
    Source,
    #[error("too many connections from this address that came to nothing")]
    Failing,
    #[error("too many connections that said no hello yet")]
    Unproved,
    #[error("too many connections")]
    Connections,
}

#[derive(Default)]
struct Share {
    /// Connections that are not admitted.
    unproved: usize,
    /// Those of them without a control stream, oldest first: they can be made to give their place up.
    silent: BTreeSet<ConnectionId>,
    proved: usize,
    /// Most admitted links at a time that are remembered.
    earned: usize,
    /// When the last admitted link closed.
    since: Option<Instant>,
    /// Until when its failures count.
    failing: Option<Instant>,
}

impl Share {
    fn forgotten(&self, now: Instant) -> bool {
        let kept = self.since.is_some_and(|since| now.saturating_duration_since(since) < SHARE_MEMORY);
        let failing = self.failing.is_some_and(|until| until > now);
        self.unproved == 0 && self.proved == 0 && !kept && !failing
    }
}

struct Inbound {
    source: Source,
    ends: Ends,
    since: Instant,
    proved: bool,
}

/// The behaviour.
pub(crate) struct Quota {
    limits: NetLimits,
    intake: Intake,
    inbound: BTreeMap<ConnectionId, Inbound>,
    /// The sums over all sources.
    unproved: usize,
    silent: BTreeSet<ConnectionId>,
    sources: BTreeMap<Source, Share>,
}

impl Quota {
    /// With nothing open. Whoever is to go is cut through the intake.
    pub(crate) fn new(limits: NetLimits, intake: Intake) -> Self {
        Self {
            limits,
            intake,
            inbound: BTreeMap::new(),
            unproved: 0,
            silent: BTreeSet::new(),
            sources: BTreeMap::new(),
        }
    }

    /// The control stream on this connection is open.
    pub(crate) fn opened(&mut self, connection: ConnectionId) {
        if let Some(inbound) = self.inbound.get(&connection) {
            self.silent.remove(&connection);
            self.sources.entry(inbound.source).or_default().silent.remove(&connection);
        }
    }

    /// The hello on this connection was accepted.
    pub(crate) fn admitted(&mut self, connection: ConnectionId) {
        self.opened(connection);
        if let Some(inbound) = self.inbound.get_mut(&connection).filter(|inbound| !inbound.proved) {
            inbound.proved = true;
            self.intake.admit(&inbound.ends);
            self.unproved = self.unproved.saturating_sub(1);
            let share = self.sources.entry(inbound.source).or_default();
            share.unproved = share.unproved.saturating_sub(1);
            share.proved += 1;
            share.earned = share.earned.max(share.proved);
        }
    }

    fn enter(&mut self, connection: ConnectionId, ends: Ends, now: Instant) -> Result<(), Denied> {
        let source = if relay_of(&ends.0).is_some() { Some(RELAYED) } else { source_of(&ends.1) };
        let source = source.ok_or(Denied::Address)?;
        if self.inbound.len() >= self.limits.connections {
            return Err(Denied::Connections);
        }
        self.forget(source, now);
        let crowded = if self.unproved >= self.limits.unproved / 2 {
            (self.limits.unproved_per_source / CROWDED_PART).max(1)
        } else {
            self.limits.unproved_per_source
        };
        let share = self.sources.entry(source).or_default();
        let (usual, earned) = match source {
            // Not one host, so nothing is earned by others, and nothing is taken from it for others.
            RELAYED => (self.limits.unproved_relayed, 0),
            _ => (crowded, share.earned),
        };
        // Places that the address has earned are its own, however many strangers there are.
        if share.unproved >= earned {
            if share.failing.is_some_and(|until| until > now + FAILING_BURST) {
                return Err(Denied::Failing);
            }
            let oldest = share.silent.first().copied();
            let full = share.unproved >= usual.saturating_add(earned);
            if full && !self.make_room(oldest, now) {
                return Err(Denied::Source);
            }
            let oldest = self.silent.first().copied();
            if self.unproved >= self.limits.unproved && !self.make_room(oldest, now) {
                return Err(Denied::Unproved);
            }
        }
        let share = self.sources.entry(source).or_default();
        share.unproved += 1;
        self.unproved += 1;
        // The relay bounds what comes through it, and its connection is not ours to cut.
        if source != RELAYED {
            share.silent.insert(connection);
            self.silent.insert(connection);
        }
        self.inbound.insert(connection, Inbound { source, ends, since: now, proved: false });
        Ok(())
    }

    /// Cuts this one, if there is one that has had its time.
    fn make_room(&mut self, oldest: Option<ConnectionId>, now: Instant) -> bool {
        let inbound = oldest.and_then(|oldest| Some((oldest, self.inbound.get(&oldest)?)));
        let Some((connection, inbound)) = inbound else { return false };
        if now.saturating_duration_since(inbound.since) < PLACE_TIME {
            return false;
        }
        self.intake.cut(&inbound.ends);
        self.leave(connection, now);
        true
    }

    fn leave(&mut self, connection: ConnectionId, now: Instant) {
        self.opened(connection);
        let Some(inbound) = self.inbound.remove(&connection) else { return };
        let share = self.sources.entry(inbound.source).or_default();
        if inbound.proved {
            share.proved = share.proved.saturating_sub(1);
            share.since = Some(now);
        } else {
            share.unproved = share.unproved.saturating_sub(1);
            self.unproved = self.unproved.saturating_sub(1);
            if now.saturating_duration_since(inbound.since) < PLACE_TIME && inbound.source != RELAYED {
                let places = self.limits.unproved_per_source.saturating_add(share.earned);
                let worth = PLACE_TIME / u32::try_from(places).unwrap_or(u32::MAX).max(1);
                share.failing = Some(share.failing.map_or(now, |until| until.max(now)) + worth);
            }
        }
        self.tidy(inbound.source, now);
    }

    fn tidy(&mut self, source: Source, now: Instant) {
        if self.sources.get(&source).is_some_and(|share| share.forgotten(now)) {
            self.sources.remove(&source);
        }
    }

    /// Makes room for a source that is new. Those in use are bounded by the connections and the places.
    fn forget(&mut self, source: Source, now: Instant) {
        self.tidy(source, now);
        if self.sources.len() < MAX_SOURCES || self.sources.contains_key(&source) {
            return;
        }
        self.sources.retain(|_, share| !share.forgotten(now));
        let idle = self.sources.iter().filter(|(_, share)| share.unproved + share.proved == 0);
        let oldest = idle.min_by_key(|(_, share)| share.since).map(|(source, _)| *source);
        if self.sources.len() >= MAX_SOURCES
            && let Some(oldest) = oldest
        {
            self.sources.remove(&oldest);
        }
    }
}

impl NetworkBehaviour for Quota {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.enter(connection, (local.clone(), remote.clone()), Instant::now()).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Self::ConnectionHandler, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Self::ConnectionHandler, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ListenFailure(failure) => self.leave(failure.connection_id, Instant::now()),
            FromSwarm::ConnectionClosed(closed) => self.leave(closed.connection_id, Instant::now()),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(unproved: usize) -> Quota {
        let limits = NetLimits {
            unproved_per_source: 2,
            unproved,
            unproved_relayed: 1,
            connections: 12,
            ..NetLimits::default()
        };
        Quota::new(limits, Intake::default())
    }

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    fn enter(quota: &mut Quota, number: usize, from: &str) -> bool {
        let ends = (Multiaddr::empty(), format!("{from}/tcp/1").parse().unwrap());
        quota.enter(id(number), ends, Instant::now()).is_ok()
    }

    fn leave(quota: &mut Quota, number: usize) {
        quota.leave(id(number), Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn one_source_cannot_take_what_others_need() {
        let mut quota = quota(8);
        assert!(enter(&mut quota, 1, "/ip4/10.0.0.1") && enter(&mut quota, 2, "/ip4/10.0.0.1"));
        assert!(!enter(&mut quota, 3, "/ip4/10.0.0.1"));
        assert!(enter(&mut quota, 4, "/ip4/10.0.0.2"));
        assert!(enter(&mut quota, 5, "/ip6/fd00::1") && !enter(&mut quota, 6, "/ip6/fd00::2"), "crowded");
        for number in 7..11 {
            assert!(enter(&mut quota, number, &format!("/ip4/10.0.1.{number}")));
        }
        assert!(!enter(&mut quota, 11, "/ip4/10.0.0.3"), "all is full");
    }

    #[tokio::test(start_paused = true)]
    async fn the_share_grows_with_admitted_links_and_outlasts_them_for_a_while() {
        let mut quota = quota(12);
        for number in 0..3 {
            assert!(enter(&mut quota, number, "/ip4/10.0.0.1"));
            quota.admitted(id(number));
        }
        for number in 0..3 {
            leave(&mut quota, number);
        }
        let burst = |quota: &mut Quota, from: usize| {
            (from..from + 9).filter(|number| enter(quota, *number, "/ip4/10.0.0.1")).count()
        };
        assert_eq!(burst(&mut quota, 10), 5, "two, and one for each of the three");
        tokio::time::advance(PLACE_TIME * 2).await;
        (10..19).for_each(|number| leave(&mut quota, number));
        assert_eq!(quota.unproved, 0);
        tokio::time::advance(SHARE_MEMORY).await;
        assert_eq!(burst(&mut quota, 20), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn colleagues_get_in_while_strangers_have_taken_every_place() {
        let mut quota = quota(8);
        for number in 0..2 {
            assert!(enter(&mut quota, number, "/ip4/10.0.0.1"));
            quota.admitted(id(number));
            leave(&mut quota, number);
        }
        for number in 0..20 {
            enter(&mut quota, 100 + number, &format!("/ip4/10.9.0.{number}"));
        }
        assert_eq!(quota.unproved, 8);
        assert!(enter(&mut quota, 3, "/ip4/10.0.0.1") && !enter(&mut quota, 4, "/ip4/10.0.0.1"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_silent_make_room_after_their_time_and_those_who_speak_do_not() {
        let mut quota = quota(8);
        assert!(enter(&mut quota, 1, "/ip4/10.0.0.1") && enter(&mut quota, 2, "/ip4/10.0.0.1"));
        quota.opened(id(1));
        assert!(!enter(&mut quota, 3, "/ip4/10.0.0.1"));
        tokio::time::advance(PLACE_TIME).await;
        assert!(enter(&mut quota, 4, "/ip4/10.0.0.1"));
        assert!(quota.inbound.contains_key(&id(1)) && !quota.inbound.contains_key(&id(2)));
        // The swarm tells of the end later.
        leave(&mut quota, 2);
        assert_eq!((quota.unproved, quota.silent.len()), (2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn circuits_are_a_class_of_their_own() {
        let mut quota = quota(8);
        let circuit = |quota: &mut Quota, number: usize| {
            let relay: Multiaddr = "/ip4/10.0.0.9/tcp/1/p2p-circuit".parse().unwrap();
            quota.enter(id(number), (relay, Multiaddr::empty()), Instant::now()).is_ok()
        };
        assert!(circuit(&mut quota, 1) && !circuit(&mut quota, 2));
        tokio::time::advance(PLACE_TIME).await;
        assert!(!circuit(&mut quota, 2), "one that is being set up is left in peace");
        quota.admitted(id(1));
        assert!(circuit(&mut quota, 3));
        assert!(!circuit(&mut quota, 4), "nothing is earned by others");
        assert!(enter(&mut quota, 5, "/ip4/10.0.0.1"));
    }

    #[tokio::test(start_paused = true)]
    async fn failing_quickly_does_not_pay() {
        let mut quota = quota(8);
        let mut entered = 0;
        for number in 0..1000 {
            if enter(&mut quota, number, "/ip4/10.0.0.1") {
                entered += 1;
                leave(&mut quota, number);
            }
            tokio::time::advance(PLACE_TIME / 100).await;
        }
        assert!((26..=32).contains(&entered), "eight at once and two a second: {entered}");
        tokio::time::advance(PLACE_TIME).await;
        assert!(enter(&mut quota, 1000, "/ip4/10.0.0.1"));
        quota.admitted(id(1000));
        leave(&mut quota, 1000);
        for number in 1001..1100 {
            enter(&mut quota, number, "/ip4/10.0.0.1");
            leave(&mut quota, number);
        }
        assert!(enter(&mut quota, 1100, "/ip4/10.0.0.1"), "the place that it has earned");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_kept_of_sources_that_proved_nothing() {
        let mut quota = quota(8);
        for number in 0..100 {
            assert!(enter(&mut quota, number, &format!("/ip4/10.0.0.{number}")));
            tokio::time::advance(PLACE_TIME).await;
            leave(&mut quota, number);
        }
        assert!(enter(&mut quota, 100, "/ip4/10.0.0.1"));
        leave(&mut quota, 100);
        tokio::time::advance(FAILING_BURST).await;
        assert!(enter(&mut quota, 101, "/ip4/10.0.0.1"));
        tokio::time::advance(PLACE_TIME).await;
        leave(&mut quota, 101);
        assert!(quota.sources.is_empty() && quota.inbound.is_empty() && quota.silent.is_empty());
        assert_eq!(quota.unproved, 0);
    }
}
