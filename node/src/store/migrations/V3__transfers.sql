-- Version 3: files that are offered and fetched.

PRAGMA user_version = 3;

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
