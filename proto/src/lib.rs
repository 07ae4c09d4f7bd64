//! What two lanchat programs must agree on: ids, limits, frames, messages, certificates, entries.
//!
//! Keeps true: nothing here waits, reads a clock, opens a file or a socket, or draws a random number. What goes on the
//! wire or onto a disk is written in `docs/protocol.md` and pinned byte for byte by the golden files under
//! `tests/golden`.
//!
//! - [`ids`], [`names`], [`time`]: the words everything else is made of
//! - [`limits`]: every shared bound
//! - [`codec`], [`frame`]: bytes
//! - [`signed`], [`certificate`]: who belongs
//! - [`entry`], [`state`]: what is said
//! - [`wire`]: the frames' payloads
//! - [`version`], [`join`]: protocol versions, join links

pub mod blob;
pub mod certificate;
pub mod codec;
pub mod entry;
pub mod file_name;
pub mod frame;
pub mod ids;
pub mod join;
pub mod limits;
pub mod names;
pub mod signed;
pub mod state;
pub mod time;
pub mod version;
pub mod wire;
