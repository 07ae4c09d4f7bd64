//! How to write a story over the real programs.
//!
//! ```no_run
//! use lanchat_tests::{Office, within};
//! use std::time::Duration;
//! let office = Office::open();
//! let [alice, bob] = office.people(["alice", "bob"]);
//! within(Duration::from_secs(5), "alice sees bob", || alice.sees(&bob));
//! alice.send("bob", "hello");
//! within(Duration::from_secs(1), "bob has it", || bob.texts("alice") == ["hello"]);
//! ```
//!
//! Keeps true: every program has a data directory of its own under a temporary one, listens on a port that the system
//! chose, and is gone with its directory when the story ends, also by a panic. Nothing sleeps a fixed time to wait
//! for something: [`within`] looks until a deadline.
//!
//! - [`program`]: one running program; [`command`]: one that ends
//! - [`office`]: a coordinator and nodes
//! - [`lab`]: hosts in network namespaces, and everything that breaks between them
//! - [`watch`]: a node's events; [`talk`]: a flow of messages and whether all arrived; [`api`]: the fast way to a node
//! - [`browse`]: what a DNS-SD browser lists; [`search`]: whether a text is in a program's memory or files
//! - [`files`]: files that are sent, and everything that happens to them on the way
//! - [`chaos`]: kills at random points, and the books that have to balance afterwards
//! - `restarts`: a coordinator that comes and goes under an office; `flood`: hundreds of connections of no use

pub mod api;
pub mod bins;
pub mod browse;
pub mod chaos;
pub mod command;
pub mod fail;
pub mod files;
#[cfg(target_os = "linux")]
pub mod flood;
pub mod lab;
pub mod office;
pub mod program;
#[cfg(target_os = "linux")]
pub mod restarts;
pub mod search;
pub mod talk;
pub mod wait;
pub mod watch;

pub use office::{Lan, Node, Office};
pub use wait::within;
