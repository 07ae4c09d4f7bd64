//! The commands behind `docs/performance.md`, and light nodes for other load tests.
//!
//! Keeps true: the programs measured are the real ones, each with a directory of its own under one temporary directory,
//! on loopback; a figure stands beside what the machine itself does in the same run. Goes in: a command. Goes out:
//! [`figures::Report`].

pub mod error;
pub mod figures;
pub mod http;
pub mod light;
pub mod memory;
pub mod process;
pub mod programs;
pub mod tcp;
