-- The state of every plugin. A plugin's own tables are named `{pluginId}_{table}`, so a host table
-- whose name has no underscore can never collide with one.
CREATE TABLE plugins (
    id                  TEXT PRIMARY KEY NOT NULL,
    plugin_id           TEXT NOT NULL UNIQUE,
    is_activated        INTEGER NOT NULL DEFAULT 0 CHECK (is_activated IN (0, 1)),
    is_installed        INTEGER NOT NULL DEFAULT 0 CHECK (is_installed IN (0, 1)),
    backup              INTEGER NOT NULL DEFAULT 0 CHECK (backup IN (0, 1)),
    granted_permissions TEXT,
    config              TEXT,
    installed_version   TEXT,
    tables              TEXT NOT NULL DEFAULT '{"tables":[],"indexes":[]}',
    last_error          TEXT,
    created_at          TEXT NOT NULL,
    updated_at          TEXT
) STRICT;
