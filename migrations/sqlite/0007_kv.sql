-- What plugins keep under keys of their own.
CREATE TABLE kv (
    plugin_id  TEXT NOT NULL,
    key        TEXT NOT NULL,
    -- JSON; null for a whole number, which can be counted up.
    value      TEXT,
    number     INTEGER,
    -- Milliseconds since 1970.
    expires_at INTEGER,
    PRIMARY KEY (plugin_id, key)
) STRICT;
CREATE INDEX kv_expiry ON kv (expires_at) WHERE expires_at IS NOT NULL;
