//! Readers: history, search, lists. Own read-only connections, so that nothing here ever waits for a write.
//!
//! Keeps true: each answer is of one moment of the database; a page costs as much as the page, not as the history; what
//! was delivered and read is computed from receipts whenever it is asked for.

use super::convert::{decoded, epoch, id, shifted, small, unsmall, wall};
use super::error::StoreError;
use super::index::Said;
use super::limits::{PAGE, READER_WAIT, READERS, UNREAD};
use super::rows::{ConversationRow, HistoryRow, Page, StoreStats};
use super::words::Query;
use super::{files, index, sqlite};
use lanchat_proto::entry::Descriptor;
use lanchat_proto::ids::{ConversationId, DeviceId, LogId, MessageId, UserId};
use lanchat_proto::state::STATE_RECEIPT;
use lanchat_proto::time::{Hlc, Wall};
use rusqlite::{Connection, Error, OptionalExtension, Row, params};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Readers for history and search; cheap to clone, blocking calls (use `spawn_blocking`). After
/// [`super::Store::close`] every call answers [`StoreError::Closed`].
#[derive(Clone, Debug)]
pub struct Reader {
    pool: Arc<Pool>,
}

#[derive(Debug)]
pub(super) struct Pool {
    path: PathBuf,
    /// The database's user.
    me: UserId,
    /// Connections that nobody uses; `None` once closed.
    idle: Mutex<Option<Vec<Connection>>>,
    returned: Condvar,
}

impl Pool {
    pub(super) fn open(path: &Path, me: UserId) -> Result<Self, StoreError> {
        let idle = (0..READERS).map(|_| sqlite::open_reader(path)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { path: path.to_owned(), me, idle: Mutex::new(Some(idle)), returned: Condvar::new() })
    }

    /// Closes idle connections; those in use are closed when they come back.
    pub(super) fn close(&self) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.returned.notify_all();
    }

    fn take(&self) -> Result<Connection, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = |idle: &mut Option<Vec<Connection>>| idle.as_ref().is_some_and(Vec::is_empty);
        let (mut idle, _) = self
            .returned
            .wait_timeout_while(idle, READER_WAIT, empty)
            .unwrap_or_else(PoisonError::into_inner);
        idle.as_mut().ok_or(StoreError::Closed)?.pop().ok_or(StoreError::Busy)
    }

    fn give_back(&self, connection: Connection) {
        if let Some(idle) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            idle.push(connection);
        }
        self.returned.notify_one();
    }
}

/// Rows for [`Receipts::message`]. The index is named, since SQLite keeps no statistics here to choose by.
fn rows_by(index: &str) -> String {
    format!(
        "SELECT e.*, c.conversation, c.descriptor, l.device, l.epoch, l.author FROM entries e {index} \
         CROSS JOIN logs l ON l.id = e.log_id CROSS JOIN conversations c ON c.id = e.conversation_id"
    )
}

