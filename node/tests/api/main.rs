//! The local API and the command line, with a stand-in for the node behind the handle.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod commands;
mod doctor;
mod events;
mod guard;
mod routes;
mod script;
mod stage;
mod transfers;
