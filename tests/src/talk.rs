//! Somebody who writes all the time, and whether everything arrived, once and in order.

use crate::fail::fail;
use crate::office::Node;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A flow of messages, until [`Talk::end`].
#[derive(Debug)]
pub struct Talk {
    over: Arc<AtomicBool>,
    writer: JoinHandle<Result<Vec<String>, String>>,
    begin: Instant,
}

impl Node {
    /// Writes this many messages a second to somebody, each when the one before is stored.
    ///
    /// # Panics
    /// When the node cannot be spoken to.
    #[must_use]
    #[track_caller]
    pub fn talk_to(&self, other: &Node, per_second: u32) -> Talk {
        // Two talks between the same people do not say the same.
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let talk = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut api = self.api();
        let (from, to) = (self.name.clone(), other.name.clone());
        let over = Arc::<AtomicBool>::default();
        let stop = over.clone();
        let begin = Instant::now();
        let writer = std::thread::spawn(move || {
            let mut texts = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let text = format!("{from} to {to}, talk {talk}, number {}", texts.len());
                api.send(&to, &text)?;
                texts.push(text);
                let due = begin
                    + Duration::from_secs(1) * u32::try_from(texts.len()).unwrap_or(u32::MAX) / per_second;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            Ok(texts)
        });
        Talk { over, writer, begin }
    }

    /// Whether everything that was said is shown here, once and in order; else what is wrong.
    ///
    /// # Errors
    /// What is missing, shown twice, or out of order.
    pub fn has_all(&self, from: &Node, said: &[String]) -> Result<(), String> {
        once_and_in_order(said, &self.texts(&from.name))
            .map_err(|wrong| format!("{} shows {wrong}", self.name))
    }
}

impl Talk {
    /// Ends it; what was said.
    ///
    /// # Panics
    /// When a message could not be sent.
    #[track_caller]
    #[expect(clippy::print_stdout, reason = "stories tell how they went")]
    pub fn end(self) -> Vec<String> {
        self.over.store(true, Ordering::Relaxed);
        let written = self.writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let texts = written.unwrap_or_else(|error| fail(error));
        let rate = texts.len() as f64 / self.begin.elapsed().as_secs_f64();
        println!("{} messages, {rate:.0} a second", texts.len());
        texts
    }
}

/// Whether all of `said` is in `shown` once and in its order; what others said in between does not matter.
///
/// # Errors
/// What is missing, twice, or out of order.
pub fn once_and_in_order(said: &[String], shown: &[String]) -> Result<(), String> {
    let mut counts: BTreeMap<&str, u32> = said.iter().map(|text| (text.as_str(), 0)).collect();
    let ours: Vec<&String> = shown.iter().filter(|text| counts.contains_key(text.as_str())).collect();
    for text in &ours {
        *counts.entry(text).or_default() += 1;
    }
    if let Some(text) = said.iter().find(|text| counts.get(text.as_str()) == Some(&0)) {
        let there = counts.values().filter(|count| **count > 0).count();
        return Err(format!("{there} of {} messages; '{text}' is missing", said.len()));
    }
    if let Some((text, count)) = counts.iter().find(|(_, count)| **count > 1) {
        return Err(format!("'{text}' {count} times"));
    }
    match ours.into_iter().zip(said).find(|(shown, said)| shown != said) {
        Some((shown, said)) => Err(format!("'{shown}' where '{said}' belongs")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn books_balance_only_when_everything_is_there_once_and_in_order() {
        let list = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let said = list("a b c");
        for (shown, right) in
            [("a b c", true), ("a x b c", true), ("a b", false), ("a b b c", false), ("b a c", false)]
        {
            assert_eq!(once_and_in_order(&said, &list(shown)).is_ok(), right, "{shown}");
        }
    }
}