impl Reader {
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        Self { pool }
    }

    /// Messages of a conversation, oldest first, the newest page unless `before` is given.
    ///
    /// # Errors
    /// [`StoreError::NoSuchMessage`] for a `before` that is not in the conversation.
    pub fn history(&self, conversation: &ConversationId, page: &Page) -> Result<Vec<HistoryRow>, StoreError> {
        let rows = self.read(|sql| {
            let Some(conversation) = conversation_row(sql, conversation)? else {
                return Ok(Some(Vec::new()));
            };
            let before = match &page.before {
                None => None,
                Some(message) => match place(sql, conversation, message)? {
                    None => return Ok(None),
                    place => place,
                },
            };
            history(sql, conversation, before, page.limit.min(PAGE)).map(Some)
        })?;
        match (rows, page.before) {
            (Some(rows), _) => Ok(rows),
            (None, Some(message)) => Err(StoreError::NoSuchMessage(message)),
            (None, None) => Ok(Vec::new()),
        }
    }

    /// Messages that hold all words of a query, newest first, at most 1,000. Empty for a query without words.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn search(
        &self,
        query: &str,
        conversation: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        let Some(query) = Query::parse(query) else { return Ok(Vec::new()) };
        self.read(|sql| {
            let within = conversation.map(|conversation| conversation_row(sql, conversation)).transpose()?;
            if within == Some(None) {
                return Ok(Vec::new());
            }
            let found = index::search(sql, &query, within.flatten(), limit.min(PAGE))?;
            let mut receipts = Receipts::default();
            let mut statement =
                sql.prepare_cached(&format!("{} WHERE e.arrival = ?1", rows_by("NOT INDEXED")))?;
            found
                .into_iter()
                .map(|arrival| statement.query_row([arrival], |row| receipts.message(sql, row)))
                .collect()
        })
    }

    /// When messages were sent, by their authors' stamps; those that are not here are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sent_at(&self, messages: &[MessageId]) -> Result<BTreeMap<MessageId, Wall>, StoreError> {
        self.read(|sql| {
            let mut statement = sql.prepare_cached(
                "SELECT stamp FROM entries INDEXED BY entries_message WHERE message = ?1 AND shown = 1 LIMIT 1",
            )?;
            let mut sent = BTreeMap::new();
            for message in messages {
                let stamp = statement.query_row([message.0], |row| super::convert::stamp(row, "stamp"));
                if let Some(stamp) = stamp.optional()? {
                    sent.insert(*message, stamp.wall());
                }
            }
            Ok(sent)
        })
    }

    /// One message.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn message(&self, message: &MessageId) -> Result<Option<HistoryRow>, StoreError> {
        self.read(|sql| {
            sql.prepare_cached(&format!(
                "{} WHERE e.message = ?1 AND e.shown = 1 ORDER BY e.arrival LIMIT 1",
                rows_by("INDEXED BY entries_message")
            ))?
            .query_row([message.0], |row| Receipts::default().message(sql, row))
            .optional()
        })
    }

    /// All conversations, the one with the newest message first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn conversations(&self) -> Result<Vec<ConversationRow>, StoreError> {
        let mut rows = self.read(|sql| {
            let mut statement = sql.prepare_cached("SELECT * FROM conversations ORDER BY id")?;
            let mut rows = statement.query([])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let key = row.get("id")?;
                found.push(ConversationRow {
                    conversation: id(row, "conversation", ConversationId::from_slice)?,
                    descriptor: decoded(row, "descriptor")?,
                    newest: history(sql, key, None, 1)?.pop(),
                    unread: unread(sql, key, &self.pool.me)?,
                });
            }
            Ok(found)
        })?;
        rows.sort_by_key(|row| std::cmp::Reverse(row.newest.as_ref().map(|newest| newest.sent_at)));
        Ok(rows)
    }

    /// How much there is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stats(&self) -> Result<StoreStats, StoreError> {
        self.read(|sql| {
            let number = |query: &str| sql.query_row(query, [], |row| row.get(0)).map(unsmall);
            let pages = number("SELECT page_count FROM pragma_page_count")?;
            let size = number("SELECT page_size FROM pragma_page_size")?;
            Ok(StoreStats {
                events: number("SELECT coalesce(sum(end_number), 0) FROM logs")?,
                bytes: pages.saturating_mul(size),
            })
        })
    }

    /// A consistent copy of the database, synced, private to its owner, at a path that does not exist yet.
    ///
    /// # Errors
    /// [`StoreError::Exists`] and others; nothing is left at the path then.
    pub fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let target = path
            .to_str()
            .ok_or_else(|| StoreError::file(path, std::io::Error::other("the path is not Unicode")))?;
        // SQLite takes an empty file as a new one, and leaves who may read it as it is.
        drop(files::create_private(path).map_err(|error| StoreError::file(path, error))?);
        let copied = self.with(|sql| sql.execute("VACUUM INTO ?1", [target]).map(drop)).and_then(|()| {
            let sync = std::fs::File::options().write(true).open(path).and_then(|file| file.sync_all());
            sync.and_then(|()| files::sync_directory_of(path)).map_err(|error| StoreError::file(path, error))
        });
        if copied.is_err() {
            // It was made above, for this copy alone.
            drop(std::fs::remove_file(path));
        }
        copied
    }

    /// The descriptor of a conversation that the store knows.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn descriptor(&self, conversation: &ConversationId) -> Result<Option<Descriptor>, StoreError> {
        self.read(|sql| {
            sql.prepare_cached("SELECT descriptor FROM conversations WHERE conversation = ?1")?
                .query_row([conversation.0], |row| decoded(row, "descriptor"))
                .optional()
        })
    }

    /// Runs a read within one transaction.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, StoreError> {
        self.with(|sql| {
            let moment = sql.unchecked_transaction()?;
            let result = work(sql);
            moment.finish()?;
            result
        })
    }

    fn with<T>(&self, work: impl FnOnce(&Connection) -> Result<T, Error>) -> Result<T, StoreError> {
        let connection = self.pool.take()?;
        let result = work(&connection).map_err(|error| StoreError::of(&self.pool.path, &error));
        self.pool.give_back(connection);
        result
    }
}

fn conversation_row(sql: &Connection, conversation: &ConversationId) -> Result<Option<i64>, Error> {
    sql.prepare_cached("SELECT id FROM conversations WHERE conversation = ?1")?
        .query_row([conversation.0], |row| row.get(0))
        .optional()
}

/// A place in the order of history.
#[derive(Clone, Copy)]
struct Place {
    at: i64,
    log: [u8; 32],
    epoch: [u8; 8],
    number: i64,
}

fn place(sql: &Connection, conversation: i64, message: &MessageId) -> Result<Option<Place>, Error> {
    sql.prepare_cached(
        "SELECT e.place, l.device, l.epoch, e.number FROM entries e INDEXED BY entries_message JOIN logs l ON l.id = e.log_id \
         WHERE e.message = ?1 AND e.shown = 1 AND e.conversation_id = ?2 ORDER BY e.arrival LIMIT 1",
    )?
    .query_row(params![message.0, conversation], |row| {
        Ok(Place { at: row.get(0)?, log: row.get(1)?, epoch: row.get(2)?, number: row.get(3)? })
    })
    .optional()
}

