-- Version 2: what two people compared.

PRAGMA user_version = 2;

CREATE TABLE roots (
    user BLOB PRIMARY KEY,                  -- the user, 16 bytes
    root BLOB NOT NULL,                     -- the device where the chains of the user's devices have to begin, 32 bytes
    confirmed BLOB                          -- the root whose safety code was compared; NULL when none was
) STRICT, WITHOUT ROWID;
