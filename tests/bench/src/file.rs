//! `file`: one large file from one node to another on this machine, beside what people use for that: `scp`, and a copy over
//! TCP, plain and with TLS 1.3, by programs of our own that do nothing else.
//!
//! Keeps true: all copy the same file from and to the same disk, in turns, and what is told is the median of the turns; the
//! node's time runs from when the offer is accepted until the file is under its name, which is after it was verified and
//! the disk synced. What was read and hashed before the offer is told apart.

use crate::copies::{Copied, ssh::Ssh, stream};
use crate::error::BenchError;
use crate::figures::Report;
use crate::memory::{megabytes, processor_time};
use lanchat_tests::api::told;
use lanchat_tests::files::{Desk, Offer, is_over, text};
use lanchat_tests::office::Node;
use lanchat_tests::{Office, within};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time for something that takes no time to speak of.
const SOON: Duration = Duration::from_secs(15);
/// Time for the file.
const LONG: Duration = Duration::from_secs(600);
/// Time between two looks at the transfer.
const LOOK: Duration = Duration::from_millis(5);

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Size of the file in megabytes.
    pub megabytes: usize,
    /// How often each copies it.
    pub turns: usize,
    /// Whether `scp` does too.
    pub scp: bool,
    /// Whether the figures mean nothing.
    pub quick: bool,
}

/// Measures.
///
/// # Errors
/// [`BenchError`].
pub fn run(wish: Wish) -> Result<Report, BenchError> {
    let mut report = Report::new("file", wish.quick);
    let desk = Desk::new();
    let len = wish.megabytes as u64 * 1_000_000;
    let file = desk.file("file", len);
    let copy = desk.dir().join("copy");
    let ssh = wish.scp.then(|| Ssh::new(desk.dir())).transpose()?;
    let office = Office::by_invite();
    let [alice, bob] = office.people(["alice", "bob"]);
    within(SOON, "a direct link", || alice.sees(&bob) && bob.sees(&alice));

    let (mut plain, mut tls, mut scp) = (Vec::new(), Vec::new(), Vec::new());
    let (mut ours, mut hashed) = (Vec::new(), Vec::new());
    for _ in 0..wish.turns {
        plain.push(stream::copy(stream::Way::Plain, &file, &copy)?);
        tls.push(stream::copy(stream::Way::Tls, &file, &copy)?);
        if let Some(ssh) = &ssh {
            scp.push(ssh.copy(&file, &copy)?);
        }
        let begin = Instant::now();
        let offer = alice.offer(&bob, &file);
        hashed.push(begin.elapsed());
        ours.push(sent(&alice, &bob, &offer, &desk.inbox())?);
    }

    report.add("the file", megabytes(len), "MB");
    let all =
        [("plain TCP, synced", plain), ("TLS 1.3 over TCP, synced", tls), ("scp", scp), ("lanchat", ours)];
    for (name, mut copies) in all {
        copies.sort_by_key(|copied| copied.took);
        let Some(median) = copies.get(copies.len() / 2) else { continue };
        report.add(format!("{name}, rate"), megabytes(len) / median.took.as_secs_f64(), "MB/s");
        let each = median.processor.map(|time| time.as_secs_f64() * 1000.0 / megabytes(len));
        report.add_known(format!("{name}, processor time of both ends for a GB"), each, "s");
    }
    hashed.sort();
    if let Some(median) = hashed.get(hashed.len() / 2) {
        let rate = megabytes(len) / median.as_secs_f64();
        report.add("lanchat, read and hashed before the offer (with its command), rate", rate, "MB/s");
    }
    for (who, node) in [("sender", &alice), ("receiver", &bob)] {
        report.add(format!("lanchat, most memory of the {who}"), megabytes(node.most_memory()), "MB");
    }
    Ok(report)
}

/// Accepts an offer and waits until the file is there.
fn sent(alice: &Node, bob: &Node, offer: &Offer, into: &Path) -> Result<Copied, BenchError> {
    within(SOON, "the offer is seen", || bob.file_state(offer) == "offered");
    let processor = || {
        let times = [alice, bob].map(|node| node.pid().and_then(processor_time));
        times.into_iter().sum::<Option<Duration>>()
    };
    let mut api = bob.api();
    let path = format!("/api/v1/transfers/{}", offer.id);
    let (before, begin) = (processor(), Instant::now());
    told(api.post(&format!("{path}/accept"), &json!({ "to_dir": into.display().to_string() })));
    let (took, transfer) = loop {
        let transfer = told(api.get(&path));
        if is_over(&transfer) || begin.elapsed() > LONG {
            break (begin.elapsed(), transfer);
        }
        std::thread::sleep(LOOK);
    };
    let processor = processor().zip(before).map(|(after, before)| after.saturating_sub(before));
    if text(&transfer, "state") != "complete" {
        return Err(BenchError::Unexpected(format!("the file did not arrive: {transfer}")));
    }
    let saved = text(&transfer, "path");
    std::fs::remove_file(&saved).map_err(BenchError::io(saved))?;
    Ok(Copied { took, processor })
}
