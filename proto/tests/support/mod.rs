//! What the tests of this package share: a cast with fixed keys, and two ways to see values through serde.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

pub mod cast;
pub mod invent;
pub mod lines;
pub mod types;
