//! What a failed dial means, read from the line that tells it.
//!
//! Keeps true: the kind does not depend on the system's language: its own number of an error counts before its words.

/// Kinds of failures of a dial.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Failure {
    /// The machine answers, but nothing listens there.
    Refused,
    /// Nothing comes back.
    TimedOut,
    /// There is no way to that address.
    Unreachable,
    /// Another device answers there.
    WrongDevice,
    /// Anything else.
    Other,
}

/// Numbers of errors under Linux, macOS and Windows.
const NUMBERS: &[(u32, Failure)] = &[
    (111, Failure::Refused),
    (61, Failure::Refused),
    (10061, Failure::Refused),
    (110, Failure::TimedOut),
    (60, Failure::TimedOut),
    (10060, Failure::TimedOut),
    (101, Failure::Unreachable),
    (113, Failure::Unreachable),
    (51, Failure::Unreachable),
    (65, Failure::Unreachable),
    (10051, Failure::Unreachable),
    (10065, Failure::Unreachable),
];

/// Words in lower case that the plumbing and the systems use.
const WORDS: &[(&str, Failure)] = &[
    ("another device answered", Failure::WrongDevice),
    ("this device itself answered", Failure::WrongDevice),
    ("refused", Failure::Refused),
    ("timed out", Failure::TimedOut),
    ("timeout", Failure::TimedOut),
    ("no answer", Failure::TimedOut),
    ("unreachable", Failure::Unreachable),
    ("no route", Failure::Unreachable),
];

impl Failure {
    /// Reads the line that a dial ended with.
    #[must_use]
    pub fn of(line: &str) -> Self {
        let number =
            line.rsplit_once("(os error ").and_then(|(_, rest)| rest.split_once(')')?.0.parse().ok());
        let by_number = NUMBERS.iter().find(|(known, _)| Some(*known) == number);
        let line = line.to_lowercase();
        let by_words = || WORDS.iter().find(|(words, _)| line.contains(words)).map(|(_, kind)| *kind);
        by_number.map(|(_, kind)| *kind).or_else(by_words).unwrap_or(Self::Other)
    }

    /// Its stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::WrongDevice => "wrong_device",
            Self::Other => "other",
        }
    }
}
