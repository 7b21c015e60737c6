-- Messages of webhook senders that are handled once, however often they come.
CREATE TABLE webhook_messages (
    plugin_id TEXT NOT NULL,
    id        TEXT NOT NULL,
    -- Milliseconds since 1970.
    taken_at  INTEGER NOT NULL,
    handled   INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (plugin_id, id)
) STRICT;
CREATE INDEX webhook_messages_age ON webhook_messages (taken_at);
