-- People who may sign in. A password is kept as an Argon2id hash, a token as its SHA-256.
CREATE TABLE users (
    id            TEXT PRIMARY KEY NOT NULL,
    name          TEXT NOT NULL,
    email_address TEXT NOT NULL,
    -- The address in lower case: one person has one account.
    email_key     TEXT NOT NULL UNIQUE,
    role          TEXT NOT NULL CHECK (role IN ('administrator', 'regular')),
    password_hash TEXT,
    created_at    TEXT NOT NULL,
    updated_at    TEXT
) STRICT;
CREATE TABLE tokens (
    digest     TEXT PRIMARY KEY NOT NULL,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at TEXT NOT NULL,
    -- Milliseconds since 1970.
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX tokens_user ON tokens (user_id);
CREATE INDEX tokens_expiry ON tokens (expires_at);
