-- Who has changed what about plugins, and what plugins were denied.
CREATE TABLE audit_log (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    at        TEXT NOT NULL,
    actor     TEXT NOT NULL,
    action    TEXT NOT NULL,
    plugin_id TEXT NOT NULL,
    details   TEXT NOT NULL
) STRICT;
CREATE INDEX audit_log_plugin ON audit_log (plugin_id, seq);