/// A page, oldest first. The index gives the rows in the order of their places; only rows of one place are sorted.
fn history(
    sql: &Connection,
    conversation: i64,
    before: Option<Place>,
    limit: usize,
) -> Result<Vec<HistoryRow>, Error> {
    let before = before.unwrap_or(Place {
        at: shifted(Hlc(u64::MAX).0),
        log: [0xff; 32],
        epoch: [0xff; 8],
        number: i64::MAX,
    });
    let mut statement = sql.prepare_cached(&history_sql())?;
    let limit = i64::try_from(limit).unwrap_or(0);
    let key = params![conversation, before.at, before.log, before.epoch, before.number, limit];
    let mut receipts = Receipts::default();
    let rows = statement.query_map(key, |row| receipts.message(sql, row))?;
    let mut page = rows.collect::<Result<Vec<_>, _>>()?;
    page.reverse();
    Ok(page)
}

pub(super) fn history_sql() -> String {
    format!(
        "{} WHERE e.conversation_id = ?1 AND e.shown = 1 AND e.place <= ?2 \
         AND (e.place < ?2 OR (l.device, l.epoch, e.number) < (?3, ?4, ?5)) \
         ORDER BY e.place DESC, l.device DESC, l.epoch DESC, e.number DESC LIMIT ?6",
        rows_by("INDEXED BY entries_history")
    )
}

/// Messages of others beyond what any of the user's devices has marked as seen, counted up to [`UNREAD`].
fn unread(sql: &Connection, conversation: i64, me: &UserId) -> Result<u64, Error> {
    let count: i64 = sql
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM logs l JOIN conversations c ON c.id = l.conversation_id \
             CROSS JOIN entries e INDEXED BY entries_log ON e.log_id = l.id AND e.branch = 0 AND e.number > coalesce(( \
                 SELECT max(s.seen) FROM states s WHERE s.conversation = c.conversation AND s.kind = ?3 \
                 AND s.subject = CAST(l.device || l.epoch AS BLOB) AND s.user = ?2), 0) \
             WHERE l.conversation_id = ?1 AND l.author <> ?2 AND e.shown = 1 LIMIT ?4)",
        )?
        .query_row(params![conversation, me.0, STATE_RECEIPT, small(UNREAD)], |row| row.get(0))?;
    Ok(unsmall(count))
}

/// Receipts of the logs that a page touches, read once for each.
#[derive(Default)]
struct Receipts {
    logs: BTreeMap<LogId, Vec<(UserId, u64, u64)>>,
}

impl Receipts {
    /// A row of [`rows_by`] as a message.
    fn message(&mut self, sql: &Connection, row: &Row<'_>) -> Result<HistoryRow, Error> {
        let log = LogId {
            conversation: id(row, "conversation", ConversationId::from_slice)?,
            device: id(row, "device", DeviceId::from_slice)?,
            epoch: id(row, "epoch", epoch)?,
        };
        let (author, number) = (id(row, "author", UserId::from_slice)?, unsmall(row.get("number")?));
        let (mut delivered_to, mut read_by) = (BTreeSet::new(), BTreeSet::new());
        // Receipts are for the log; an entry of a lost branch is no more in it.
        if !row.get::<_, bool>("branch")? {
            for (user, received, seen) in self.of(sql, &log)?.iter().filter(|(user, ..)| *user != author) {
                if number <= *received {
                    delivered_to.insert(*user);
                }
                if number <= *seen {
                    read_by.insert(*user);
                }
            }
        }
        let (text, file) = match index::said(row)? {
            Some(Said::Text(body)) => (Some(body.text.into_string()), None),
            Some(Said::File(file)) => (Some(file.name.to_string()), Some(file)),
            None => (None, None),
        };
        Ok(HistoryRow {
            message: id(row, "message", MessageId::from_slice)?,
            conversation: log.conversation,
            descriptor: decoded(row, "descriptor")?,
            author,
            log,
            number,
            kind: row.get("kind")?,
            text,
            file,
            reply_to: row.get::<_, Option<[u8; 16]>>("reply_to")?.map(MessageId),
            sent_at: super::convert::stamp(row, "stamp")?.wall(),
            received_at: wall(row, "received_at")?,
            deleted: row.get_ref("body")?.as_blob_or_null().is_ok_and(|body| body.is_none()),
            delivered_to: delivered_to.into_iter().collect(),
            read_by: read_by.into_iter().collect(),
        })
    }

    fn of(&mut self, sql: &Connection, log: &LogId) -> Result<&[(UserId, u64, u64)], Error> {
        let missing = match self.logs.entry(*log) {
            Entry::Occupied(known) => return Ok(known.into_mut()),
            Entry::Vacant(missing) => missing,
        };
        let rows = sql
            .prepare_cached("SELECT * FROM states WHERE conversation = ?1 AND kind = ?2 AND subject = ?3")?
            .query_map(params![log.conversation.0, STATE_RECEIPT, log.key()], |row| {
                Ok((
                    id(row, "user", UserId::from_slice)?,
                    unsmall(row.get("received")?),
                    unsmall(row.get("seen")?),
                ))
            })?
            .collect::<Result<Vec<_>, _>>()?;
        Ok(missing.insert(rows))
    }
}
