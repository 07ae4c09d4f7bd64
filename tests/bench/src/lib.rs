//! The commands behind `docs/performance.md`, and light devices for other load tests.
//!
//! Keeps true: the programs measured are the real ones, those of `lanchat_tests::Office`, on loopback where a command
//! says nothing else; a figure stands beside what the machine itself does in the same run. Goes in: a command. Goes out:
//! [`figures::Report`].
//!
//! - [`round_trip`], [`peers`], [`coordinator`], [`search`], [`start`]: the commands
//! - [`command`]: how a command ends; [`light`]: devices for load tests
//! - [`figures`], [`memory`], [`tcp`], [`corpus`]: what is told, and what it is compared with

#[cfg(target_os = "linux")]
pub mod beside;
pub mod command;
pub mod coordinator;
pub mod copies;
pub mod corpus;
pub mod error;
pub mod figures;
pub mod file;
pub mod light;
pub mod memory;
pub mod peers;
pub mod round_trip;
pub mod search;
pub mod start;
pub mod tcp;
