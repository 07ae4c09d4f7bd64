//! The rules of the coordinator: accounts, certificates, revocations, presence, directory, introductions, as a pure state
//! machine.
//!
//! Keeps true: nothing here waits, reads a clock, opens a file or a socket, or draws a random number. What is told to
//! anybody was on disk before ([`Output::Persist`], then [`Input::Stored`], then [`Output::Send`]). A stranger learns
//! nothing about users. The wire is in `docs/protocol.md#coordinator`.
//!
//! In: [`Input`] with the time. Out: [`Output`], and the moment of the next timeout. Everything follows from the seed
//! and the inputs, so a run can be replayed.

mod address;
mod admin;
mod buckets;
mod directory;
mod enrol;
mod guess;
mod introductions;
mod io;
mod issuer;
pub mod limits;
mod member;
mod password;
mod presence;
mod probes;
mod random;
pub mod record;
mod records;
mod session;
mod silence;
mod state;
mod tick;

pub use admin::{AdminCommand, AdminError, AdminResult, InviteInfo, OnlineInfo, SecretSalt, Stats, UserInfo};
pub use io::{Boot, Config, DialId, Input, LinkId, Notice, Output, Registration};
pub use issuer::{Keys, sign_issuing};
pub use state::CoordinatorState;
