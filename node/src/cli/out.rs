//! What is printed: lines and tables for people, JSON for programs.
//!
//! Keeps true: nothing that others wrote can move the cursor, change colours or reorder text; columns line up whatever
//! the script; a reader that went away ends the program quietly.

use crate::cli::Failure;
use crate::lang::{Lang, Msg};
use serde_json::Value;
use std::io::{IsTerminal, Write};
use unicode_width::UnicodeWidthChar;

/// Columns that a text takes on a terminal.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().filter_map(UnicodeWidthChar::width).sum()
}

/// As much of the characters' front as fits.
fn fitting(chars: impl Iterator<Item = char>, columns: usize) -> Vec<char> {
    let mut taken = 0;
    let fits = |c: &char| {
        taken += c.width().unwrap_or(0);
        taken <= columns
    };
    chars.take_while(fits).collect()
}

/// The most columns of a name's ending that are kept when it is shortened.
const ENDING: usize = 12;

/// A name in at most so many columns: its middle is left out, its ending stays.
#[must_use]
pub fn shorten(name: &str, columns: usize) -> String {
    if width(name) <= columns {
        return name.to_owned();
    }
    let Some(room) = columns.checked_sub(1) else { return String::new() };
    let ending = name.rfind('.').and_then(|at| name.get(at..)).map_or(0, width);
    // The dot and a little of what stands before it.
    let behind = if ending < ENDING { (ending + 2).max(room / 3) } else { room / 3 };
    let mut back = fitting(name.chars().rev(), behind.min(room.saturating_sub(1)));
    back.reverse();
    // What combines with a character that is left out goes with it.
    let bare = back.iter().position(|c| c.width() != Some(0)).unwrap_or(back.len());
    let back: String = back.into_iter().skip(bare).collect();
    let front: String = fitting(name.chars(), room.saturating_sub(width(&back))).into_iter().collect();
    format!("{front}…{back}")
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

/// Space between two columns of a table.
const GAP: usize = 2;
/// Columns below which a table's cells are not shortened, however narrow the terminal.
const NARROWEST: usize = 12;

/// The widest cell of each column.
fn widths(rows: &[Vec<String>]) -> Vec<usize> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max();
    (0..columns).map(|column| widest(column).unwrap_or(0)).collect()
}

/// Rows under a header, columns aligned. `fit` is a column whose cells are shortened to what the others leave of a line of
/// so many columns.
#[must_use]
pub fn table(header: &[&str], rows: &[Vec<String>], fit: Option<(usize, usize)>) -> Vec<String> {
    let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    let mut rows: Vec<Vec<String>> = std::iter::once(header)
        .chain(rows.iter().cloned())
        .map(|row| row.iter().map(|cell| clean_line(cell)).collect())
        .collect();
    if let Some((column, line)) = fit {
        let widths = widths(&rows);
        let others = widths.iter().enumerate().filter(|(at, _)| *at != column);
        let taken: usize = others.map(|(_, width)| width + GAP).sum();
        let left = line.saturating_sub(taken).max(NARROWEST);
        for cell in rows.iter_mut().filter_map(|row| row.get_mut(column)) {
            *cell = shorten(cell, left);
        }
    }
    let widths = widths(&rows);
    let line = |row: &Vec<String>| {
        let padded = row
            .iter()
            .zip(&widths)
            .map(|(cell, width_of)| format!("{cell}{}", " ".repeat(width_of.saturating_sub(width(cell)))));
        padded.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Columns of a terminal; `None` where there is none.
pub(super) fn columns(term: &console::Term) -> Option<usize> {
    term.size_checked().map(|(_, columns)| usize::from(columns))
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
        self.table_fitting(header, rows, None)
    }

    /// A table, its header in bold; the cells of a column are shortened to what a terminal leaves for them.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn table_fitting(
        &self,
        header: &[Msg],
        rows: &[Vec<String>],
        column: Option<usize>,
    ) -> Result<(), Failure> {
        let header: Vec<&str> = header.iter().map(|cell| cell.text(self.lang)).collect();
        let lines = table(&header, rows, column.zip(columns(&console::Term::stdout())));
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
        let lines = table(&["NAME", "V"], &rows, None);
        assert_eq!(lines, ["NAME  V", "李雷  x", "bob   y"]);
        assert_eq!((width("李雷"), width("e\u{301}"), width("abc")), (4, 1, 3));
    }

    #[test]
    fn names_lose_their_middle_and_keep_their_ending() {
        for (name, columns, short) in [
            ("report.pdf", 10, "report.pdf"),
            ("a long report of this year.pdf", 16, "a long re…ar.pdf"),
            ("no ending at all here", 10, "no end…ere"),
            ("报告与总结二〇二六年.docx", 16, "报告与总…年.docx"),
            ("报告.docx", 2, "…"),
            ("报告.docx", 1, "…"),
            ("报告.docx", 0, ""),
            ("a.this is no ending of a file at all", 10, "a.this…all"),
            ("aaaaaaaaaaae\u{301}bc", 7, "aaaa…bc"),
        ] {
            assert_eq!(shorten(name, columns), short, "{name} in {columns}");
        }
        let long = format!("{}报告.tar", "长x\u{301}".repeat(60));
        for columns in 0..200 {
            assert!(width(&shorten(&long, columns)) <= columns, "{columns}");
        }
    }

    #[test]
    fn a_table_fits_its_terminal() {
        let rows = vec![
            vec!["1".into(), format!("{}.pdf", "报".repeat(60)), "running".into()],
            vec!["2".into(), "b".into(), "offered".into()],
        ];
        for columns in [40, 80, 120] {
            let lines = table(&["ID", "FILE", "STATE"], &rows, Some((1, columns)));
            assert!(lines.iter().all(|line| width(line) <= columns), "{columns}: {lines:?}");
            assert!(lines[1].contains(".pdf  running") || lines[1].contains(".pdf   running"), "{lines:?}");
        }
        assert!(
            table(&["ID", "FILE", "STATE"], &rows, None)[1].contains(&"报".repeat(60)),
            "whole in a pipe"
        );
        assert_eq!(table(&["A", "B"], &[vec!["x".into(), "y".into()]], Some((0, 80))), ["A  B", "x  y"]);
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
