//! Lists that claim more than they bring, read as every type: memory stays near the size of a frame. A program of its
//! own, so that nothing else allocates meanwhile; the figure is read where the system tells it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a failing test panics"
)]

mod support;

use lanchat_proto::codec;
use lanchat_proto::limits::MAX_FRAME;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use support::types::{self, Visit};

struct Bomb<'a>(&'a [u8]);

impl Visit for Bomb<'_> {
    fn visit<T: Serialize + DeserializeOwned + PartialEq + Debug>(&mut self, _: &str) {
        drop(codec::decode::<T>(self.0, MAX_FRAME));
    }
}

/// Most memory that the process has had, in bytes.
fn peak() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<usize>().ok()? * 1024)
}

#[test]
fn a_frame_costs_no_more_memory_than_sixteen_frames() {
    let before = peak();
    // Every position may be a length: huge ones, the decoder's own bound, and ones just within a list's bound.
    for claim in [u64::MAX, 1 << 40, 1 << 31, 1 << 20, 1 << 18, 65_536, 512, 128, 1] {
        let mut bytes = Vec::new();
        while bytes.len() < MAX_FRAME {
            bytes.extend_from_slice(&claim.to_le_bytes());
        }
        for shift in 0..8 {
            types::all(&mut Bomb(&bytes[shift..]));
            types::all(&mut Bomb(&bytes[shift..600]));
        }
    }
    // A full list of the smallest elements, wherever the list may begin.
    for claim in [6_u64, 16, 64, 128, 256, 512] {
        for at in 0..96 {
            let mut bytes = vec![0; MAX_FRAME];
            bytes[at..at + 8].copy_from_slice(&claim.to_le_bytes());
            types::all(&mut Bomb(&bytes));
        }
    }
    if let (Some(before), Some(after)) = (before, peak()) {
        let grown = after.saturating_sub(before);
        assert!(grown <= 16 * MAX_FRAME, "{grown} bytes more than before");
    }
}
