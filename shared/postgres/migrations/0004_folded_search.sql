-- One form for all spellings of a name: what is stored and what is searched are folded by this function, and by nothing else.
-- Compatibility forms (é as one code point or two, full-width letters), case, the final sigma, i with and without a dot, ß,
-- white space. Composed again in the end: a small letter may have a form with its mark that the large one lacks. Its collation is one that does not depend on the database's: Postgres' own (from 17 on), or ICU's.
DO $fold$
DECLARE
  collation_name text := (
    SELECT collname FROM pg_collation WHERE collname IN ('pg_c_utf8', 'und-x-icu') ORDER BY collname = 'pg_c_utf8' DESC LIMIT 1
  );
BEGIN
  EXECUTE format(
    $function$
      CREATE FUNCTION prewarm_fold(spelling text) RETURNS text
      LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $body$
        SELECT regexp_replace(
          translate(
            normalize(replace(replace(lower(normalize(spelling, NFKC) %s), U&'i\0307', 'i'), 'ß', 'ss'), NFKC),
            U&'\03C2\0131\FEFF', U&'\03C3i '
          ),
          '\s+', ' ', 'g'
        )
      $body$
    $function$,
    CASE WHEN collation_name IS NOT NULL THEN format('COLLATE %I', collation_name) ELSE '' END
  );
END $fold$;

ALTER TABLE users DROP COLUMN search_text;
ALTER TABLE users
  ADD COLUMN search_text text NOT NULL GENERATED ALWAYS AS (prewarm_fold(username || ' ' || display_name)) STORED;
CREATE INDEX users_by_search_text ON users USING gin (search_text gin_trgm_ops);
