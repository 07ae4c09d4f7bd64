//! Which connection the multiplexer's streams belong to, so that the relay knows whose bytes it reads.
//!
//! Keeps true: a connection that was accepted is found by its two addresses from the moment its handshake is done until it
//! is closed, and nothing is kept of it after that.

use super::budget::Account;
use crate::lock;
use libp2p::core::Multiaddr;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, Weak};

/// Local and remote address of an accepted connection: one of its kind at a time.
type Addresses = (Multiaddr, Multiaddr);

/// The meters of all accepted connections, shared by transport and behaviour.
#[derive(Default)]
pub(crate) struct Meters(Mutex<BTreeMap<Addresses, Weak<Meter>>>);

/// The meter of one connection.
pub(crate) struct Meter {
    meters: Weak<Meters>,
    addresses: Addresses,
    account: OnceLock<Arc<Account>>,
}

impl Meters {
    /// A meter for a connection that was just accepted.
    pub(crate) fn add(self: &Arc<Self>, local: Multiaddr, remote: Multiaddr) -> Arc<Meter> {
        let addresses = (local, remote);
        let meter =
            Meter { meters: Arc::downgrade(self), addresses: addresses.clone(), account: OnceLock::new() };
        let meter = Arc::new(meter);
        lock(&self.0).insert(addresses, Arc::downgrade(&meter));
        meter
    }

    /// The meter of the connection between these addresses.
    pub(crate) fn find(&self, local: &Multiaddr, remote: &Multiaddr) -> Option<Arc<Meter>> {
        lock(&self.0).get(&(local.clone(), remote.clone())).and_then(Weak::upgrade)
    }
}

impl Meter {
    /// From now on its circuits are charged to this account.
    pub(crate) fn charge(&self, account: Arc<Account>) {
        self.account.get_or_init(|| account);
    }

    /// Whom its circuits are charged to.
    pub(crate) fn account(&self) -> Option<&Account> {
        self.account.get().map(Arc::as_ref)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let Some(meters) = self.meters.upgrade() else { return };
        let mut map = lock(&meters.0);
        // A newer connection may have the addresses meanwhile.
        if map.get(&self.addresses).is_some_and(|weak| weak.strong_count() == 0) {
            map.remove(&self.addresses);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_of_a_closed_connection_and_a_new_one_keeps_its_place() {
        let meters = Arc::<Meters>::default();
        let at = |port: u16| -> Multiaddr { format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap() };
        let first = meters.add(at(1), at(2));
        assert!(Arc::ptr_eq(&first, &meters.find(&at(1), &at(2)).unwrap()));
        let second = meters.add(at(1), at(2));
        drop(first);
        assert!(Arc::ptr_eq(&second, &meters.find(&at(1), &at(2)).unwrap()));
        drop(second);
        assert!(meters.find(&at(1), &at(2)).is_none() && lock(&meters.0).is_empty());
    }
}
