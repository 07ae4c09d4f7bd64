-- Everything that a coordinator must not forget. Blobs of certificates, chains and acts are the bytes that were signed,
-- as `proto/src/codec.rs` writes them. Times are milliseconds since 1970 UTC.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,  -- 'generation' of the directory, newest 'serial', 'revision' of this file
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
    user_id      BLOB PRIMARY KEY NOT NULL CHECK (length(user_id) = 16),  -- random, never given twice
    name         TEXT NOT NULL UNIQUE,       -- login
    display_name TEXT NOT NULL,
    department   TEXT NOT NULL,              -- empty for none, as title and note
    title        TEXT NOT NULL,
    note         TEXT NOT NULL,
    avatar_hash  BLOB NOT NULL CHECK (length(avatar_hash) = 32),  -- zeros for none
    avatar       BLOB,                       -- at most 64 KiB
    auth_scheme  INTEGER NOT NULL,           -- 1: Argon2id at the client, keyed BLAKE3 of it here
    auth_key     BLOB NOT NULL CHECK (length(auth_key) = 32),
    auth_hash    BLOB NOT NULL CHECK (length(auth_hash) = 32),
    secret       INTEGER NOT NULL CHECK (secret IN (0, 1, 2)),  -- 0 chosen, 1 one-time, 2 one-time and used
    created_at   INTEGER NOT NULL,
    last_seen    INTEGER NOT NULL,           -- 0 for never
    version      INTEGER NOT NULL UNIQUE     -- directory version of the newest change
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    device_id   BLOB PRIMARY KEY NOT NULL CHECK (length(device_id) = 32),  -- its public key
    user_id     BLOB NOT NULL REFERENCES account (user_id),  -- for ever
    certificate BLOB NOT NULL,               -- the newest
    chain       BLOB NOT NULL,               -- endorsements
    issued_at   INTEGER NOT NULL,            -- of the newest certificate
    enrolled_at INTEGER NOT NULL,            -- for the first time
    active      INTEGER NOT NULL CHECK (active IN (0, 1))  -- 0 after a logout
) STRICT, WITHOUT ROWID;

CREATE TABLE revocation (
    issuer BLOB NOT NULL CHECK (length(issuer) = 32),  -- issuing key, of this coordinator now or before
    number INTEGER NOT NULL,                 -- 1, 2, 3 ... for each issuer
    act    BLOB NOT NULL,                    -- signed
    PRIMARY KEY (issuer, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE invite (
    code       TEXT PRIMARY KEY NOT NULL,
    uses       INTEGER,                      -- registrations left, NULL without end
    expires_at INTEGER,                      -- NULL for never
    standing   INTEGER NOT NULL CHECK (standing IN (0, 1))  -- the one of the join link
) STRICT, WITHOUT ROWID;

CREATE TABLE announcement (
    number INTEGER PRIMARY KEY NOT NULL,
    at     INTEGER NOT NULL,
    text   TEXT NOT NULL
) STRICT;
