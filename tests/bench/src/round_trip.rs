//! `round-trip`: a message from one node process to another, from the request to the local API until its answer says
//! delivered, which means: on both disks, and the receipt is back. Beside it what the machine does without us: raw TCP
//! between two processes, and one flush of the disk.

use crate::error::BenchError;
use crate::figures::{Report, Samples, TimeUnit, count};
use crate::memory::processor_time;
use crate::tcp;
use lanchat_tests::api::Api;
use lanchat_tests::{Office, within};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Messages before the first that is timed.
const WARM_UP: usize = 100;
/// Time for the two nodes to find each other.
const MEET: Duration = Duration::from_secs(30);
/// Bytes of text, as in the raw messages.
const TEXT: usize = tcp::MESSAGE;

/// Measures.
///
/// # Errors
/// [`BenchError`].
pub fn run(quick: bool) -> Result<Report, BenchError> {
    let rounds = tcp::rounds(quick);
    let dir = tempfile::tempdir().map_err(BenchError::io("a temporary directory"))?;
    let mut report = Report::new("round-trip", quick);
    let office = Office::by_invite();
    let [alice, bob] = office.people(["alice", "bob"]);
    within(MEET, "a direct link", || alice.sees(&bob) && bob.sees(&alice));
    let mut api = alice.api();

    // Before and after, so that a machine that drifts shows.
    let mut raw = tcp::ping_pong(rounds / 2, WARM_UP)?;
    let mut flush = tcp::flushes(dir.path(), rounds / 4)?;
    let stored = sends(&mut api, "stored", rounds)?;
    let before = [&alice, &bob].map(|node| node.pid().and_then(processor_time));
    let delivered = sends(&mut api, "delivered", rounds)?;
    let after = [&alice, &bob].map(|node| node.pid().and_then(processor_time));
    raw.append(tcp::ping_pong(rounds / 2, WARM_UP)?);
    flush.append(tcp::flushes(dir.path(), rounds / 4)?);

    let percentiles = [50, 99];
    report.add_samples("raw TCP, 200 bytes there and back", &raw, &percentiles, TimeUnit::Micros);
    report.add_samples("flush of one page to the disk", &flush, &percentiles, TimeUnit::Micros);
    report.add_samples(
        "request of the local API (status)",
        &status(&mut api, rounds)?,
        &percentiles,
        TimeUnit::Micros,
    );
    report.add_samples("message, until stored here", &stored, &percentiles, TimeUnit::Micros);
    report.add_samples(
        "message, until stored on both disks and told so",
        &delivered,
        &percentiles,
        TimeUnit::Micros,
    );
    for (who, (before, after)) in ["sender", "receiver"].into_iter().zip(before.into_iter().zip(after)) {
        let used = after.zip(before).map(|(after, before)| after.saturating_sub(before));
        let each = used.map(|used| TimeUnit::Micros.of(used) / count(rounds + WARM_UP));
        report.add_known(format!("{who}'s processor time for a message"), each, "us");
    }
    report.add("messages", count(rounds), "");
    Ok(report)
}

/// Times of messages, one after the other, until the API says this of each.
fn sends(api: &mut Api, wait: &str, rounds: usize) -> Result<Samples, BenchError> {
    let mut samples = Samples::new();
    for round in 0..WARM_UP + rounds {
        let text = format!("{round:<TEXT$}");
        let body = json!({ "to": "bob", "text": text.replace(' ', "."), "wait": wait, "timeout_s": 30 });
        let begin = Instant::now();
        let sent = api.post("/api/v1/messages", &body).map_err(BenchError::Unexpected)?;
        let took = begin.elapsed();
        let pending = sent.get("pending").and_then(Value::as_array).is_none_or(|pending| !pending.is_empty());
        if wait == "delivered" && pending {
            return Err(BenchError::Unexpected(format!("a message was not delivered: {sent}")));
        }
        if round >= WARM_UP {
            samples.push(took);
        }
    }
    Ok(samples)
}

/// Times of a request that touches neither disk nor network.
fn status(api: &mut Api, rounds: usize) -> Result<Samples, BenchError> {
    let mut samples = Samples::new();
    for _ in 0..rounds {
        let begin = Instant::now();
        api.get("/api/v1/status").map_err(BenchError::Unexpected)?;
        samples.push(begin.elapsed());
    }
    Ok(samples)
}
