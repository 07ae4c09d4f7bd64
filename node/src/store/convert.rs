//! Columns to the words of `lanchat-proto` and back: the only place that knows how a value lies in a row.
//!
//! Keeps true: every value comes back exactly as it was stored, or as an error that says which column is damaged.

use super::limits::ROW_BYTES;
use lanchat_proto::codec::{self, Blob};
use lanchat_proto::entry::WireEntry;
use lanchat_proto::ids::Epoch;
use lanchat_proto::signed::Signature;
use lanchat_proto::time::{Hlc, Wall};
use rusqlite::types::Type;
use rusqlite::{Error, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;

const SIGN: u64 = 1 << 63;

/// A number of up to 64 bits as an INTEGER in the same order ("shifted").
pub(super) fn shifted(number: u64) -> i64 {
    (number ^ SIGN).cast_signed()
}

/// Back from [`shifted`].
pub(super) fn unshifted(column: i64) -> u64 {
    column.cast_unsigned() ^ SIGN
}

/// A number that is small by its nature; a larger one becomes the largest.
pub(super) fn small(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Back from [`small`]; a negative one, which is damage, becomes 0.
pub(super) fn unsmall(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

/// A column that does not hold what it should.
pub(super) fn damaged(row: &Row<'_>, column: &str, what: impl std::fmt::Display) -> Error {
    let at = row.as_ref().column_index(column).unwrap_or(0);
    Error::FromSqlConversionFailure(at, Type::Blob, format!("{column}: {what}").into())
}

/// A BLOB column of fixed length, as an id.
pub(super) fn id<T>(row: &Row<'_>, column: &str, make: fn(&[u8]) -> Option<T>) -> Result<T, Error> {
    let value = row.get_ref(column)?;
    let bytes = value.as_blob().map_err(|error| damaged(row, column, error))?;
    make(bytes).ok_or_else(|| damaged(row, column, "wrong length"))
}

/// A BLOB column of fixed length.
pub(super) fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

/// An epoch's column.
pub(super) fn epoch(bytes: &[u8]) -> Option<Epoch> {
    array(bytes).map(u64::from_be_bytes).map(Epoch)
}

/// An encoded column.
pub(super) fn decoded<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> Result<T, Error> {
    let value = row.get_ref(column)?;
    let bytes = value.as_blob().map_err(|error| damaged(row, column, error))?;
    codec::decode(bytes, ROW_BYTES).map_err(|error| damaged(row, column, error))
}

/// A value as an encoded column.
pub(super) fn encoded<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    codec::encode(value).map_err(|error| Error::ToSqlConversionFailure(Box::new(error)))
}

/// A stamp's column.
pub(super) fn stamp(row: &Row<'_>, column: &str) -> Result<Hlc, Error> {
    Ok(Hlc(unshifted(row.get(column)?)))
}

/// A column of wall time.
pub(super) fn wall(row: &Row<'_>, column: &str) -> Result<Wall, Error> {
    Ok(Wall(unsmall(row.get(column)?)))
}

/// An entry from the columns `header`, `signature` and `body`.
pub(super) fn wire_entry(row: &Row<'_>) -> Result<WireEntry, Error> {
    let header = Blob::new(row.get("header")?).map_err(|error| damaged(row, "header", error))?;
    let signature = Signature::from_bytes(&id(row, "signature", array)?);
    let body = row.get::<_, Option<Vec<u8>>>("body")?.map(Blob::new).transpose();
    Ok(WireEntry { header, signature, body: body.map_err(|error| damaged(row, "body", error))? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifted_numbers_keep_their_order_and_come_back() {
        let numbers = [0, 1, u64::MAX / 2, 1 << 63, u64::MAX];
        assert!(numbers.map(shifted).is_sorted());
        assert_eq!(numbers.map(shifted).map(unshifted), numbers);
    }
}
