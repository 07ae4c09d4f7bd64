//! What happened, as a hash for "the same seed is the same run", and as lines for a person who looks for the reason.

use crate::time::Micros;

/// Lines kept when nobody prints them: the end of the story, for the report of a failure.
const KEPT: usize = 4000;

/// How much of a run is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Detail {
    /// The hash only.
    Hash,
    /// Each line is kept.
    Keep,
    /// Each line goes to stdout.
    Print,
}

/// The record of a run.
#[derive(Debug)]
pub struct Trace {
    detail: Detail,
    hash: u64,
    lines: Vec<String>,
}

impl Trace {
    /// An empty record.
    #[must_use]
    pub fn new(detail: Detail) -> Self {
        Self { detail, hash: 0xcbf2_9ce4_8422_2325, lines: Vec::new() }
    }

    /// Takes words of an event into the hash.
    pub fn mix(&mut self, words: &[u64]) {
        for word in words {
            self.hash = (self.hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
    }

    /// Takes bytes of an event into the hash.
    pub fn mix_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.mix(&[u64::from_le_bytes(word)]);
        }
    }

    /// Tells a line, if anybody listens.
    pub fn say(&mut self, at: Micros, line: impl FnOnce() -> String) {
        if self.detail == Detail::Hash {
            return;
        }
        let line = format!("{:>12.6} {}", at as f64 / 1e6, line());
        if self.detail == Detail::Print {
            print_line(&line);
        } else if self.lines.len() < KEPT {
            self.lines.push(line);
        }
    }

    /// The hash of everything so far.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The lines kept.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

#[expect(clippy::print_stdout, reason = "`--trace` prints on purpose")]
fn print_line(line: &str) {
    println!("{line}");
}
