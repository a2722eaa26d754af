-- Substring search over names without reading the table: trigrams of one generated column.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

ALTER TABLE users
  ADD COLUMN search_text text NOT NULL GENERATED ALWAYS AS (lower(username || ' ' || display_name)) STORED;

CREATE INDEX users_by_search_text ON users USING gin (search_text gin_trgm_ops);
