//! Rows and the records that they hold, both ways, in one place.

use super::StoreError;
use lanchat_coordinator_core::record::{Account, Change, Device, Invite, Loaded, Secret, Verifier};
use lanchat_proto::certificate::Revocation;
use lanchat_proto::codec::{self, Text};
use lanchat_proto::ids::{DeviceId, UserId};
use lanchat_proto::limits::MAX_DECODE;
use lanchat_proto::names::DisplayText;
use lanchat_proto::signed::Signed;
use lanchat_proto::time::Wall;
use lanchat_proto::wire::coordinator::Announcement;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// A number as SQLite keeps it. Ours stay below 2^63: times, serials, counters.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number(row: &Row<'_>, column: &'static str) -> Result<u64, StoreError> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| StoreError::Value(column))
}

fn bytes<const N: usize>(row: &Row<'_>, column: &'static str) -> Result<[u8; N], StoreError> {
    let value: Vec<u8> = row.get(column)?;
    value.as_slice().try_into().map_err(|_| StoreError::Value(column))
}

fn text<const N: usize>(row: &Row<'_>, column: &'static str) -> Result<DisplayText<N>, StoreError> {
    let value: String = row.get(column)?;
    DisplayText::parse(&value).map_err(|_| StoreError::Value(column))
}

fn encoded(bytes: Result<Vec<u8>, codec::EncodeError>) -> Result<Vec<u8>, StoreError> {
    bytes.map_err(|_| StoreError::Value("record"))
}

/// A number of the meta table; 0 when it is not there.
pub(super) fn meta(connection: &Connection, key: &str) -> Result<i64, StoreError> {
    let query = "SELECT value FROM meta WHERE key = ?1";
    Ok(connection.query_row(query, [key], |row| row.get(0)).optional()?.unwrap_or(0))
}

pub(super) fn set_meta(connection: &Connection, key: &str, value: u64) -> Result<(), StoreError> {
    let insert = "INSERT INTO meta (key, value) VALUES (?1, ?2)
                  ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    connection.execute(insert, params![key, signed(value)])?;
    Ok(())
}

pub(super) fn avatar(connection: &Connection, user: &UserId) -> Result<Vec<u8>, StoreError> {
    let query = "SELECT avatar FROM account WHERE user_id = ?1";
    let found: Option<Option<Vec<u8>>> =
        connection.query_row(query, [user.as_bytes()], |row| row.get(0)).optional()?;
    Ok(found.flatten().unwrap_or_default())
}

/// Writes one change.
pub(super) fn write(connection: &Connection, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::Account(account) => write_account(connection, account)?,
        Change::Avatar { user, picture } => {
            let picture = (!picture.is_empty()).then_some(picture);
            let update = "UPDATE account SET avatar = ?2 WHERE user_id = ?1";
            connection.prepare_cached(update)?.execute(params![user.as_bytes(), picture])?;
        }
        Change::LastSeen { user, at } => {
            let update = "UPDATE account SET last_seen = ?2 WHERE user_id = ?1";
            connection.prepare_cached(update)?.execute(params![user.as_bytes(), signed(at.0)])?;
        }
        Change::Device(device) => write_device(connection, device)?,
        Change::Serial(serial) => set_meta(connection, "serial", *serial)?,
        Change::Act(act) => {
            let said = act.peek().map_err(|_| StoreError::Value("revocation"))?;
            let insert = "INSERT INTO revocation (issuer, number, act) VALUES (?1, ?2, ?3)";
            let row = params![said.issuer.as_bytes(), signed(said.number), encoded(codec::encode(act))?];
            connection.prepare_cached(insert)?.execute(row)?;
        }
        Change::Invite(invite) => {
            let insert = "INSERT INTO invite (code, uses, expires_at, standing) VALUES (?1, ?2, ?3, ?4)
                          ON CONFLICT (code) DO UPDATE SET uses = excluded.uses,
                          expires_at = excluded.expires_at, standing = excluded.standing";
            let expires = invite.expires.map(|at| signed(at.0));
            connection.prepare_cached(insert)?.execute(params![
                invite.code,
                invite.uses,
                expires,
                invite.standing
            ])?;
        }
        Change::InviteGone(code) => {
            connection.prepare_cached("DELETE FROM invite WHERE code = ?1")?.execute([code])?;
        }
        Change::Announcement(announcement) => {
            let insert = "INSERT INTO announcement (number, at, text) VALUES (?1, ?2, ?3)";
            let row = params![signed(announcement.number), signed(announcement.at.0), &*announcement.text];
            connection.prepare_cached(insert)?.execute(row)?;
        }
        Change::AnnouncementGone(number) => {
            let delete = "DELETE FROM announcement WHERE number = ?1";
            connection.prepare_cached(delete)?.execute([signed(*number)])?;
        }
    }
    Ok(())
}

