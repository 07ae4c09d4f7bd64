//! Names that people choose: the login and what is displayed.
//!
//! Keeps true: a login is plain ASCII, so two cannot look alike; a displayed name has no character that hides,
//! reorders or breaks a line. Parsed once at the edge; further in there are only [`UserName`] and [`DisplayText`].

use crate::limits::{MAX_DISPLAY_NAME, MAX_NOTE};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::str::FromStr;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// A name cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A login of another length or with other characters.
    #[error("a user name has 2 to 32 of a-z, 0-9, '.', '_', '-' and starts with a letter or digit")]
    Login,
    /// A login that the coordinator speaks under, or that would be taken for a command's word.
    #[error("the user name '{0}' is reserved")]
    Reserved(String),
    /// Too many characters.
    #[error("more than {0} characters")]
    TooLong(usize),
    /// Nothing to see.
    #[error("the text is empty")]
    Empty,
    /// A control, direction or invisible character.
    #[error("the character U+{:04X} is not allowed", u32::from(*.0))]
    Character(char),
}

/// Logins that nobody may register.
const RESERVED: &[&str] = &["system", "everyone", "admin", "all", "none", "auto"];

/// A login: `[a-z0-9][a-z0-9._-]{1,31}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct UserName(String);

impl UserName {
    /// The name as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Refuses logins that are kept for the organisation itself.
    ///
    /// # Errors
    /// [`NameError::Reserved`].
    pub fn check_registrable(&self) -> Result<(), NameError> {
        if RESERVED.contains(&self.0.as_str()) { Err(NameError::Reserved(self.0.clone())) } else { Ok(()) }
    }

    /// The nearest login to any text, for suggestions: `None` when nothing remains of it.
    #[must_use]
    pub fn suggest(text: &str) -> Option<Self> {
        let kept: String = text
            .to_lowercase()
            .chars()
            .map(|c| if c == ' ' { '-' } else { c })
            .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'))
            .skip_while(|c| !c.is_ascii_alphanumeric())
            .take(32)
            .collect();
        kept.parse().ok()
    }
}

impl FromStr for UserName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let first = text.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let rest = text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-'));
        if first && rest && (2..=32).contains(&text.len()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Login)
        }
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for UserName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = crate::codec::Text::<32>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// Text for a person's eye, at most `N` characters, NFC, in one line. May be empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Default)]
pub struct DisplayText<const N: usize>(String);

/// A display name, department or title.
pub type DisplayName = DisplayText<MAX_DISPLAY_NAME>;
/// A note about oneself.
pub type Note = DisplayText<MAX_NOTE>;

/// Characters that draw nothing although Unicode does not class them as format characters.
const INVISIBLE: &[char] =
    &['\u{034f}', '\u{115f}', '\u{1160}', '\u{17b4}', '\u{17b5}', '\u{2800}', '\u{3164}', '\u{ffa0}'];

/// Whether a character hides, reorders or breaks what is around it. The joiner of pictures is none.
pub(crate) fn is_hidden(c: char) -> bool {
    use GeneralCategory as G;
    let variation =
        matches!(c, '\u{fe00}'..='\u{fe0e}' | '\u{e0100}'..='\u{e01ef}' | '\u{180b}'..='\u{180f}');
    let category = matches!(
        c.general_category(),
        G::Control
            | G::Format
            | G::LineSeparator
            | G::ParagraphSeparator
            | G::Surrogate
            | G::PrivateUse
            | G::Unassigned
    );
    (category && c != JOINER) || variation || INVISIBLE.contains(&c)
}

/// Joins pictures to one, as in family emoji.
const JOINER: char = '\u{200d}';
/// Asks for the coloured form of the sign before it.
const EMOJI_FORM: char = '\u{fe0f}';

