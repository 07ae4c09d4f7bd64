-- Version 3. Numbers that may use all 64 bits (stamps, counters) are stored minus 2^63, so that SQLite's signed
-- order is their order; columns that hold such numbers say "shifted". Ids and hashes are their bytes. What is signed is
-- kept as the bytes that were signed. Meaning of every table: docs/storage.md.

PRAGMA user_version = 3;

CREATE TABLE membership (
    id INTEGER PRIMARY KEY CHECK (id = 1),  -- one row: a database belongs to one user in one realm
    realm BLOB NOT NULL,                    -- the realm, 32 bytes
    user BLOB NOT NULL,                     -- the user, 16 bytes
    name TEXT NOT NULL,                     -- the login, or the chosen name in the open LAN
    device BLOB NOT NULL,                   -- the device key that signed in, 32 bytes
    certificate BLOB NOT NULL,              -- the own certificate, encoded
    chain BLOB NOT NULL,                    -- the own device chain, encoded
    coordinator BLOB,                       -- the pinned coordinator's key; NULL in the open LAN
    addresses TEXT NOT NULL,                -- the coordinator's addresses, `host:port`, one a line
    org TEXT NOT NULL,                      -- the organisation's name
    epoch BLOB NOT NULL                     -- this database's epoch, 8 bytes big-endian
) STRICT;

CREATE TABLE progress (
    id INTEGER PRIMARY KEY CHECK (id = 1),  -- one row
    clean INTEGER NOT NULL,                 -- 1 while closed in order; 0 while open and after a crash
    indexed INTEGER NOT NULL,               -- entries up to this arrival number are in the search index
    clock_offset INTEGER NOT NULL,          -- correction of the wall clock in milliseconds
    last_stamp INTEGER NOT NULL,            -- newest stamp given or adopted, shifted
    directory_generation BLOB NOT NULL,     -- of the directory's copy, 8 bytes big-endian
    directory_version BLOB NOT NULL         -- of the directory's copy, 8 bytes big-endian
) STRICT;

CREATE TABLE conversations (
    id INTEGER PRIMARY KEY,
    conversation BLOB NOT NULL UNIQUE,      -- the conversation, 32 bytes
    descriptor BLOB NOT NULL                -- what it is, encoded
) STRICT;

CREATE TABLE logs (
    id INTEGER PRIMARY KEY,
    conversation_id INTEGER NOT NULL REFERENCES conversations (id),
    device BLOB NOT NULL,                   -- the writing device, 32 bytes
    epoch BLOB NOT NULL,                    -- its epoch, 8 bytes big-endian
    author BLOB NOT NULL,                   -- the device's user, 16 bytes
    end_number INTEGER NOT NULL,            -- the newest entry's number; 0 for none
    end_hash BLOB NOT NULL,                 -- its hash, 32 bytes
    end_stamp INTEGER NOT NULL,             -- its stamp, shifted
    frozen INTEGER NOT NULL DEFAULT 0,      -- 1: a fork was seen, nothing is ever appended
    UNIQUE (conversation_id, device, epoch)
) STRICT;

CREATE TABLE entries (
    arrival INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of arrival on this disk; never used twice
    log_id INTEGER NOT NULL REFERENCES logs (id),
    number INTEGER NOT NULL,                -- 1, 2, 3 ... in the log
    branch INTEGER NOT NULL DEFAULT 0,      -- 1: the loser of a fork of the own log, kept but no more part of it
    conversation_id INTEGER NOT NULL REFERENCES conversations (id),
    kind INTEGER NOT NULL,                  -- the kind's number
    message BLOB NOT NULL,                  -- the message, 16 bytes
    shown INTEGER NOT NULL,                 -- 1: a row of history; 0: an opening, or a message issued again
    place INTEGER NOT NULL,                 -- where history shows it, shifted: its stamp, or later than what it answers
    reply_to BLOB,                          -- the message that it answers
    stamp INTEGER NOT NULL,                 -- the author's stamp, shifted
    received_at INTEGER NOT NULL,           -- when it came to this disk, milliseconds since 1970
    hash BLOB NOT NULL,                     -- hash of the header, 32 bytes
    header BLOB NOT NULL,                   -- the header's bytes, as signed
    signature BLOB NOT NULL,                -- the device's signature over them, 64 bytes
    body BLOB                               -- the body; NULL when it was deleted
) STRICT;