fn write_account(connection: &Connection, account: &Account) -> Result<(), StoreError> {
    let insert =
        "INSERT INTO account (user_id, name, display_name, department, title, note, avatar_hash, auth_scheme,
                      auth_key, auth_hash, secret, created_at, last_seen, version)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
                  ON CONFLICT (user_id) DO UPDATE SET display_name = excluded.display_name,
                      department = excluded.department, title = excluded.title, note = excluded.note,
                      avatar_hash = excluded.avatar_hash, auth_scheme = excluded.auth_scheme,
                      auth_key = excluded.auth_key, auth_hash = excluded.auth_hash, secret = excluded.secret,
                      last_seen = excluded.last_seen, version = excluded.version";
    let secret = match account.secret {
        Secret::Chosen => 0,
        Secret::OneTime => 1,
        Secret::Used => 2,
    };
    connection.prepare_cached(insert)?.execute(params![
        account.user.as_bytes(),
        account.name.as_str(),
        account.display_name.as_str(),
        account.department.as_str(),
        account.title.as_str(),
        account.note.as_str(),
        account.avatar,
        account.password.scheme,
        account.password.key,
        account.password.hash,
        secret,
        signed(account.created.0),
        signed(account.last_seen.0),
        signed(account.version),
    ])?;
    Ok(())
}

fn write_device(connection: &Connection, device: &Device) -> Result<(), StoreError> {
    let insert = "INSERT INTO device (device_id, user_id, certificate, chain, issued_at, enrolled_at, active)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                  ON CONFLICT (device_id) DO UPDATE SET certificate = excluded.certificate,
                      chain = excluded.chain, issued_at = excluded.issued_at, active = excluded.active";
    connection.prepare_cached(insert)?.execute(params![
        device.device.as_bytes(),
        device.user.as_bytes(),
        encoded(codec::encode(&device.certificate))?,
        encoded(codec::encode(&device.chain))?,
        signed(device.issued.0),
        signed(device.enrolled.0),
        device.active,
    ])?;
    Ok(())
}

/// Everything in the database.
pub(super) fn load(connection: &Connection) -> Result<Loaded, StoreError> {
    let positive = |value: i64| u64::try_from(value).unwrap_or_default();
    Ok(Loaded {
        generation: positive(meta(connection, "generation")?),
        serial: positive(meta(connection, "serial")?),
        accounts: all(
            connection,
            "SELECT user_id, name, display_name, department, title, note, avatar_hash, auth_scheme, auth_key,
                auth_hash, secret, created_at, last_seen, version FROM account",
            account,
        )?,
        devices: all(
            connection,
            "SELECT device_id, user_id, certificate, chain, issued_at, enrolled_at, active FROM device",
            device,
        )?,
        acts: all(connection, "SELECT act FROM revocation ORDER BY issuer, number", act)?,
        invites: all(connection, "SELECT code, uses, expires_at, standing FROM invite", invite)?,
        announcements: all(
            connection,
            "SELECT number, at, text FROM announcement ORDER BY number",
            announcement,
        )?,
    })
}

fn all<T>(
    connection: &Connection,
    query: &str,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare(query)?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.push(read(row)?);
    }
    Ok(all)
}

fn account(row: &Row<'_>) -> Result<Account, StoreError> {
    let name: String = row.get("name")?;
    Ok(Account {
        user: UserId(bytes(row, "user_id")?),
        name: name.parse().map_err(|_| StoreError::Value("name"))?,
        display_name: text(row, "display_name")?,
        department: text(row, "department")?,
        title: text(row, "title")?,
        note: text(row, "note")?,
        avatar: bytes(row, "avatar_hash")?,
        password: Verifier {
            scheme: row.get("auth_scheme")?,
            key: bytes(row, "auth_key")?,
            hash: bytes(row, "auth_hash")?,
        },
        secret: match row.get("secret")? {
            0 => Secret::Chosen,
            1 => Secret::OneTime,
            2 => Secret::Used,
            _ => return Err(StoreError::Value("secret")),
        },
        created: Wall(number(row, "created_at")?),
        last_seen: Wall(number(row, "last_seen")?),
        version: number(row, "version")?,
    })
}

fn device(row: &Row<'_>) -> Result<Device, StoreError> {
    let (certificate, chain): (Vec<u8>, Vec<u8>) = (row.get("certificate")?, row.get("chain")?);
    Ok(Device {
        device: DeviceId(bytes(row, "device_id")?),
        user: UserId(bytes(row, "user_id")?),
        certificate: codec::decode(&certificate, MAX_DECODE).map_err(|_| StoreError::Value("certificate"))?,
        chain: codec::decode(&chain, MAX_DECODE).map_err(|_| StoreError::Value("chain"))?,
        issued: Wall(number(row, "issued_at")?),
        enrolled: Wall(number(row, "enrolled_at")?),
        active: row.get("active")?,
    })
}

fn act(row: &Row<'_>) -> Result<Signed<Revocation>, StoreError> {
    let bytes: Vec<u8> = row.get("act")?;
    codec::decode(&bytes, MAX_DECODE).map_err(|_| StoreError::Value("revocation"))
}

fn invite(row: &Row<'_>) -> Result<Invite, StoreError> {
    let expires: Option<i64> = row.get("expires_at")?;
    Ok(Invite {
        code: row.get("code")?,
        uses: row.get("uses")?,
        expires: expires.map(|at| Wall(u64::try_from(at).unwrap_or_default())),
        standing: row.get("standing")?,
    })
}

fn announcement(row: &Row<'_>) -> Result<Announcement, StoreError> {
    let text: String = row.get("text")?;
    Ok(Announcement {
        number: number(row, "number")?,
        at: Wall(number(row, "at")?),
        text: Text::new(text).map_err(|_| StoreError::Value("announcement"))?,
    })
}