/// Whether a character that draws nothing itself has its purpose here: in a picture, never between letters.
fn in_picture(before: Option<char>, c: char, after: Option<char>) -> bool {
    use GeneralCategory as G;
    let sign = |c: char| matches!(c.general_category(), G::OtherSymbol | G::MathSymbol);
    let tone = |c: char| matches!(c, '\u{1f3fb}'..='\u{1f3ff}');
    match c {
        JOINER => before.is_some_and(|b| sign(b) || tone(b) || b == EMOJI_FORM) && after.is_some_and(sign),
        EMOJI_FORM => {
            let key =
                after == Some('\u{20e3}') && before.is_some_and(|b| b.is_ascii_digit() || "#*".contains(b));
            before.is_some_and(sign) || key
        }
        _ => true,
    }
}

impl<const N: usize> DisplayText<N> {
    /// Normalises (NFC, trimmed) and checks.
    ///
    /// # Errors
    /// [`NameError`] names the first character that is not allowed.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        // Before normalising: NFC may not be asked to work on megabytes.
        if text.len() > N.saturating_mul(16) {
            return Err(NameError::TooLong(N));
        }
        let text: String = text.trim().nfc().collect();
        let (mut before, mut rest) = (None, text.chars().peekable());
        while let Some(c) = rest.next() {
            if is_hidden(c) || !in_picture(before, c, rest.peek().copied()) {
                return Err(NameError::Character(c));
            }
            before = Some(c);
        }
        if text.chars().count() > N { Err(NameError::TooLong(N)) } else { Ok(Self(text)) }
    }

    /// As [`Self::parse`], and not empty.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn parse_filled(text: &str) -> Result<Self, NameError> {
        let parsed = Self::parse(text)?;
        if parsed.0.is_empty() { Err(NameError::Empty) } else { Ok(parsed) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> From<&UserName> for DisplayText<N> {
    fn from(name: &UserName) -> Self {
        Self(name.0.clone())
    }
}

impl<const N: usize> fmt::Display for DisplayText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const N: usize> fmt::Debug for DisplayText<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl<'de, const N: usize> Deserialize<'de> for DisplayText<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = crate::codec::Text::<4096>::deserialize(deserializer)?;
        let parsed = Self::parse(&text).map_err(D::Error::custom)?;
        if parsed.0 == *text { Ok(parsed) } else { Err(D::Error::custom("text is not normalised")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_plain_and_short() {
        for good in ["al", "alice", "a.b_c-9", "0x"] {
            assert!(good.parse::<UserName>().is_ok(), "{good}");
        }
        let long = "a".repeat(33);
        for bad in ["", "a", "Alice", ".ab", "-ab", "al ice", "ålice", "李雷", "a\n", long.as_str()] {
            assert_eq!(bad.parse::<UserName>(), Err(NameError::Login), "{bad:?}");
        }
        assert!("system".parse::<UserName>().unwrap().check_registrable().is_err());
    }

    #[test]
    fn display_names_take_any_script_but_nothing_hidden() {
        for good in ["李雷", "Ana María", "Łukasz 🙂", "👩‍👩‍👧", "日本 太郎", "🏳️‍🌈", "👩🏽‍⚕️", "7️⃣"]
        {
            assert!(DisplayName::parse_filled(good).is_ok(), "{good}");
        }
        for bad in [
            "a-\u{200d}b",
            "a\u{fe0f}",
            "1\u{fe0f}",
            "🙂\u{200d}b",
            "a\u{202e}b",
            "a\u{200b}",
            "a\nb",
            "\u{200d}",
            "ab\u{200d}",
            "x\u{3164}",
            "\u{feff}a",
            "a\u{0}",
        ] {
            assert!(matches!(DisplayName::parse_filled(bad), Err(NameError::Character(_))), "{bad:?}");
        }
        assert_eq!(DisplayName::parse_filled("  "), Err(NameError::Empty));
        assert_eq!(DisplayName::parse("e\u{301}").unwrap().as_str(), "é");
        assert_eq!(DisplayName::parse(&"长".repeat(65)), Err(NameError::TooLong(64)));
        assert_eq!(DisplayName::parse(&"长".repeat(64)).unwrap().as_str().chars().count(), 64);
    }
}
