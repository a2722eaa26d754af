/** Whose database it is that DATABASE_URL names: one that holds what is not Prewarm's is left alone until somebody says otherwise. */
import { readdir, readFile } from 'node:fs/promises';
import { withClient } from './servers/postgres-client.ts';
import { StartError } from './start-error.ts';

const TIMEOUT_MS = 5_000;
/** So many names tell enough. */
const NAMED_MAX = 3;

const MIGRATIONS = new URL('../../shared/postgres/migrations/', import.meta.url);
const MADE =
  /^\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:TABLE|VIEW|FUNCTION|SEQUENCE|TYPE)\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)/gim;

const FACTS = `
SELECT to_regclass('prewarm_migrations') IS NOT NULL AS "isOurs", current_setting('server_encoding') AS encoding`;

/** Tables, views, sequences, types and functions of people; what an extension brings is nobody's. How many there are, too. */
const OTHERS = `
SELECT name, count(*) OVER ()::int AS total
FROM (
  SELECT c.oid, c.relnamespace AS namespace, c.relname::text AS own_name, c.oid::regclass::text AS name
  FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
  UNION ALL
  SELECT p.oid, p.pronamespace, p.proname::text, p.oid::regproc::text FROM pg_proc p
  UNION ALL
  SELECT t.oid, t.typnamespace, t.typname::text, t.oid::regtype::text FROM pg_type t WHERE t.typtype IN ('e', 'd', 'r')
) object
JOIN pg_namespace n ON n.oid = object.namespace
WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
  AND NOT ($1 AND own_name = ANY ($2))
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = object.oid AND d.deptype = 'e')
ORDER BY name
LIMIT ${NAMED_MAX}`;

type Facts = { readonly isOurs: boolean; readonly encoding: string };
type Other = { readonly name: string; readonly total: number };

/**
 * Whether nothing but Prewarm's is in the database, so that the sample users may be added. Rejects with a `StartError` that
 * names what else is there when Prewarm has not migrated it before and `adopt` is not said; and when it is not in UTF8.
 */
export function holdsNothingElse(databaseUrl: string, adopt: boolean): Promise<boolean> {
  return withClient(databaseUrl, TIMEOUT_MS, async (client) => {
    const [{ isOurs, encoding }] = (await client.query<Facts>(FACTS)).rows as [Facts];
    if (encoding !== 'UTF8')
      throw new StartError(`The database that DATABASE_URL names is in ${encoding}: make one in UTF8.`);
    const others = (await client.query<Other>(OTHERS, [isOurs, await madeByMigrations()])).rows;
    if (others.length > 0 && !isOurs && !adopt) throw new StartError(describe(others));
    return others.length === 0;
  });
}

/** What a database that only Prewarm has migrated holds: what each file makes, and the table of those that ran. */
async function madeByMigrations(): Promise<string[]> {
  const names = await readdir(MIGRATIONS);
  const files = await Promise.all(names.map((name) => readFile(new URL(name, MIGRATIONS), 'utf8')));
  const made = files.flatMap((sql) => [...sql.matchAll(MADE)].map(([, name]) => name as string));
  return ['prewarm_migrations', ...made];
}

function describe(named: readonly Other[]): string {
  const names = named.map(({ name }) => name).join(', ');
  const others = (named[0]?.total ?? 0) - named.length;
  const rest = others > 0 ? ` and ${others} more` : '';
  return (
    `The database that DATABASE_URL names holds what is not Prewarm's (${names}${rest}), and nothing of it was touched. ` +
    'Name an empty one, or say --adopt to have Prewarm make its tables beside them.'
  );
}
