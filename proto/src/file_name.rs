//! Names under which files from others are saved: safe on Linux, Windows and macOS alike, or refused.
//!
//! Keeps true: a [`FileName`] is one component that stays in its directory, opens no device and no stream, looks like what
//! it is, and means the same file on every platform. What could lead elsewhere is refused, not repaired; what a platform
//! only cannot spell is replaced. The rules: `docs/protocol.md#file-names`.

use crate::limits::MAX_SAVED_NAME;
use crate::names::is_hidden;
use std::fmt;
use unicode_normalization::UnicodeNormalization;

/// A name that no file may be saved under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileNameError {
    /// Nothing, or nothing that can be seen.
    #[error("the file has no name")]
    Empty,
    /// `.`, `..`, or dots and spaces alone.
    #[error("the file's name stands for a directory")]
    Directory,
    /// A `/` or `\`, or a drive letter.
    #[error("the file's name leads to another directory")]
    Path,
    /// A control character.
    #[error("the file's name holds the control character U+{0:04X}")]
    Control(u32),
}

/// A name that a file can be saved under: at most [`MAX_SAVED_NAME`] bytes, NFC.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(String);

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl FileName {
    /// A safe name for what somebody calls a file.
    ///
    /// # Errors
    /// [`FileNameError`].
    pub fn new(name: &str) -> Result<Self, FileNameError> {
        if let Some(control) = name.chars().find(|c| c.is_control()) {
            return Err(FileNameError::Control(control.into()));
        }
        // Letters of another form may be separators once they are composed, so the composed text is what is judged.
        let mut text: String = name.nfc().filter(|c| !is_hidden(*c)).collect();
        if text.contains(SEPARATORS) || is_drive(&text) {
            return Err(FileNameError::Path);
        }
        if text.trim().is_empty() {
            return Err(FileNameError::Empty);
        }
        text = text.chars().map(|c| if UNSPELLABLE.contains(&c) { '_' } else { c }).collect();
        let end = text.trim_end_matches(is_dropped).len();
        text.truncate(end);
        let text = text.trim_start_matches(|c: char| c.is_whitespace());
        if text.trim_matches('.').trim().is_empty() {
            return Err(FileNameError::Directory);
        }
        // In front, since a device is named by how the name begins.
        let text = if is_device(text) { format!("_{text}") } else { text.to_owned() };
        let (stem, extension) = split(&text);
        Ok(Self(shortened(stem, extension, MAX_SAVED_NAME)))
    }

    /// The name as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name for the `n`th file of this name: `name (n).ext`. Zero gives the name itself.
    #[must_use]
    pub fn numbered(&self, n: u32) -> Self {
        if n == 0 {
            return self.clone();
        }
        let (stem, extension) = split(&self.0);
        let mark = format!(" ({n})");
        let room = MAX_SAVED_NAME.saturating_sub(mark.len() + extension.len());
        let stem = cut(stem, room).trim_end_matches(is_dropped);
        Self(format!("{stem}{mark}{extension}"))
    }
}

/// Separators of directories on any platform, and letters that look or are mapped alike.
const SEPARATORS: &[char] = &[
    '/', '\\', '\u{2044}', '\u{2215}', '\u{29f5}', '\u{29f8}', '\u{29f9}', '\u{fe68}', '\u{ff0f}', '\u{ff3c}',
];
/// What Windows cannot spell; `:` would open a stream beside the file.
const UNSPELLABLE: &[char] = &['<', '>', ':', '"', '|', '?', '*'];

/// What Windows drops at the end of a name.
fn is_dropped(c: char) -> bool {
    c == '.' || c.is_whitespace()
}

