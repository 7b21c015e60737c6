-- Who has changed what about plugins, and what plugins were denied.
CREATE TABLE audit_log (
    seq       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        text COLLATE "C" NOT NULL,
    actor     text NOT NULL,
    action    text COLLATE "C" NOT NULL,
    plugin_id text COLLATE "C" NOT NULL,
    details   text NOT NULL
);
CREATE INDEX audit_log_plugin ON audit_log (plugin_id, seq);
