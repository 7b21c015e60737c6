-- What a plugin has in the database: its tables with their columns, indexes and keys, and the migrations
-- that have run. The column `tables`, which had only names, is not read any more.
ALTER TABLE plugins ADD COLUMN table_set TEXT;
