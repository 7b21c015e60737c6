-- Messages of webhook senders that are handled once, however often they come.
CREATE TABLE webhookmessages (
    plugin_id text COLLATE "C" NOT NULL,
    id        text COLLATE "C" NOT NULL,
    -- Milliseconds since 1970.
    taken_at  bigint NOT NULL,
    handled   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (plugin_id, id)
);
CREATE INDEX webhookmessages_age ON webhookmessages (taken_at);
