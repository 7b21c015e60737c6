-- Who has changed what about plugins, and what plugins were denied.
CREATE TABLE auditlog (
    seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        text COLLATE "C" NOT NULL,
    actor     text NOT NULL,
    action    text COLLATE "C" NOT NULL,
    plugin_id text COLLATE "C" NOT NULL,
    details   text NOT NULL
);
CREATE INDEX auditlog_plugin ON auditlog (plugin_id, seq);
