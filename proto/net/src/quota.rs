//! The behaviour that keeps strangers from filling the table: how many connections others may have with us.
//!
//! Keeps true: connections that are being set up or are not admitted yet are bounded for each source address and in total,
//! and so is everything together; one address cannot use up what others need; an address that many admitted links came
//! from (a terminal server) may set up as many again at once, also a while after they all broke (a restart).

use crate::address::endpoint_of;
use crate::limits::{MAX_SOURCES, NetLimits, SHARE_MEMORY};
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandlerInEvent, ToSwarm, dummy,
};
use std::collections::BTreeMap;
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

/// A connection was turned away.
#[derive(Debug, thiserror::Error)]
enum Denied {
    #[error("not a TCP address")]
    Address,
    #[error("too many connections from this address that said no hello yet")]
    Source,
    #[error("too many connections that said no hello yet")]
    Unproved,
    #[error("too many connections")]
    Connections,
}

#[derive(Default)]
struct Share {
    unproved: usize,
    proved: usize,
    /// Most admitted links at a time that are remembered.
    earned: usize,
    /// When the last admitted link closed.
    since: Option<Instant>,
}

impl Share {
    fn forgotten(&self, now: Instant) -> bool {
        let kept = self.since.is_some_and(|since| now.saturating_duration_since(since) < SHARE_MEMORY);
        self.unproved == 0 && self.proved == 0 && !kept
    }
}

struct Inbound {
    source: Source,
    proved: bool,
}

/// The behaviour.
pub(crate) struct Quota {
    limits: NetLimits,
    inbound: BTreeMap<ConnectionId, Inbound>,
    unproved: usize,
    sources: BTreeMap<Source, Share>,
}

impl Quota {
    /// With nothing open.
    pub(crate) fn new(limits: NetLimits) -> Self {
        Self { limits, inbound: BTreeMap::new(), unproved: 0, sources: BTreeMap::new() }
    }

    /// The hello on this connection was accepted.
    pub(crate) fn admitted(&mut self, connection: ConnectionId) {
        if let Some(inbound) = self.inbound.get_mut(&connection).filter(|inbound| !inbound.proved) {
            inbound.proved = true;
            self.unproved = self.unproved.saturating_sub(1);
            let share = self.sources.entry(inbound.source).or_default();
            share.unproved = share.unproved.saturating_sub(1);
            share.proved += 1;
            share.earned = share.earned.max(share.proved);
        }
    }

    fn enter(&mut self, connection: ConnectionId, remote: &Multiaddr, now: Instant) -> Result<(), Denied> {
        let source = source_of(remote).ok_or(Denied::Address)?;
        if self.inbound.len() >= self.limits.connections {
            return Err(Denied::Connections);
        }
        if self.unproved >= self.limits.unproved {
            return Err(Denied::Unproved);
        }
        self.forget(source, now);
        let share = self.sources.entry(source).or_default();
        if share.unproved >= self.limits.unproved_per_source.saturating_add(share.earned) {
            return Err(Denied::Source);
        }
        share.unproved += 1;
        self.unproved += 1;
        self.inbound.insert(connection, Inbound { source, proved: false });
        Ok(())
    }

    fn leave(&mut self, connection: ConnectionId, now: Instant) {
        let Some(inbound) = self.inbound.remove(&connection) else { return };
        let share = self.sources.entry(inbound.source).or_default();
        if inbound.proved {
            share.proved = share.proved.saturating_sub(1);
            share.since = Some(now);
        } else {
            share.unproved = share.unproved.saturating_sub(1);
            self.unproved = self.unproved.saturating_sub(1);
        }
        if share.forgotten(now) {
            self.sources.remove(&inbound.source);
        }
    }

    /// Makes room for a source that is new. Those in use are bounded by the connections.
    fn forget(&mut self, source: Source, now: Instant) {
        if self.sources.get(&source).is_some_and(|share| share.forgotten(now)) {
            self.sources.remove(&source);
        }
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
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.enter(connection, remote, Instant::now()).map_err(ConnectionDenied::new)
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

    fn quota() -> Quota {
        let limits =
            NetLimits { unproved_per_source: 2, unproved: 5, connections: 8, ..NetLimits::default() };
        Quota::new(limits)
    }

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    fn enter(quota: &mut Quota, number: usize, from: &str) -> bool {
        quota.enter(id(number), &format!("{from}/tcp/1").parse().unwrap(), Instant::now()).is_ok()
    }

    #[test]
    fn one_source_cannot_take_what_others_need() {
        let mut quota = quota();
        assert!(enter(&mut quota, 1, "/ip4/10.0.0.1") && enter(&mut quota, 2, "/ip4/10.0.0.1"));
        assert!(!enter(&mut quota, 3, "/ip4/10.0.0.1"));
        assert!(enter(&mut quota, 4, "/ip4/10.0.0.2"));
        assert!(enter(&mut quota, 5, "/ip6/fd00::1") && enter(&mut quota, 6, "/ip6/fd00::2"));
        assert!(
            !enter(&mut quota, 7, "/ip6/fd00::3"),
            "one network of 64 bits is one source, and all is full"
        );
        quota.leave(id(1), Instant::now());
        assert!(!enter(&mut quota, 8, "/ip6/fd00::3"));
        assert!(enter(&mut quota, 9, "/ip4/10.0.0.1"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_share_grows_with_admitted_links_and_outlasts_them_for_a_while() {
        let mut quota = quota();
        for number in 0..3 {
            assert!(enter(&mut quota, number, "/ip4/10.0.0.1"));
            quota.admitted(id(number));
        }
        for number in 0..3 {
            quota.leave(id(number), Instant::now());
        }
        let burst = |quota: &mut Quota, from: usize| {
            (from..from + 9).filter(|number| enter(quota, *number, "/ip4/10.0.0.1")).count()
        };
        assert_eq!(burst(&mut quota, 10), 5, "two, and one for each of the three");
        (10..19).for_each(|number| quota.leave(id(number), Instant::now()));
        assert_eq!(quota.unproved, 0);
        tokio::time::advance(SHARE_MEMORY).await;
        assert_eq!(burst(&mut quota, 20), 2);
    }

    #[test]
    fn nothing_is_kept_of_sources_that_proved_nothing() {
        let mut quota = quota();
        for number in 0..100 {
            assert!(enter(&mut quota, number, &format!("/ip4/10.0.0.{number}")));
            quota.leave(id(number), Instant::now());
        }
        assert!(quota.sources.is_empty() && quota.inbound.is_empty());
    }
}
