-- Whether what the plugin was not granted is noted only, and not denied.
ALTER TABLE plugins ADD COLUMN monitor boolean NOT NULL DEFAULT FALSE;
