//! Figures and how they are shown: a table for people, one JSON document for programs.

use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// A count as a figure.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub fn count(number: usize) -> f64 {
    number as f64
}

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Its unit: `us`, `ms`, `s`, `MB` (10^6 bytes), `KB`, `/s`, `%`, or empty for a count.
    pub unit: &'static str,
}

/// What one command measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The command.
    pub command: &'static str,
    /// Whether this was a short run, whose figures mean nothing.
    pub quick: bool,
    /// Processor cores that the run had.
    pub cores: usize,
    /// The figures, in the order taken.
    pub figures: Vec<Figure>,
}

impl Report {
    /// A report without figures yet.
    #[must_use]
    pub fn new(command: &'static str, quick: bool) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { command, quick, cores, figures: Vec::new() }
    }

    /// Adds a figure.
    pub fn add(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.figures.push(Figure { name: name.into(), value, unit });
    }

    /// Adds a figure that the system may not be able to tell.
    pub fn add_known(&mut self, name: impl Into<String>, value: Option<f64>, unit: &'static str) {
        if let Some(value) = value {
            self.add(name, value, unit);
        }
    }

    /// Adds p50, p99 and the like of samples.
    pub fn add_samples(&mut self, name: &str, samples: &Samples, percentiles: &[u8], unit: TimeUnit) {
        for percent in percentiles {
            let value = unit.of(samples.percentile(*percent));
            self.add(format!("{name}, p{percent}"), value, unit.name());
        }
    }

    /// The figure of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quick = if self.quick { ", quick" } else { "" };
        writeln!(f, "{} ({} cores{quick})", self.command, self.cores)?;
        let width = self.figures.iter().map(|figure| figure.name.chars().count()).max().unwrap_or(0);
        for Figure { name, value, unit } in &self.figures {
            let decimals = if unit.is_empty() || *value >= 1000.0 {
                0
            } else if *value >= 10.0 {
                1
            } else {
                3
            };
            writeln!(f, "  {name:<width$}  {value:>12.decimals$} {unit}")?;
        }
        Ok(())
    }
}

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Seconds.
    Seconds,
}

impl TimeUnit {
    /// Its name in a report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Micros => "us",
            Self::Millis => "ms",
            Self::Seconds => "s",
        }
    }

    /// A duration in this unit.
    #[must_use]
    pub fn of(self, duration: Duration) -> f64 {
        match self {
            Self::Micros => duration.as_secs_f64() * 1e6,
            Self::Millis => duration.as_secs_f64() * 1e3,
            Self::Seconds => duration.as_secs_f64(),
        }
    }
}

/// Durations of something that was done many times.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more.
    pub fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// Those of another run as well.
    pub fn append(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The smallest sample that at least this percentage of samples does not exceed; zero without samples.
    #[must_use]
    pub fn percentile(&self, percent: u8) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * usize::from(percent.min(100))).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }
}

impl Extend<Duration> for Samples {
    fn extend<T: IntoIterator<Item = Duration>>(&mut self, more: T) {
        self.0.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_that_were_taken() {
        let mut samples = Samples::new();
        assert_eq!(samples.percentile(50), Duration::ZERO);
        samples.extend((1..=200).rev().map(Duration::from_millis));
        assert_eq!(samples.percentile(50), Duration::from_millis(100));
        assert_eq!(samples.percentile(99), Duration::from_millis(198));
        assert_eq!(samples.percentile(100), Duration::from_millis(200));
        assert_eq!(samples.percentile(0), Duration::from_millis(1));
    }

    #[test]
    fn a_table_lines_its_figures_up() {
        let mut report = Report::new("start", true);
        report.add("long name of a figure", 1.5, "ms");
        report.add("short", 12345.6, "");
        report.add_known("unknown", None, "MB");
        let table = report.to_string();
        let ends: Vec<usize> =
            table.lines().skip(1).map(|line| line.rfind(|c: char| c.is_ascii_digit()).unwrap()).collect();
        assert_eq!(ends.len(), 2);
        assert_eq!(ends.first(), ends.last());
    }
}
