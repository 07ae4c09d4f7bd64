//! Changes to rows.
//!
//! Keeps true: an entry goes in only as the next of its log, checked against what is on disk; a message that is issued
//! again is shown once; an answer is never shown before what it answers; an older word never replaces a newer one.
//! Everything runs inside the writer's transaction. Queries name their index: SQLite keeps no statistics here, and a guess
//! that walks a whole conversation for each entry would pass every small test.

use super::Membership;
use super::convert::{encoded, shifted, small, unshifted};
use super::limits::MOVED_ANSWERS;
use super::load::{log_end, log_row};
use lanchat_node_core::boot::{DeviceTrust, KnownDevice, StoredTransfer};
use lanchat_node_core::output::{Change, StoredEntry};
use lanchat_proto::certificate::{ListAnchor, Revocation};
use lanchat_proto::entry::{EntryError, EntryKind, LogEnd, TextBody};
use lanchat_proto::ids::{ConversationId, DeviceId, EntryHash, Epoch, LogId, MessageId, RealmId};
use lanchat_proto::limits::MAX_CLOCK_AHEAD;
use lanchat_proto::signed::Signed;
use lanchat_proto::state::{FileRecord, ReceiptRecord, STATE_FILE, STATE_RECEIPT, SignedState};
use lanchat_proto::time::{Hlc, Wall};
use lanchat_proto::wire::coordinator::{DirectoryMark, Profile};
use rusqlite::{Connection, OptionalExtension, params};

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    /// SQLite failed.
    #[error("{}", super::error::reason(.0))]
    Sql(#[from] rusqlite::Error),
    /// The entry does not continue its log.
    #[error("{0}")]
    Entry(#[from] EntryError),
    /// The log takes nothing any more.
    #[error("the log is frozen")]
    Frozen,
    /// The descriptor is not the conversation's.
    #[error("the entry names another conversation than its descriptor")]
    Conversation,
}

/// Who this database belongs to, as far as changes need it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    /// The realm.
    pub(super) realm: RealmId,
    /// The own device.
    pub(super) device: DeviceId,
}

/// Makes one change.
pub(super) fn apply(sql: &Connection, owner: &Owner, change: &Change) -> Result<(), ApplyError> {
    match change {
        Change::Entry(stored) => entry(sql, owner, stored)?,
        Change::Receipt { record, signed } => receipt(sql, record, signed)?,
        Change::Word { record, signed } => word(sql, record, signed)?,
        Change::Transfer(stored) => transfer(sql, stored)?,
        Change::ForgetTransfer { conversation, offer } => forget_transfer(sql, conversation, offer)?,
        Change::Epoch(epoch) => set_epoch(sql, *epoch)?,
        Change::Branch { log, from } => branch(sql, log, *from)?,
        Change::Freeze { log } => {
            if let Some(row) = log_row(sql, log)? {
                sql.prepare_cached("UPDATE logs SET frozen = 1 WHERE id = ?1")?.execute([row])?;
            }
        }
        Change::Device(device) => known_device(sql, device)?,
        Change::Root(stored) => {
            sql.prepare_cached("INSERT OR REPLACE INTO roots VALUES (?1, ?2, ?3)")?.execute(params![
                stored.user.0,
                stored.root.0,
                stored.confirmed.map(|root| root.0)
            ])?;
        }
        Change::Profiles { fresh, profiles, mark } => directory(sql, *fresh, profiles, mark.as_ref())?,
        Change::Revocation { anchor, issuer, number, signed } => {
            revocation(sql, anchor, issuer, *number, signed)?;
        }
        Change::Own { certificate, chain } => {
            sql.prepare_cached("UPDATE membership SET certificate = ?1, chain = ?2")?
                .execute(params![encoded(certificate)?, encoded(chain)?])?;
        }
        Change::ClockOffset(offset) => {
            sql.prepare_cached("UPDATE progress SET clock_offset = ?1")?.execute([offset])?;
        }
        Change::Announcement { number, at, text } => {
            sql.prepare_cached("INSERT INTO announcements VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
                .execute(params![shifted(*number), small(at.0), text])?;
        }
    }
    Ok(())
}

/// Logs whose ends a change moves.
pub(super) fn touched(change: &Change) -> Option<LogId> {
    match change {
        Change::Entry(stored) => Some(stored.entry.header.log()),
        Change::Branch { log, .. } | Change::Freeze { log } => Some(*log),
        _ => None,
    }
}

/// Writes the database's only membership, or replaces it.
pub(super) fn set_membership(sql: &Connection, m: &Membership, epoch: Epoch) -> rusqlite::Result<()> {
    let (key, addresses) = match &m.coordinator {
        Some((key, addresses)) => (Some(key.0), addresses.join("\n")),
        None => (None, String::new()),
    };
    let sql_text = "INSERT OR REPLACE INTO membership VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    sql.execute(
        sql_text,
        params![
            m.realm.0,
            m.user.0,
            m.name,
            m.device.0,
            encoded(&m.certificate)?,
            encoded(&m.chain)?,
            key,
            addresses,
            m.org,
            epoch.0.to_be_bytes()
        ],
    )?;
    Ok(())
}

