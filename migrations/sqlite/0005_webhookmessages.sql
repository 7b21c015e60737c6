-- Messages of webhook senders that are handled once, however often they come.
CREATE TABLE webhookmessages (
    plugin_id TEXT NOT NULL,
    id        TEXT NOT NULL,
    -- Milliseconds since 1970.
    taken_at  INTEGER NOT NULL,
    handled   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (plugin_id, id)
) STRICT;
CREATE INDEX webhookmessages_age ON webhookmessages (taken_at);
