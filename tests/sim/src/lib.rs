//! The simulator: many real cores on a virtual network, clock and disk, checked against a reference model.
//!
//! A schedule is an office of two to five people, a time of trouble drawn from a seed, and then peace, within which
//! everything has to become right. Stories are written like prose:
//!
//! ```
//! use lanchat_sim::World;
//! let mut w = World::seeded(7);
//! let [alice, bob] = w.cast(["alice", "bob"]);
//! w.cut(alice, bob);
//! w.says(alice, bob, "are you there?");
//! w.heal();
//! w.settle();
//! w.check();
//! ```
//!
//! Keeps true: the same seed is the same run, event by event. Only pure packages are used, nothing reads a clock.
//!
//! - [`world`]: the queue of events; [`streams`], [`duties`], [`faults`]: what happens in it
//! - [`net`], [`disk`], [`pc`], [`office`], [`time`]: what it is made of
//! - [`model`], [`check`]: the second opinion
//! - [`offers`], [`files`]: offered files: what people do and what has to hold; what moves their bytes
//! - [`relay`], [`places`]: circuits through the coordinator; addresses, announcements, sleep
//! - [`plan`], [`reach`], [`schedule`]: schedules from seeds; [`watch`]: who has a way and who has a link

pub mod check;
pub mod disk;
pub mod duties;
pub mod faults;
pub mod files;
pub mod model;
pub mod net;
pub mod offers;
pub mod office;
pub mod pc;
pub mod places;
pub mod plan;
pub mod reach;
pub mod relay;
pub mod rng;
pub mod saves;
pub mod schedule;
pub mod spell;
pub mod stage;
pub mod streams;
pub mod time;
pub mod trace;
pub mod watch;
pub mod world;

pub use trace::Detail;
pub use world::World;