/// Writes the database's epoch.
pub(super) fn set_epoch(sql: &Connection, epoch: Epoch) -> rusqlite::Result<()> {
    sql.execute("UPDATE membership SET epoch = ?1", [epoch.0.to_be_bytes()]).map(drop)
}

/// A log's row while an entry is added to it.
struct LogRow {
    id: i64,
    conversation: i64,
    end: LogEnd,
    frozen: bool,
}

fn entry(sql: &Connection, owner: &Owner, stored: &StoredEntry) -> Result<(), ApplyError> {
    let header = &stored.entry.header;
    let log = log_for(sql, owner, stored)?;
    if log.frozen {
        return Err(ApplyError::Frozen);
    }
    if !(stored.begins && log.end.number == 0) {
        stored.entry.follows(&log.end)?;
    }
    let reply_to = match EntryKind::from_number(header.kind) {
        Some(EntryKind::Text) => {
            stored.entry.body::<TextBody>().ok().flatten().and_then(|body| body.reply_to)
        }
        _ => None,
    };
    let is_message = header.kind != EntryKind::Open.number();
    let shown = is_message && !already_shown(sql, &log, &header.device, &header.message)?;
    let place = match reply_to.filter(|_| shown) {
        Some(target) => place_of(sql, &log, &target)?.map_or(header.time, |at| header.time.max(at.next())),
        None => header.time,
    };
    let wire = &stored.entry.wire;
    sql.prepare_cached(
        "INSERT INTO entries (log_id, number, conversation_id, kind, message, shown, place, reply_to, stamp, \
         received_at, hash, header, signature, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        log.id,
        small(header.number),
        log.conversation,
        header.kind,
        header.message.0,
        shown,
        shifted(place.0),
        reply_to.map(|message| message.0),
        shifted(header.time.0),
        small(stored.received_at.0),
        stored.entry.hash.0,
        &*wire.header,
        wire.signature.to_bytes(),
        wire.body.as_deref(),
    ])?;
    set_end(sql, log.id, &stored.entry.end())?;
    note_stamp(sql, owner, stored)?;
    if shown {
        move_answers(sql, &log, header.message, place)?
    }
    Ok(())
}

/// Finds the entry's log, or begins it.
fn log_for(sql: &Connection, owner: &Owner, stored: &StoredEntry) -> Result<LogRow, ApplyError> {
    let header = &stored.entry.header;
    let key = params![header.conversation.0, header.device.0, header.epoch.0.to_be_bytes()];
    let found = sql
        .prepare_cached(
            "SELECT l.* FROM logs l JOIN conversations c ON c.id = l.conversation_id \
             WHERE c.conversation = ?1 AND l.device = ?2 AND l.epoch = ?3",
        )?
        .query_row(key, |row| {
            let (id, conversation) = (row.get("id")?, row.get("conversation_id")?);
            Ok(LogRow { id, conversation, end: log_end(row)?, frozen: row.get("frozen")? })
        })
        .optional()?;
    if let Some(found) = found {
        return Ok(found);
    }
    if stored.descriptor.id(&owner.realm) != Some(header.conversation) {
        return Err(ApplyError::Conversation);
    }
    sql.prepare_cached(
        "INSERT INTO conversations (conversation, descriptor) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
    )?
    .execute(params![header.conversation.0, encoded(&stored.descriptor)?])?;
    let conversation: i64 = sql
        .prepare_cached("SELECT id FROM conversations WHERE conversation = ?1")?
        .query_row([header.conversation.0], |row| row.get(0))?;
    sql.prepare_cached(
        "INSERT INTO logs (conversation_id, device, epoch, author, end_number, end_hash, end_stamp) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        conversation,
        header.device.0,
        header.epoch.0.to_be_bytes(),
        stored.author.0,
        small(LogEnd::EMPTY.number),
        LogEnd::EMPTY.hash.0,
        shifted(LogEnd::EMPTY.time.0)
    ])?;
    Ok(LogRow { id: sql.last_insert_rowid(), conversation, end: LogEnd::EMPTY, frozen: false })
}

