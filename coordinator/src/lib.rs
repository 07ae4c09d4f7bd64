//! The coordinator as a library: [`Server::bind`], [`Server::info`], [`Server::join`], [`Server::shutdown`].
//!
//! Keeps true: the parts of the shell (network, store, administration) meet only in the one event loop of `server`,
//! which owns the rules of `lanchat-coordinator-core`. libp2p types stop at `lanchat-net`, SQL rows at `store`, JSON at
//! `admin`. How to run one is in `docs/operations.md`.

mod admin;
pub mod cli;
mod error;
mod keys;
pub mod limits;
mod nearby;
mod platform;
mod server;
mod settings;
mod store;

pub use error::ServerError;
pub use lanchat_coordinator_core::Registration;
pub use server::{Config, Info, Server};
pub use store::StoreError;