CREATE UNIQUE INDEX entries_log ON entries (log_id, number) WHERE branch = 0;
CREATE INDEX entries_history ON entries (conversation_id, place) WHERE shown = 1;
CREATE INDEX entries_message ON entries (message) WHERE shown = 1;
CREATE INDEX entries_reply ON entries (reply_to) WHERE reply_to IS NOT NULL AND shown = 1;

CREATE TABLE states (
    conversation BLOB NOT NULL,             -- the conversation, 32 bytes
    kind INTEGER NOT NULL,                  -- the record's kind
    subject BLOB NOT NULL,                  -- what it is about; for a receipt device and epoch of the log
    device BLOB NOT NULL,                   -- whose word it is, 32 bytes
    user BLOB NOT NULL,                     -- that device's user, 16 bytes
    counter INTEGER NOT NULL,               -- a higher one replaces this row, shifted
    received INTEGER NOT NULL,              -- receipts: newest number on the reader's disk
    seen INTEGER NOT NULL,                  -- receipts: newest number that the reader has seen
    signed BLOB NOT NULL,                   -- the record as it travels, encoded
    PRIMARY KEY (conversation, kind, subject, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE profiles (
    user BLOB PRIMARY KEY,                  -- the user, 16 bytes
    profile BLOB NOT NULL                   -- the directory's row, encoded
) STRICT, WITHOUT ROWID;

CREATE TABLE devices (
    device BLOB PRIMARY KEY,                -- the device, 32 bytes
    user BLOB NOT NULL,                     -- its user, 16 bytes
    trust INTEGER NOT NULL,                 -- 0 unendorsed, 1 endorsed, 2 accepted by this node's user
    certificate BLOB NOT NULL,              -- its newest certificate, encoded
    chain BLOB NOT NULL,                    -- its chain, encoded
    since INTEGER NOT NULL,                 -- the newest arrival number when it was first seen
    endpoint TEXT                           -- address of the last good link, `ip:port`
) STRICT, WITHOUT ROWID;

CREATE TABLE roots (
    user BLOB PRIMARY KEY,                  -- the user, 16 bytes
    root BLOB NOT NULL,                     -- the device where the chains of the user's devices have to begin, 32 bytes
    confirmed BLOB                          -- the root whose safety code was compared; NULL when none was
) STRICT, WITHOUT ROWID;

CREATE TABLE transfers (
    offer BLOB PRIMARY KEY,                 -- the message that offers the file, 16 bytes
    conversation BLOB NOT NULL,             -- the conversation, 32 bytes
    entry BLOB NOT NULL,                    -- hash of the entry that offers it, 32 bytes
    author BLOB NOT NULL,                   -- who offers it, 16 bytes
    device BLOB NOT NULL,                   -- the device that does, 32 bytes
    file BLOB NOT NULL,                     -- what is offered, encoded
    state TEXT NOT NULL,                    -- how far it is, by its name in the API
    error TEXT NOT NULL                     -- what went wrong, for people; empty for nothing
) STRICT, WITHOUT ROWID;

CREATE TABLE revocations (
    issuer BLOB NOT NULL,                   -- the issuing key, 32 bytes
    number INTEGER NOT NULL,                -- 1, 2, 3 ... in the issuer's list, shifted
    anchor BLOB NOT NULL,                   -- the root's word for the issuer, encoded
    signed BLOB NOT NULL,                   -- the act as it travels, encoded
    PRIMARY KEY (issuer, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE announcements (
    number INTEGER PRIMARY KEY,             -- the coordinator's number, shifted
    at INTEGER NOT NULL,                    -- when, milliseconds since 1970
    text TEXT NOT NULL                      -- what
) STRICT;

-- Words of texts, cut by the program (`words.rs`); the rowid is the entry's arrival number. Holds no text.
CREATE VIRTUAL TABLE words USING fts5 (
    list, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii'
);
