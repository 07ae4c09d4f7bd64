//! The lanchat node: the shell around `lanchat-node-core`.
//!
//! The parts of the shell never import each other; they meet in `app`, whose one event loop carries inputs into the
//! core and outputs out of it. libp2p stays behind `net`, SQL behind `store`, JSON behind `api`.

pub mod adapters;
pub mod api;
pub mod app;
pub mod backup;
pub mod blobs;
pub mod cli;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod doctor;
pub mod handle;
pub mod identity;
pub mod lang;
pub mod launch;
pub mod password;
pub mod paths;
pub mod platform;
pub mod store;
pub mod telemetry;
