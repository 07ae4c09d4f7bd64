//! `start`: time from the start of a program to its ready line, and the sizes of the programs.

use crate::error::BenchError;
use crate::figures::{Report, Samples, TimeUnit};
use crate::memory::megabytes;
use crate::process::binary;
use crate::programs::{Coordinator, Node};

/// Measures.
///
/// # Errors
/// [`BenchError`].
pub fn run(quick: bool) -> Result<Report, BenchError> {
    let rounds = if quick { 2 } else { 20 };
    let mut report = Report::new("start", quick);
    for name in ["lanchat", "lanchat-coordinator"] {
        let path = binary(name)?;
        let size = std::fs::metadata(&path).map_err(BenchError::io(path.display().to_string()))?.len();
        report.add(format!("{name}, size"), megabytes(size), "MB");
    }
    let dir = tempfile::tempdir().map_err(BenchError::io("a temporary directory"))?;
    let (mut first, mut again, mut member) = (Samples::new(), Samples::new(), Samples::new());
    let (mut coordinator_first, mut coordinator_again) = (Samples::new(), Samples::new());
    for round in 0..rounds {
        let dir = dir.path().join(round.to_string());
        std::fs::create_dir(&dir).map_err(BenchError::io("a directory"))?;
        coordinator_first.push(Coordinator::start(&dir)?.program.took);
        let coordinator = Coordinator::start(&dir)?;
        coordinator_again.push(coordinator.program.took);
        let mut node = Node::start(&dir, "alice")?;
        first.push(node.program.took);
        node.end()?;
        node = Node::start(&dir, "alice")?;
        again.push(node.program.took);
        node.register(&coordinator, "alice")?;
        node.end()?;
        node = Node::start(&dir, "alice")?;
        member.push(node.program.took);
        node.end()?;
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
