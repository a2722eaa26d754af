/** Whose database it is that DATABASE_URL names: one that holds what is not Prewarm's is left alone until somebody says otherwise. */
import pg from 'pg';
import { StartError } from './start-error.ts';

const TIMEOUT_MS = 5_000;
/** So many names tell enough. */
const NAMED_MAX = 3;

/** Tables, views and sequences of people; what an extension brings is nobody's. Names with their schema, and how many. */
const RELATIONS = `
SELECT c.oid::regclass::text AS name, count(*) OVER ()::int AS total
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1
LIMIT ${NAMED_MAX}`;

export type DatabaseOwner = 'nobody' | 'prewarm' | 'somebody';

/**
 * `nobody`: it is empty; `prewarm`: it was migrated by us before. Rejects with a `StartError` that names what is there when
 * it is somebody's and `adopt` is not said.
 */
export async function findOwner(databaseUrl: string, adopt: boolean): Promise<DatabaseOwner> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    connectionTimeoutMillis: TIMEOUT_MS,
    query_timeout: TIMEOUT_MS,
  });
  client.on('error', () => {}); // its query rejects as well
  try {
    await client.connect();
    const ours = await client.query("SELECT to_regclass('prewarm_migrations') IS NOT NULL AS is_ours");
    if (ours.rows[0].is_ours) return 'prewarm';
    const { rows } = await client.query<{ name: string; total: number }>(RELATIONS);
    if (rows.length === 0) return 'nobody';
    if (!adopt) throw new StartError(describe(rows));
    return 'somebody';
  } finally {
    await client.end().catch(() => {});
  }
}

function describe(relations: readonly { readonly name: string; readonly total: number }[]): string {
  const names = relations.map(({ name }) => name).join(', ');
  const others = (relations[0]?.total ?? 0) - relations.length;
  const rest = others > 0 ? ` and ${others} more` : '';
  return (
    `The database that DATABASE_URL names holds what is not Prewarm's (${names}${rest}), and nothing of it was touched. ` +
    'Name an empty one, or say --adopt to have Prewarm make its tables beside them.'
  );
}
