-- As whom functions sign in: those that only read as prewarm_reader, the warmer as prewarm_warmer. The owner is for migrations.
-- They can sign in once they have a password, which no file can hold: the function that migrates sets it, or whoever runs the
-- server. Roles belong to the whole server: one that is there, for another database of it, stays as it is. An owner who may not
-- make roles goes without them, and whoever makes them later grants what is granted here.
DO $roles$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['prewarm_reader', 'prewarm_warmer'] LOOP
    BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
        EXECUTE format('CREATE ROLE %I', wanted);
        IF wanted = 'prewarm_reader' THEN
          -- A second lock only: the session may open it.
          ALTER ROLE prewarm_reader SET default_transaction_read_only = on;
        END IF;
      END IF;
    EXCEPTION
      WHEN duplicate_object OR unique_violation THEN
        NULL; -- a migration of another database has made it in this moment
      WHEN insufficient_privilege THEN
        RAISE WARNING 'The role % is not there, and % may not make roles: functions sign in as they did.', wanted, current_user;
        CONTINUE;
    END;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), wanted);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), wanted);
    EXECUTE format('GRANT EXECUTE ON FUNCTION prewarm_fold(text) TO %I', wanted);
    EXECUTE format('GRANT SELECT ON users TO %I', wanted);
    -- Tables of datasets to come.
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT ON TABLES TO %I', current_schema(), wanted);
  END LOOP;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'prewarm_warmer') THEN
    GRANT SELECT, INSERT, UPDATE ON prewarm_popularity TO prewarm_warmer;
  END IF;
END $roles$;
