//! Small office networks on one machine: hosts in network namespaces, subnets, a router, and everything that breaks.
//!
//! ```no_run
//! use lanchat_tests::lab::Lab;
//! let lab = Lab::new();
//! let (alice, bob) = (lab.host(), lab.host());
//! lab.block(&alice, &bob); // nothing passes between the two
//! lab.unblock(&alice, &bob);
//! lab.cut(&alice); // the cable is out
//! lab.plug(&alice);
//! let floor = lab.subnet(); // behind a router that passes no multicast
//! let carol = lab.host_on(floor);
//! lab.loss(&carol, 5);
//! ```
//!
//! Keeps true: names are unique to the process; everything is taken down with [`Lab`], also by a panic; what a killed
//! run left behind is removed by the next; a machine that cannot do it is told so loudly, never skipped. Hosts have
//! IPv4, IPv6 (ULA and link-local). Needs Linux, root, iproute2 and nftables.
//!
//! - [`Host`]: where programs run; [`Host::inside`] runs code there
//! - [`Lab::cut`], [`Lab::adapter`], [`Lab::dead_adapter`], [`Lab::new_address`]: cables and adapters
//! - [`Lab::block`], [`Lab::block_dialling`], [`Lab::loss`], [`Lab::isolate`]: what the switch drops
//! - [`Lab::rate`], [`Lab::delay`], [`Lab::traffic`], [`Lab::capture`]: speed, delay, counters, contents

mod host;
pub use host::{AtHost, Host};

#[cfg(target_os = "linux")]
mod adapters;
#[cfg(target_os = "linux")]
mod capture;
#[cfg(target_os = "linux")]
mod delay;
#[cfg(target_os = "linux")]
mod filter;
#[cfg(target_os = "linux")]
mod leftovers;
#[cfg(target_os = "linux")]
mod network;
#[cfg_attr(not(target_os = "linux"), path = "lab/no_place.rs")]
mod place;
#[cfg(target_os = "linux")]
mod shape;
#[cfg(target_os = "linux")]
mod tools;
#[cfg(target_os = "linux")]
pub use {
    adapters::Dead, capture::Capture, leftovers::remove as remove_leftovers, network::Lab, network::Subnet,
    shape::Traffic,
};
