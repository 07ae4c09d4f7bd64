//! `start`: time from the start of a program to its ready line, and the sizes of the programs.

use crate::error::BenchError;
use crate::figures::{Report, Samples, TimeUnit};
use crate::memory::megabytes;
use lanchat_tests::office::PASSWORD;
use lanchat_tests::{Node, Office, bins};

/// Measures.
///
/// # Errors
/// [`BenchError`].
pub fn run(quick: bool) -> Result<Report, BenchError> {
    let rounds = if quick { 2 } else { 20 };
    let mut report = Report::new("start", quick);
    for (name, path) in [("lanchat", bins::lanchat()), ("lanchat-coordinator", bins::coordinator())] {
        let size = std::fs::metadata(&path).map_err(BenchError::io(path.display().to_string()))?.len();
        report.add(format!("{name}, size"), megabytes(size), "MB");
    }
    let (mut first, mut again, mut member) = (Samples::new(), Samples::new(), Samples::new());
    let (mut coordinator_first, mut coordinator_again) = (Samples::new(), Samples::new());
    for _ in 0..rounds {
        let office = Office::by_invite();
        coordinator_first.push(office.took());
        office.kill();
        office.start();
        coordinator_again.push(office.took());
        let alice = office.node("alice");
        let start = || {
            alice.start();
            alice.took()
        };
        first.push(start());
        end(&alice)?;
        again.push(start());
        alice.register(&office.join(), PASSWORD).ok();
        end(&alice)?;
        member.push(start());
        end(&alice)?;
    }
    for (name, samples) in [
        ("lanchat, first start to ready", first),
        ("lanchat, with its data, to ready", again),
        ("lanchat, member of an organisation, to ready", member),
        ("lanchat-coordinator, first start to ready", coordinator_first),
        ("lanchat-coordinator, with its data (after a kill), to ready", coordinator_again),
    ] {
        report.add_samples(name, &samples, &[50, 100], TimeUnit::Millis);
    }
    Ok(report)
}

/// Ends a node in order, so that its next start finds its data as it should be.
fn end(node: &Node) -> Result<(), BenchError> {
    match node.shut_down() {
        Some(0) => Ok(()),
        status => Err(BenchError::Unexpected(format!("lanchat ended with {status:?}"))),
    }
}