fn set_end(sql: &Connection, log: i64, end: &LogEnd) -> rusqlite::Result<()> {
    sql.prepare_cached("UPDATE logs SET end_number = ?2, end_hash = ?3, end_stamp = ?4 WHERE id = ?1")?
        .execute(params![log, small(end.number), end.hash.0, shifted(end.time.0)])
        .map(drop)
}

/// Whether history shows this device's message already. Ids are chosen by authors: another device's message of the same
/// id is another message. A branch gives its place to the message that is issued again.
fn already_shown(
    sql: &Connection,
    log: &LogRow,
    device: &DeviceId,
    message: &MessageId,
) -> rusqlite::Result<bool> {
    let same: Vec<(i64, bool)> = sql
        .prepare_cached(
            "SELECT e.arrival, e.branch FROM entries e INDEXED BY entries_message JOIN logs l ON l.id = e.log_id \
             WHERE e.message = ?1 AND e.shown = 1 AND e.conversation_id = ?2 AND l.device = ?3",
        )?
        .query_map(params![message.0, log.conversation, device.0], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (arrival, _) in same.iter().filter(|(_, branch)| *branch) {
        sql.prepare_cached("UPDATE entries SET shown = 0 WHERE arrival = ?1")?.execute([arrival])?;
    }
    Ok(same.iter().any(|(_, branch)| !branch))
}

/// Where history shows a message of the same conversation.
fn place_of(sql: &Connection, log: &LogRow, message: &MessageId) -> rusqlite::Result<Option<Hlc>> {
    let place: Option<i64> = sql
        .prepare_cached(
            "SELECT max(place) FROM entries INDEXED BY entries_message \
             WHERE message = ?1 AND shown = 1 AND conversation_id = ?2",
        )?
        .query_row(params![message.0, log.conversation], |row| row.get(0))?;
    Ok(place.map(|place| Hlc(unshifted(place))))
}

/// Moves answers that came before what they answer behind it, and the answers to those, so that every node that holds the
/// same entries shows the same order. Bounded, since ids can be made to answer each other in a circle.
fn move_answers(sql: &Connection, log: &LogRow, message: MessageId, place: Hlc) -> rusqlite::Result<()> {
    let mut find = sql.prepare_cached(
        "SELECT arrival, message FROM entries INDEXED BY entries_reply \
         WHERE reply_to = ?1 AND shown = 1 AND conversation_id = ?2 AND place <= ?3 ORDER BY arrival LIMIT ?4",
    )?;
    let mut write = sql.prepare_cached("UPDATE entries SET place = ?2 WHERE arrival = ?1")?;
    let mut waiting = vec![(message.0, place)];
    let mut moved = 0;
    while let Some((target, place)) = waiting.pop() {
        let limit = i64::try_from(MOVED_ANSWERS.saturating_sub(moved)).unwrap_or(0);
        let answers: Vec<(i64, [u8; 16])> = find
            .query_map(params![target, log.conversation, shifted(place.0), limit], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<_, _>>()?;
        for (arrival, answer) in answers {
            write.execute(params![arrival, shifted(place.next().0)])?;
            waiting.push((answer, place.next()));
            moved += 1;
        }
    }
    Ok(())
}

/// Keeps the newest stamp given or adopted. One of another device far ahead of this disk's clock was not adopted.
fn note_stamp(sql: &Connection, owner: &Owner, stored: &StoredEntry) -> rusqlite::Result<()> {
    let header = &stored.entry.header;
    if header.device != owner.device && header.time.wall() > stored.received_at.plus(MAX_CLOCK_AHEAD) {
        return Ok(());
    }
    sql.prepare_cached("UPDATE progress SET last_stamp = ?1 WHERE last_stamp < ?1")?
        .execute([shifted(header.time.0)])
        .map(drop)
}

fn branch(sql: &Connection, log: &LogId, from: u64) -> Result<(), ApplyError> {
    let Some(row) = log_row(sql, log)? else { return Ok(()) };
    sql.prepare_cached("UPDATE entries SET branch = 1 WHERE log_id = ?1 AND number >= ?2 AND branch = 0")?
        .execute(params![row, small(from)])?;
    let newest = sql
        .prepare_cached(
            "SELECT number AS end_number, hash AS end_hash, stamp AS end_stamp FROM entries INDEXED BY entries_log \
             WHERE log_id = ?1 AND branch = 0 ORDER BY number DESC LIMIT 1",
        )?
        .query_row([row], log_end)
        .optional()?;
    set_end(sql, row, &newest.unwrap_or(LogEnd { hash: EntryHash::NONE, ..LogEnd::EMPTY }))?;
    Ok(())
}

fn receipt(sql: &Connection, record: &ReceiptRecord, signed: &SignedState) -> rusqlite::Result<()> {
    sql.prepare_cached(
        "INSERT INTO states (conversation, kind, subject, device, user, counter, received, seen, signed) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
         ON CONFLICT (conversation, kind, subject, device) DO UPDATE SET user = excluded.user, \
         counter = excluded.counter, received = excluded.received, seen = excluded.seen, signed = excluded.signed \
         WHERE excluded.counter > counter",
    )?
    .execute(params![
        record.log.conversation.0,
        STATE_RECEIPT,
        record.log.key(),
        record.reader.0,
        record.user.0,
        shifted(record.counter),
        small(record.receipt.received),
        small(record.receipt.read),
        encoded(signed)?
    ])
    .map(drop)
}

fn word(sql: &Connection, record: &FileRecord, signed: &SignedState) -> rusqlite::Result<()> {
    sql.prepare_cached(
        "INSERT INTO states (conversation, kind, subject, device, user, counter, received, seen, signed) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7) \
         ON CONFLICT (conversation, kind, subject, device) DO UPDATE SET user = excluded.user, \
         counter = excluded.counter, signed = excluded.signed WHERE excluded.counter > counter",
    )?
    .execute(params![
        record.conversation.0,
        STATE_FILE,
        record.offer.0,
        record.device.0,
        record.user.0,
        shifted(record.counter),
        encoded(signed)?
    ])
    .map(drop)
}

fn transfer(sql: &Connection, stored: &StoredTransfer) -> rusqlite::Result<()> {
    sql.prepare_cached("INSERT OR REPLACE INTO transfers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
        .execute(params![
            stored.offer.0,
            stored.conversation.0,
            stored.entry.0,
            stored.author.0,
            stored.device.0,
            encoded(&stored.file)?,
            stored.state.name(),
            stored.error
        ])
        .map(drop)
}

fn forget_transfer(
    sql: &Connection,
    conversation: &ConversationId,
    offer: &MessageId,
) -> rusqlite::Result<()> {
    sql.prepare_cached("DELETE FROM transfers WHERE offer = ?1")?.execute(params![offer.0])?;
    sql.prepare_cached("DELETE FROM states WHERE conversation = ?1 AND kind = ?2 AND subject = ?3")?
        .execute(params![conversation.0, STATE_FILE, offer.0])
        .map(drop)
}

fn known_device(sql: &Connection, known: &KnownDevice) -> rusqlite::Result<()> {
    let trust = match known.trust {
        DeviceTrust::Unendorsed => 0,
        DeviceTrust::Endorsed => 1,
        DeviceTrust::Accepted => 2,
    };
    sql.prepare_cached("INSERT OR REPLACE INTO devices VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            known.device.0,
            known.user.0,
            trust,
            encoded(&known.certificate)?,
            encoded(&known.chain)?,
            small(known.since),
            known.endpoint.map(|endpoint| endpoint.to_string())
        ])
        .map(drop)
}

fn directory(
    sql: &Connection,
    fresh: bool,
    profiles: &[Profile],
    mark: Option<&DirectoryMark>,
) -> rusqlite::Result<()> {
    if fresh {
        sql.execute("DELETE FROM profiles", [])?;
    }
    // While pages are missing, the copy is as new as it was; an emptied one is as good as none.
    let mark = mark.copied().or_else(|| fresh.then(DirectoryMark::default));
    for profile in profiles {
        sql.prepare_cached("INSERT OR REPLACE INTO profiles VALUES (?1, ?2)")?
            .execute(params![profile.user.0, encoded(profile)?])?;
    }
    if let Some(mark) = mark {
        sql.prepare_cached("UPDATE progress SET directory_generation = ?1, directory_version = ?2")?
            .execute(params![mark.generation.to_be_bytes(), mark.version.to_be_bytes()])?;
    }
    Ok(())
}

fn revocation(
    sql: &Connection,
    anchor: &ListAnchor,
    issuer: &DeviceId,
    number: u64,
    signed: &Signed<Revocation>,
) -> rusqlite::Result<()> {
    sql.prepare_cached("INSERT INTO revocations VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")?
        .execute(params![issuer.0, shifted(number), encoded(anchor)?, encoded(signed)?])
        .map(drop)
}

/// The rows that a new database begins with.
pub(super) fn first_rows(sql: &Connection, membership: &Membership, epoch: Epoch) -> rusqlite::Result<()> {
    set_membership(sql, membership, epoch)?;
    sql.execute(
        "INSERT INTO progress VALUES (1, 1, 0, 0, ?1, zeroblob(8), zeroblob(8))",
        [shifted(Hlc::at(Wall(0)).0)],
    )?;
    Ok(())
}
