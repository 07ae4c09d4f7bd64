//! Text to words, for the index and for queries alike.
//!
//! Keeps true: what a person would call the same word has the same spelling here (case, accents and width are folded);
//! scripts without spaces between words are cut into overlapping pairs of characters, so that any two characters that
//! stand together are found, and single characters. A word holds only characters that the index takes as part of a word,
//! so that nothing in a query is ever an operator.

use super::limits::QUERY_WORDS;
use std::collections::BTreeSet;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// A query, ready to be compared with texts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// Words that a text must hold whole.
    words: Vec<String>,
    /// Strings of an unspaced script that a text must hold anywhere.
    runs: Vec<String>,
}

impl Query {
    /// Cuts a query up; `None` when no word is in it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let folded = fold(text);
        let mut query = Self { words: Vec::new(), runs: Vec::new() };
        for piece in pieces(&folded).take(QUERY_WORDS) {
            match piece {
                Piece::Word(word) => query.words.push(word.to_owned()),
                Piece::Run(run) => query.runs.push(run.to_owned()),
            }
        }
        (!query.words.is_empty() || !query.runs.is_empty()).then_some(query)
    }

    /// The query for the index: every text that matches is found by it, and a few that do not.
    pub(super) fn expression(&self) -> String {
        let mut terms: BTreeSet<String> = self.words.iter().cloned().collect();
        for run in &self.runs {
            let pairs = pairs(run);
            terms.extend(if pairs.is_empty() { vec![run.clone()] } else { pairs });
        }
        let quoted: Vec<String> = terms.iter().take(QUERY_WORDS).map(|term| format!("\"{term}\"")).collect();
        quoted.join(" ")
    }

    /// Whether a text holds all words and runs.
    pub(super) fn matches(&self, text: &str) -> bool {
        let folded = fold(text);
        if !self.runs.iter().all(|run| folded.contains(run.as_str())) {
            return false;
        }
        let mut missing: BTreeSet<&str> = self.words.iter().map(String::as_str).collect();
        for piece in pieces(&folded) {
            if missing.is_empty() {
                break;
            }
            if let Piece::Word(word) = piece {
                missing.remove(word);
            }
        }
        missing.is_empty()
    }
}

/// The words of a text as the index takes them, with spaces between; empty for a text without words.
pub(super) fn indexed(text: &str) -> String {
    let folded = fold(text);
    let mut words = BTreeSet::new();
    for piece in pieces(&folded) {
        match piece {
            Piece::Word(word) => {
                words.insert(word.to_owned());
            }
            Piece::Run(run) => {
                words.extend(pairs(run));
                words.extend(run.chars().map(String::from));
            }
        }
    }
    words.into_iter().collect::<Vec<_>>().join(" ")
}

enum Piece<'a> {
    Word(&'a str),
    Run(&'a str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Between,
    Spaced,
    Unspaced,
}

fn class(c: char) -> Class {
    if c.is_ascii() {
        return if c.is_ascii_alphanumeric() { Class::Spaced } else { Class::Between };
    }
    let unspaced = matches!(c,
        '\u{0e00}'..='\u{0eff}'         // Thai, Lao
        | '\u{1000}'..='\u{109f}'       // Myanmar
        | '\u{1100}'..='\u{11ff}'       // Hangul letters
        | '\u{1780}'..='\u{17d3}'       // Khmer
        | '\u{3005}'..='\u{3007}'       // 々〆〇
        | '\u{3041}'..='\u{30fa}'       // kana
        | '\u{30fc}'..='\u{31ff}'       // kana, Bopomofo, Hangul letters
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7ff}'       // Hangul syllables
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}');
    if unspaced {
        Class::Unspaced
    } else if c.is_alphanumeric() || is_combining_mark(c) {
        Class::Spaced
    } else {
        Class::Between
    }
}

/// Cuts folded text into words and runs.
fn pieces(folded: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = folded;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c| class(c) == Class::Between);
        let kind = class(rest.chars().next()?);
        let end = rest.find(|c| class(c) != kind).unwrap_or(rest.len());
        let (piece, behind) = rest.split_at_checked(end)?;
        rest = behind;
        Some(if kind == Class::Unspaced { Piece::Run(piece) } else { Piece::Word(piece) })
    })
}

/// Overlapping pairs of a run's characters; none for a single character.
fn pairs(run: &str) -> Vec<String> {
    run.chars().zip(run.chars().skip(1)).map(|(a, b)| String::from_iter([a, b])).collect()
}

/// Lower case, one form for compatible characters (wide Latin, half-width kana), accents of the European scripts removed.
/// Marks of other scripts stay: they are letters there.
fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let plain = |c: &char| !matches!(c, '\u{0300}'..='\u{036f}');
    text.nfkd().filter(plain).nfc().flat_map(char::to_lowercase).nfkd().filter(plain).nfc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(query: &str, text: &str) -> bool {
        let query = Query::parse(query).unwrap();
        let index = format!(" {} ", indexed(text));
        let by_index = query
            .expression()
            .split(' ')
            .all(|term| index.contains(&format!(" {} ", term.trim_matches('"'))));
        assert!(by_index || !query.matches(text), "the index misses {text:?}");
        query.matches(text)
    }

    #[test]
    fn words_are_found_whole_whatever_their_case_accents_and_width() {
        for (query, text) in [
            ("hello", "Hello, world!"),
            ("WORLD hello", "Hello, world!"),
            ("cafe", "Café, s'il vous plaît"),
            ("PLAÎT", "Café, s'il vous plait"),
            ("straße", "STRAßE 7"),
            ("ＡＢＣ", "abc"),
            ("Ёлка", "елка"),
            ("2024-06", "am 06.2024"),
            ("İstanbul", "istanbul"),
        ] {
            assert!(found(query, text), "{query} in {text}");
        }
        for (query, text) in [("hell", "hello"), ("hello there", "hello"), ("abc", "a b c")] {
            assert!(!found(query, text), "{query} in {text}");
        }
    }

    #[test]
    fn any_characters_that_stand_together_are_found_in_scripts_without_spaces() {
        let text = "明天下午三点在会议室开会，请带电脑。";
        for query in ["会议", "会", "会议室", "明天下午三点在会议室开会", "电脑 会议", "开会"]
        {
            assert!(found(query, text), "{query}");
        }
        for query in ["议会", "会请", "天明", "带脑", "明天 后天", "龙"] {
            assert!(!found(query, text), "{query}");
        }
        assert!(found("ありがとう", "どうもありがとうございます"));
        assert!(found("ｶﾀｶﾅ", "カタカナ"));
        assert!(found("회의", "내일 회의실에서"));
        assert!(found("ประชุม", "พรุ่งนี้ประชุมบ่ายสาม"));
        assert!(found("rust语言", "我喜欢Rust语言"));
        assert!(found("Rust 喜欢", "我喜欢Rust语言"));
    }

    #[test]
    fn nothing_in_a_query_is_an_operator() {
        for query in ["a\" OR \"b", "NEAR(a b)", "words:a", "a* -b ^c", "(a) AND {b}", "'; DROP TABLE x"] {
            let expression = Query::parse(query).unwrap().expression();
            let plain = |term: &str| term.trim_matches('"').chars().all(char::is_alphanumeric);
            assert!(expression.split(' ').all(|term| term.starts_with('"') && plain(term)), "{expression}");
        }
        for query in ["", " ", "\"\"", "*", "，。"] {
            assert_eq!(Query::parse(query), None);
        }
    }
}