fn is_drive(text: &str) -> bool {
    matches!(text.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

/// Stem and extension with its dot. A name that begins with its only dot has no extension.
fn split(text: &str) -> (&str, &str) {
    match text.rfind('.') {
        Some(at) if at > 0 && text.len() - at <= MAX_EXTENSION => text.split_at(at),
        _ => (text, ""),
    }
}

/// Bytes of an extension with its dot; what is longer is part of the stem.
const MAX_EXTENSION: usize = 33;

/// Whether Windows would open a device: a reserved word, whatever extension or spaces follow.
fn is_device(text: &str) -> bool {
    let word = text.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let plain = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"].contains(&word.as_str());
    let port = word.strip_prefix("COM").or_else(|| word.strip_prefix("LPT"));
    let mut digits = port.unwrap_or_default().chars();
    let one =
        matches!((digits.next(), digits.next()), (Some('0'..='9' | '\u{b9}' | '\u{b2}' | '\u{b3}'), None));
    plain || one
}

/// The longest beginning of at most so many bytes.
fn cut(text: &str, room: usize) -> &str {
    let end = (0..=room.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

fn shortened(stem: &str, extension: &str, most: usize) -> String {
    let stem = cut(stem, most.saturating_sub(extension.len()));
    // Where the cut falls, a dot or space may have come to the end.
    let stem = if extension.is_empty() { stem.trim_end_matches(is_dropped) } else { stem };
    format!("{stem}{extension}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(name: &str) -> Result<String, FileNameError> {
        FileName::new(name).map(|name| name.to_string())
    }

    #[test]
    fn ordinary_names_in_any_script_stay_as_they_are() {
        for name in [
            "report.pdf",
            "报告 2026 (最终).docx",
            "a",
            ".profile",
            "archive.tar.gz",
            "ไฟล์.txt",
            "👩‍💻 notes.md",
        ] {
            assert_eq!(saved(name).as_deref(), Ok(name));
        }
        assert_eq!(saved("Cafe\u{301}.txt"), saved("Caf\u{e9}.txt"), "one name, however it was composed");
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        use FileNameError as E;
        for (name, error) in [
            ("", E::Empty),
            ("  ", E::Empty),
            ("\u{200b}\u{202e}", E::Empty),
            (".", E::Directory),
            ("..", E::Directory),
            (". .", E::Directory),
            ("...", E::Directory),
            ("a/b", E::Path),
            ("..\\b", E::Path),
            ("C:x", E::Path),
            ("\\\\server\\share", E::Path),
            ("\\\\?\\C:\\x", E::Path),
            ("..\u{2215}x", E::Path),
            ("a\0b", E::Control(0)),
            ("a\nb", E::Control(10)),
            ("a\u{85}b", E::Control(0x85)),
        ] {
            assert_eq!(saved(name), Err(error), "{name:?}");
        }
    }

    #[test]
    fn what_one_platform_cannot_spell_is_replaced_on_all() {
        for (name, expected) in [
            ("what?.txt", "what_.txt"),
            ("file.txt:stream", "file.txt_stream"),
            ("trailing. . ", "trailing"),
            (" leading", "leading"),
            ("con", "_con"),
            ("NUL.txt", "_NUL.txt"),
            ("nul .txt", "_nul .txt"),
            ("com1.tar.gz", "_com1.tar.gz"),
            ("LPT\u{b9}", "_LPT\u{b9}"),
            ("console.txt", "console.txt"),
            ("com10", "com10"),
            ("cod\u{202e}gpj.exe", "codgpj.exe"),
        ] {
            assert_eq!(saved(name).as_deref(), Ok(expected), "{name:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension_and_a_number_fits_in() {
        let long = "长".repeat(200) + ".pdf";
        let name = FileName::new(&long).unwrap();
        assert!(name.as_str().len() <= MAX_SAVED_NAME && name.as_str().ends_with(".pdf"));
        let numbered = name.numbered(12);
        assert!(numbered.as_str().len() <= MAX_SAVED_NAME && numbered.as_str().ends_with(" (12).pdf"));
        assert_eq!(FileName::new("a.b.txt").unwrap().numbered(1).as_str(), "a.b (1).txt");
        assert_eq!(FileName::new(".profile").unwrap().numbered(2).as_str(), ".profile (2)");
        assert_eq!(FileName::new("x").unwrap().numbered(0).as_str(), "x");
    }
}
