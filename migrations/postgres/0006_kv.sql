-- What plugins keep under keys of their own.
CREATE TABLE kv (
    plugin_id  text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    -- JSON; null for a whole number, which can be counted up.
    value      text,
    number     bigint,
    -- Milliseconds since 1970.
    expires_at bigint,
    PRIMARY KEY (plugin_id, key)
);
CREATE INDEX kv_expiry ON kv (expires_at) WHERE expires_at IS NOT NULL;
