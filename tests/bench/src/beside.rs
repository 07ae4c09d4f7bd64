//! `beside`: messages from one node to another over a cable of 1 Gbit/s, from the request to the local API until both
//! disks have them: while nothing else goes over it, and beside a file that fills it.
//!
//! Keeps true: every message that counts was sent and told as stored while bytes of the file came; those with the file
//! and those against it are told apart. Needs the network lab: Linux and root.

use crate::error::BenchError;
use crate::figures::{Report, Samples, TimeUnit};
use crate::memory::megabytes;
use lanchat_tests::api::{Api, told};
use lanchat_tests::files::{Desk, done, is_over};
use lanchat_tests::lab::Lab;
use lanchat_tests::office::Node;
use lanchat_tests::{Office, within};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Speed of both cables, in Mbit/s.
const CABLE: u32 = 1000;
/// Bytes of text.
const TEXT: usize = 200;
/// Time for something that takes no time to speak of.
const SOON: Duration = Duration::from_secs(15);
/// Time for the file.
const LONG: Duration = Duration::from_secs(600);
/// Messages before the first that is timed.
const WARM_UP: usize = 50;
/// Part of the file that comes before the first message that counts, so that the credit is at its full size.
const RUN_UP: u64 = 16;

/// One who speaks.
struct Speaker {
    api: Api,
    to: String,
    said: usize,
}

impl Speaker {
    fn new(node: &Node, to: &Node) -> Self {
        Self { api: node.api(), to: to.name.clone(), said: 0 }
    }

    /// Says something; the time until it is on both disks.
    fn say(&mut self) -> Result<Duration, BenchError> {
        self.said += 1;
        let text = format!("{:.<TEXT$}", self.said);
        let body = json!({ "to": self.to, "text": text, "wait": "delivered", "timeout_s": 30 });
        let begin = Instant::now();
        let sent = told(self.api.post("/api/v1/messages", &body));
        let took = begin.elapsed();
        match sent.get("pending").and_then(Value::as_array).is_some_and(Vec::is_empty) {
            true => Ok(took),
            false => Err(BenchError::Unexpected(format!("a message was not delivered: {sent}"))),
        }
    }
}

/// Measures with a file of so many megabytes.
///
/// # Errors
/// [`BenchError`].
pub fn run(megabytes_sent: usize, quick: bool) -> Result<Report, BenchError> {
    let mut report = Report::new("beside", quick);
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let hosts = [lab.host(), lab.host()];
    hosts.iter().for_each(|host| lab.rate(host, CABLE));
    let [alice, bob] = office.people_at([("alice", &hosts[0]), ("bob", &hosts[1])]);
    within(SOON, "they see each other", || alice.sees(&bob) && bob.sees(&alice));
    let (mut with, mut against) = (Speaker::new(&alice, &bob), Speaker::new(&bob, &alice));

    let rounds = if quick { 20 } else { 1000 };
    let mut idle = [Samples::new(), Samples::new()];
    for round in 0..WARM_UP + rounds {
        for (speaker, samples) in [&mut with, &mut against].into_iter().zip(&mut idle) {
            let took = speaker.say()?;
            if round >= WARM_UP {
                samples.push(took);
            }
        }
    }

    let desk = Desk::new();
    let len = megabytes_sent as u64 * 1_000_000;
    let offer = alice.offer(&bob, &desk.file("large", len));
    bob.accept(&offer, &desk.inbox());
    bob.has_part(&offer, len / RUN_UP, LONG);
    let mut looking = bob.api();
    let mut look = || told(looking.get(&format!("/api/v1/transfers/{}", offer.id)));
    let (first, begin) = (done(&look()), Instant::now());
    let mut beside = [Samples::new(), Samples::new()];
    let (mut last, mut end) = (first, begin);
    loop {
        let took = [with.say()?, against.say()?];
        let transfer = look();
        if done(&transfer) >= len || is_over(&transfer) {
            break;
        }
        (last, end) = (done(&transfer), Instant::now());
        for (samples, took) in beside.iter_mut().zip(took) {
            samples.push(took);
        }
    }
    within(LONG, "the file is there", || bob.file_state(&offer) == "complete");

    let rate = megabytes(last - first) / (end - begin).as_secs_f64();
    report.add("the file, bytes of content a second", rate, "MB/s");
    report.add("of what the cable carries", rate * 8.0 / f64::from(CABLE) * 100.0, "%");
    for ((way, idle), beside) in ["with the file", "against the file"].into_iter().zip(&idle).zip(&beside) {
        report.add_samples(&format!("message {way}, idle cable"), idle, &[50, 99], TimeUnit::Millis);
        report.add_samples(&format!("message {way}, beside it"), beside, &[50, 99, 100], TimeUnit::Millis);
        let times = beside.percentile(99).as_secs_f64() / idle.percentile(99).as_secs_f64();
        report.add(format!("message {way}, p99 beside it, of that of the idle cable"), times, "times");
        report.add(format!("messages {way}"), crate::figures::count(beside.len()), "");
    }
    Ok(report)
}
