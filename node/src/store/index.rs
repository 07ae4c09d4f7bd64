//! The search index: filled behind the commits, asked by the reader.
//!
//! Keeps true: every text is found as soon as it is committed, indexed or not (what is not indexed yet is looked through);
//! the index and its watermark move in one transaction, so that a crash at any point loses and doubles nothing; whatever
//! the index says is compared with the text itself.

use super::convert::{unsmall, wire_entry};
use super::limits::{INDEX_SLICE, SEARCH_LOOKED_AT};
use super::words::{self, Query};
use lanchat_proto::entry::{Entry, EntryKind, FileBody, TextBody};
use rusqlite::{Connection, Error, Row, Statement, params};

/// Entries that are not in the index yet.
pub(super) fn backlog(sql: &Connection) -> Result<u64, Error> {
    let last = super::load::arrival(sql)?;
    let indexed: i64 = sql.query_row("SELECT indexed FROM progress", [], |row| row.get(0))?;
    Ok(last.saturating_sub(unsmall(indexed)))
}

/// Adds the next few entries to the index; answers how many they were, 0 when all are in it. The commit is not synced: the
/// next synced one takes it along, and a power cut before that only makes the step to be done again.
pub(super) fn step(sql: &Connection) -> Result<u64, Error> {
    let next = next_texts(sql)?;
    let Some((last, _)) = next.last() else { return Ok(0) };
    sql.execute_batch("PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE")?;
    let written = (|| {
        let mut insert = sql.prepare_cached("INSERT INTO words (rowid, list) VALUES (?1, ?2)")?;
        for (arrival, text) in &next {
            if let Some(words) = text.as_deref().map(words::indexed).filter(|words| !words.is_empty()) {
                insert.execute(params![arrival, words])?;
            }
        }
        sql.prepare_cached("UPDATE progress SET indexed = ?1")?.execute([last])?;
        sql.execute_batch("COMMIT")
    })();
    if !sql.is_autocommit() {
        sql.execute_batch("ROLLBACK")?;
    }
    sql.execute_batch("PRAGMA synchronous = FULL")?;
    written?;
    Ok(u64::try_from(next.len()).unwrap_or(u64::MAX))
}

fn next_texts(sql: &Connection) -> Result<Vec<(i64, Option<String>)>, Error> {
    let mut statement = sql.prepare_cached(
        "SELECT arrival, kind, shown, header, signature, body FROM entries NOT INDEXED \
         WHERE arrival > (SELECT indexed FROM progress) ORDER BY arrival LIMIT ?1",
    )?;
    statement
        .query_map([i64::try_from(INDEX_SLICE).unwrap_or(1)], |row| {
            let shown: bool = row.get("shown")?;
            Ok((row.get("arrival")?, if shown { said(row)?.map(Said::into_text) } else { None }))
        })?
        .collect()
}

/// What an entry says in words.
pub(super) enum Said {
    /// A text.
    Text(TextBody),
    /// The name of an offered file.
    File(FileBody),
}

impl Said {
    fn text(&self) -> &str {
        match self {
            Self::Text(body) => &body.text,
            Self::File(file) => &file.name,
        }
    }

    fn into_text(self) -> String {
        match self {
            Self::Text(body) => body.text.into_string(),
            Self::File(file) => file.name.into_string(),
        }
    }
}

/// The words in a row with `arrival`, `kind`, `header`, `signature`, `body`; `None` for kinds without any, for a deleted
/// body and for bytes that are not what was stored.
pub(super) fn said(row: &Row<'_>) -> Result<Option<Said>, Error> {
    let kind = EntryKind::from_number(row.get("kind")?);
    let is_file = match kind {
        Some(EntryKind::Text) => false,
        Some(EntryKind::File) => true,
        Some(EntryKind::Open | EntryKind::Nudge) | None => return Ok(None),
    };
    let read = Entry::read(&wire_entry(row)?);
    if let Err(error) = &read {
        tracing::error!(arrival = row.get::<_, i64>("arrival")?, %error, "an entry on disk is damaged");
    }
    Ok(read.ok().and_then(|entry| match is_file {
        true => entry.body().ok().flatten().map(Said::File),
        false => entry.body().ok().flatten().map(Said::Text),
    }))
}

/// Arrival numbers of the shown texts that match, newest first. The caller holds a read transaction, so that the index
/// and what is not in it yet are of one moment.
pub(super) fn search(
    sql: &Connection,
    query: &Query,
    conversation: Option<i64>,
    limit: usize,
) -> Result<Vec<i64>, Error> {
    let mut search = Search { query, limit, left: SEARCH_LOOKED_AT, found: Vec::new() };
    let fresh = sql.prepare_cached(
        "SELECT arrival, kind, header, signature, body FROM entries NOT INDEXED \
         WHERE arrival > (SELECT indexed FROM progress) AND shown = 1 AND kind IN (2, 4) \
         AND (?1 IS NULL OR conversation_id = ?1) AND ?2 <> '' ORDER BY arrival DESC",
    )?;
    let indexed = sql.prepare_cached(
        "SELECT e.arrival, e.kind, e.header, e.signature, e.body FROM words \
         CROSS JOIN entries e ON e.arrival = words.rowid \
         WHERE words MATCH ?2 AND e.shown = 1 AND (?1 IS NULL OR e.conversation_id = ?1) ORDER BY words.rowid DESC",
    )?;
    let expression = query.expression();
    for mut statement in [fresh, indexed] {
        search.through(&mut statement, conversation, &expression)?;
    }
    Ok(search.found)
}

struct Search<'a> {
    query: &'a Query,
    limit: usize,
    left: usize,
    found: Vec<i64>,
}

impl Search<'_> {
    fn through(
        &mut self,
        statement: &mut Statement<'_>,
        conversation: Option<i64>,
        expression: &str,
    ) -> Result<(), Error> {
        let mut rows = statement.query(params![conversation, expression])?;
        while self.found.len() < self.limit && self.left > 0 {
            let Some(row) = rows.next()? else { break };
            self.left -= 1;
            if said(row)?.is_some_and(|said| self.query.matches(said.text())) {
                self.found.push(row.get("arrival")?);
            }
        }
        Ok(())
    }
}
