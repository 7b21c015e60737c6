-- Calls that are owed to plugins: events for their post hooks, jobs, and schedules whose time has come.
-- A row is written in the transaction of whatever causes it and removed once the call has succeeded.
CREATE TABLE deliveries (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT NOT NULL UNIQUE,
    kind         TEXT NOT NULL CHECK (kind IN ('event', 'job', 'schedule')),
    plugin_id    TEXT NOT NULL,
    name         TEXT NOT NULL,
    handler      TEXT NOT NULL,
    payload      TEXT NOT NULL,
    ordering_key TEXT,
    unique_key   TEXT,
    depth        INTEGER NOT NULL,
    state        TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'dead')),
    attempt      INTEGER NOT NULL DEFAULT 0,
    max_attempts INTEGER NOT NULL,
    due_at       INTEGER NOT NULL,
    owner        TEXT,
    lease_until  INTEGER,
    last_error   TEXT,
    emitted_at   TEXT NOT NULL
) STRICT;
CREATE INDEX deliveries_due ON deliveries (state, due_at, seq);
CREATE INDEX deliveries_order ON deliveries (plugin_id, handler, ordering_key, seq)
    WHERE ordering_key IS NOT NULL;
-- Work that is asked for twice is done once.
CREATE UNIQUE INDEX deliveries_unique ON deliveries (plugin_id, kind, name, unique_key)
    WHERE unique_key IS NOT NULL AND state <> 'dead';

-- When the schedules of active plugins are to run next, in milliseconds since 1970.
CREATE TABLE schedules (
    id        TEXT PRIMARY KEY NOT NULL,
    plugin_id TEXT NOT NULL,
    next_at   INTEGER NOT NULL
) STRICT;
