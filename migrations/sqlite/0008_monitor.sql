-- Whether what the plugin was not granted is noted only, and not denied.
ALTER TABLE plugins ADD COLUMN monitor INTEGER NOT NULL DEFAULT 0 CHECK (monitor IN (0, 1));
