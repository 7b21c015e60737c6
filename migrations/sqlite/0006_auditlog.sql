-- Who has changed what about plugins, and what plugins were denied.
CREATE TABLE auditlog (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    at        TEXT NOT NULL,
    actor     TEXT NOT NULL,
    action    TEXT NOT NULL,
    plugin_id TEXT NOT NULL,
    details   TEXT NOT NULL
) STRICT;
CREATE INDEX auditlog_plugin ON auditlog (plugin_id, seq);
