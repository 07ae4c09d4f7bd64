//! What is printed: lines and tables for people, JSON for programs.
//!
//! Keeps true: nothing that others wrote can move the cursor, change colours or reorder text; columns line up whatever
//! the script; a reader that went away ends the program quietly.

use crate::cli::Failure;
use crate::lang::{Lang, Msg};
use serde_json::Value;
use std::io::{IsTerminal, Write};

/// Columns that a character takes on a terminal.
fn char_width(c: char) -> usize {
    match u32::from(c) {
        // Marks that sit on the character before, joiners, selectors.
        0x0300..=0x036f
        | 0x1ab0..=0x1aff
        | 0x1dc0..=0x1dff
        | 0x200b..=0x200f
        | 0x20d0..=0x20ff
        | 0xfe00..=0xfe0f
        | 0xfe20..=0xfe2f
        | 0xe0100..=0xe01ef => 0,
        0x1100..=0x115f
        | 0x2e80..=0x303e
        | 0x3041..=0x4dbf
        | 0x4e00..=0xa4cf
        | 0xa960..=0xa97f
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe10..=0xfe19
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1f64f
        | 0x1f680..=0x1f6ff
        | 0x1f900..=0x1f9ff
        | 0x1fa70..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Columns that a text takes on a terminal.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// Characters that reorder what is shown.
fn reorders(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text of others for a terminal: escape sequences and control characters taken out, line breaks kept.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let introduces = c == '\u{9b}' || (c == '\u{1b}' && chars.peek() == Some(&'['));
        if introduces {
            // Parameters up to and with the final byte.
            chars.next_if_eq(&'[');
            while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
            chars.next_if(|c| matches!(c, '@'..='~'));
        } else if c == '\n' || c == '\t' || !(c.is_control() || reorders(c)) {
            kept.push(c);
        }
    }
    kept
}

/// As [`clean`], in one line.
#[must_use]
pub fn clean_line(text: &str) -> String {
    clean(text).replace(['\n', '\t', '\u{2028}', '\u{2029}'], " ")
}

/// Bytes as people read them: `17 B`, `3.4 MiB`.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths of the unit, without rounding up to a unit that is not reached.
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10 * 1024 && unit + 1 < units.len() {
        tenths /= 1024;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or_default();
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// Rows under a header, columns aligned.
#[must_use]
pub fn table(header: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(header)
        .chain(rows.iter().cloned())
        .map(|row| row.iter().map(|cell| clean_line(cell)).collect())
        .collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max();
    let widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let padded = row
            .iter()
            .zip(&widths)
            .map(|(cell, width_of)| format!("{cell}{}", " ".repeat(width_of.saturating_sub(width(cell)))));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Standard output.
pub struct Out {
    /// Language of what is said.
    pub lang: Lang,
    /// JSON instead.
    pub json: bool,
    colours: bool,
}

impl Out {
    /// For this process; colours only on a terminal that takes them.
    #[must_use]
    pub fn new(lang: Lang, json: bool) -> Self {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { lang, json, colours }
    }

    /// A text in bold on a terminal.
    #[must_use]
    pub fn bold(&self, text: &str) -> String {
        if self.colours { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// A line.
    ///
    /// # Errors
    /// [`Failure`]; a reader that went away is [`Failure::quiet`].
    pub fn line(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(|error| {
            if error.kind() == std::io::ErrorKind::BrokenPipe {
                Failure::quiet()
            } else {
                Failure::failed(self.lang.say(Msg::StdoutFailed, &[("reason", &error.to_string())]))
            }
        })
    }

    /// A message.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn say(&self, message: Msg, args: &[(&str, &str)]) -> Result<(), Failure> {
        self.line(&clean_line(&self.lang.say(message, args)))
    }

    /// A JSON document.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn document(&self, value: &Value) -> Result<(), Failure> {
        self.line(&value.to_string())
    }

    /// The document with `--json`, the message without.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn either(&self, value: &Value, message: Msg, args: &[(&str, &str)]) -> Result<(), Failure> {
        if self.json { self.document(value) } else { self.say(message, args) }
    }

    /// A table, its header in bold.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn table(&self, header: &[Msg], rows: &[Vec<String>]) -> Result<(), Failure> {
        let header: Vec<&str> = header.iter().map(|cell| cell.text(self.lang)).collect();
        let lines = table(&header, rows);
        for (at, line) in lines.iter().enumerate() {
            if at == 0 {
                self.line(&self.bold(line))?
            } else {
                self.line(line)?
            };
        }
        Ok(())
    }

    /// Names and values under each other.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn fields(&self, fields: &[(Msg, String)]) -> Result<(), Failure> {
        let names = fields.iter().map(|(name, _)| name.text(self.lang));
        let widest = names.map(width).max().unwrap_or(0);
        for (name, value) in fields {
            let name = name.text(self.lang);
            let space = " ".repeat(widest.saturating_sub(width(name)) + 2);
            self.line(&format!("{}{space}{}", self.bold(name), clean_line(value)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_with_chinese_names() {
        let rows = vec![vec!["李雷".into(), "x".into()], vec!["bob".into(), "y".into()]];
        let lines = table(&["NAME", "V"], &rows);
        assert_eq!(lines, ["NAME  V", "李雷  x", "bob   y"]);
        assert_eq!((width("李雷"), width("e\u{301}"), width("abc")), (4, 1, 3));
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            ((25 << 20) - 1, "24.9 MiB"),
            (100 << 30, "100.0 GiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(size_text(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn what_others_wrote_cannot_drive_the_terminal() {
        assert_eq!(
            clean("a\u{1b}[31;1mred\u{1b}[0m\u{7}\u{202e}b\nc\u{9b}2Jd"),
            "ared\u{202e}b\nc d".replace(['\u{202e}', ' '], "")
        );
        assert_eq!(clean("\u{1b}]0;title\u{7}x"), "]0;titlex");
        assert_eq!(clean_line("a\nb"), "a b");
        assert_eq!(clean("\u{1b}["), "");
    }
}
