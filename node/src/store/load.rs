//! What an opened database holds for the core, and entries that the core asks for again.
//!
//! Keeps true: no query here looks at all entries (ends are in `logs`, the arrival number in SQLite's own table), so that
//! a large database opens as fast as a small one; bytes that are not what was stored are never handed out.

use super::convert::{array, decoded, epoch, id, stamp, unshifted, unsmall, wire_entry};
use super::limits::{LOAD_BYTES, LOAD_ENTRIES};
use super::{Membership, Opened};
use lanchat_node_core::boot::{
    DeviceTrust, KnownDevice, Stored, StoredLog, StoredRoot, StoredTransfer, TransferState,
};
use lanchat_proto::entry::{Entry, LogEnd, WireEntry};
use lanchat_proto::ids::{ConversationId, DeviceId, EntryHash, Epoch, LogId, MessageId, RealmId, UserId};
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::coordinator::DirectoryMark;
use rusqlite::{Connection, Error, OptionalExtension, Row, params};

/// Everything for the start.
pub(super) fn opened(connection: &Connection) -> Result<Opened, Error> {
    let (membership, epoch) = membership(connection)?;
    Ok(Opened { membership, epoch, stored: stored(connection)? })
}

/// Whom the database belongs to, and its epoch.
pub(super) fn membership(connection: &Connection) -> Result<(Membership, Epoch), Error> {
    connection.query_row("SELECT * FROM membership", [], |row| {
        let key = row.get::<_, Option<Vec<u8>>>("coordinator")?;
        let addresses: String = row.get("addresses")?;
        let addresses = addresses.lines().map(str::to_owned).collect();
        let membership = Membership {
            realm: id(row, "realm", RealmId::from_slice)?,
            user: id(row, "user", UserId::from_slice)?,
            name: row.get("name")?,
            device: id(row, "device", DeviceId::from_slice)?,
            certificate: decoded(row, "certificate")?,
            chain: decoded(row, "chain")?,
            coordinator: key.and_then(|key| DeviceId::from_slice(&key)).map(|key| (key, addresses)),
            org: row.get("org")?,
        };
        Ok((membership, id(row, "epoch", epoch)?))
    })
}

fn stored(connection: &Connection) -> Result<Stored, Error> {
    let progress = |row: &Row<'_>| {
        let directory = DirectoryMark {
            generation: u64::from_be_bytes(id(row, "directory_generation", array)?),
            version: u64::from_be_bytes(id(row, "directory_version", array)?),
        };
        Ok((row.get("clock_offset")?, stamp(row, "last_stamp")?, directory))
    };
    let (clock_offset, last_stamp, directory) =
        connection.query_row("SELECT * FROM progress", [], progress)?;
    let announcement: Option<i64> =
        connection.query_row("SELECT max(number) FROM announcements", [], |row| row.get(0))?;
    Ok(Stored {
        logs: all(connection, "SELECT * FROM logs JOIN conversations c ON c.id = conversation_id", log)?,
        states: all(connection, "SELECT signed FROM states", |row| decoded(row, "signed"))?,
        profiles: all(connection, "SELECT profile FROM profiles", |row| decoded(row, "profile"))?,
        directory,
        devices: all(connection, "SELECT * FROM devices", device)?,
        transfers: all(connection, "SELECT * FROM transfers", transfer)?,
        roots: all(connection, "SELECT * FROM roots", root)?,
        revocations: all(connection, "SELECT * FROM revocations ORDER BY issuer, number", |row| {
            Ok((decoded(row, "anchor")?, decoded(row, "signed")?))
        })?,
        clock_offset,
        last_stamp,
        arrival: arrival(connection)?,
        announcement: announcement.map_or(0, unshifted),
    })
}

