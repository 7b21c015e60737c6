-- The state of every plugin. A plugin's own tables are named `{pluginId}_{table}`, so a host table
-- whose name has no underscore can never collide with one.
CREATE TABLE plugins (
    id                  text COLLATE "C" PRIMARY KEY,
    plugin_id           text COLLATE "C" NOT NULL CONSTRAINT plugins_plugin_id_key UNIQUE,
    is_activated        boolean NOT NULL DEFAULT FALSE,
    is_installed        boolean NOT NULL DEFAULT FALSE,
    backup              boolean NOT NULL DEFAULT FALSE,
    granted_permissions text,
    config              text,
    installed_version   text,
    table_set           text,
    last_error          text,
    created_at          text NOT NULL,
    updated_at          text
);
