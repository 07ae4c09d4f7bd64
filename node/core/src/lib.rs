//! The rules of a node as one pure state machine: who is a peer, what a conversation holds, what is sent when.
//!
//! Keeps true: no clock, file, socket, random source or await. Time comes with every call, randomness from the seed in
//! [`Boot`]. What must survive a crash is on disk ([`Output::Persist`], answered by [`Input::Stored`]) before anybody
//! is told of it. Rules are written in `docs/protocol.md`; the shell only carries inputs in and outputs out.

pub mod boot;
mod clock;
mod directory;
mod duplicates;
pub mod fetch;
mod fork;
pub mod input;
pub mod limits;
mod links;
mod log;
pub mod memory;
pub mod output;
mod peers;
mod push;
mod reach;
mod receipts;
mod receive;
mod requests;
mod revocations;
mod rng;
mod safety;
mod session;
mod state;
mod sync;
mod timers;
mod transfers;
mod trust;
pub mod view;
mod whole;
mod words;
mod writes;

pub use boot::Boot;
pub use input::{Command, Input};
pub use memory::MemoryStore;
pub use output::{Change, Output};
pub use reach::Subnet;
pub use state::NodeState;