fn all<T>(
    connection: &Connection,
    sql: &str,
    read: impl FnMut(&Row<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    connection.prepare(sql)?.query_map([], read)?.collect()
}

fn log(row: &Row<'_>) -> Result<StoredLog, Error> {
    Ok(StoredLog {
        log: LogId {
            conversation: id(row, "conversation", ConversationId::from_slice)?,
            device: id(row, "device", DeviceId::from_slice)?,
            epoch: id(row, "epoch", epoch)?,
        },
        descriptor: decoded(row, "descriptor")?,
        author: id(row, "author", UserId::from_slice)?,
        end: log_end(row)?,
        frozen: row.get("frozen")?,
    })
}

fn transfer(row: &Row<'_>) -> Result<StoredTransfer, Error> {
    let state: String = row.get("state")?;
    Ok(StoredTransfer {
        offer: id(row, "offer", MessageId::from_slice)?,
        conversation: id(row, "conversation", ConversationId::from_slice)?,
        entry: id(row, "entry", EntryHash::from_slice)?,
        author: id(row, "author", UserId::from_slice)?,
        device: id(row, "device", DeviceId::from_slice)?,
        file: decoded(row, "file")?,
        // A state that only a newer program knows is none that anything is done in.
        state: TransferState::from_name(&state).unwrap_or(TransferState::Failed),
        error: row.get("error")?,
    })
}

/// A log's end from its row.
pub(super) fn log_end(row: &Row<'_>) -> Result<LogEnd, Error> {
    Ok(LogEnd {
        number: unsmall(row.get("end_number")?),
        hash: id(row, "end_hash", EntryHash::from_slice)?,
        time: stamp(row, "end_stamp")?,
    })
}

fn device(row: &Row<'_>) -> Result<KnownDevice, Error> {
    let trust = match row.get::<_, i64>("trust")? {
        1 => DeviceTrust::Endorsed,
        2 => DeviceTrust::Accepted,
        _ => DeviceTrust::Unendorsed,
    };
    // An address is only a hint: one that cannot be read is none.
    let endpoint: Option<String> = row.get("endpoint")?;
    Ok(KnownDevice {
        device: id(row, "device", DeviceId::from_slice)?,
        user: id(row, "user", UserId::from_slice)?,
        trust,
        certificate: decoded(row, "certificate")?,
        chain: decoded(row, "chain")?,
        since: unsmall(row.get("since")?),
        endpoint: endpoint.and_then(|text| text.parse().ok()).map(Endpoint::new),
    })
}

fn root(row: &Row<'_>) -> Result<StoredRoot, Error> {
    let confirmed = row.get::<_, Option<Vec<u8>>>("confirmed")?;
    Ok(StoredRoot {
        user: id(row, "user", UserId::from_slice)?,
        root: id(row, "root", DeviceId::from_slice)?,
        confirmed: confirmed.and_then(|root| DeviceId::from_slice(&root)),
    })
}

/// The arrival number given last.
pub(super) fn arrival(connection: &Connection) -> Result<u64, Error> {
    let last = connection
        .query_row("SELECT seq FROM sqlite_sequence WHERE name = 'entries'", [], |row| row.get(0))
        .optional()?;
    Ok(last.map_or(0, unsmall))
}

/// The row of a log, if there is one.
pub(super) fn log_row(connection: &Connection, log: &LogId) -> Result<Option<i64>, Error> {
    connection
        .prepare_cached(
            "SELECT l.id FROM logs l JOIN conversations c ON c.id = l.conversation_id \
             WHERE c.conversation = ?1 AND l.device = ?2 AND l.epoch = ?3",
        )?
        .query_row(params![log.conversation.0, log.device.0, log.epoch.0.to_be_bytes()], |row| row.get(0))
        .optional()
}

/// The end of a log as it is on disk now; the empty end for a log that is not there.
pub(super) fn end_of(connection: &Connection, log: &LogId) -> Result<LogEnd, Error> {
    let Some(row) = log_row(connection, log)? else { return Ok(LogEnd::EMPTY) };
    connection.prepare_cached("SELECT * FROM logs WHERE id = ?1")?.query_row([row], log_end)
}

/// Entries of a log with their arrival numbers. Stops before an entry whose bytes are not what was stored.
pub(super) fn entries(
    connection: &Connection,
    log: &LogId,
    from: u64,
    max_entries: usize,
    max_bytes: usize,
) -> Result<Vec<(u64, WireEntry)>, Error> {
    let Some(log_id) = log_row(connection, log)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(
        "SELECT arrival, header, signature, body, hash FROM entries INDEXED BY entries_log \
         WHERE log_id = ?1 AND number >= ?2 AND branch = 0 ORDER BY number",
    )?;
    let mut rows = statement.query(params![log_id, super::convert::small(from)])?;
    let mut found: Vec<(u64, WireEntry)> = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let entry = wire_entry(row)?;
        bytes += entry.size();
        let full = found.len() >= max_entries.min(LOAD_ENTRIES) || bytes > max_bytes.min(LOAD_BYTES);
        if full && !(found.is_empty() && max_entries > 0) {
            break;
        }
        let arrival = unsmall(row.get("arrival")?);
        let hash = id(row, "hash", EntryHash::from_slice)?;
        if !Entry::read(&entry).is_ok_and(|read| read.hash == hash) {
            tracing::error!(arrival, "an entry on disk is damaged");
            break;
        }
        found.push((arrival, entry));
    }
    Ok(found)
}
