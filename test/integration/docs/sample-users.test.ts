/** The sample data of the deployment guide: it applies after the migrations, and there is something to warm. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { users } from '../../../shared/datasets/users.ts';
import { Database } from '../../../shared/postgres/database.ts';
import { migrate } from '../../../shared/postgres/migrate.ts';
import { closedAtEnd } from '../../support/at-end.ts';
import { type IsolatedServers, isolatedServers } from '../../support/servers.ts';

const migrationsDir = mkdtempSync(join(tmpdir(), 'prewarm-migrations-'));
let servers: IsolatedServers;
let database: Database;

beforeAll(async () => {
  servers = await isolatedServers({ seeded: false });
  database = closedAtEnd(new Database(servers.databaseUrl));
  cpSync('shared/postgres/migrations', migrationsDir, { recursive: true });
  cpSync('docs/examples/sample-users.sql', join(migrationsDir, '0100_sample_users.sql'));
});

afterAll(() => {
  rmSync(migrationsDir, { recursive: true });
});

it('is applied as the last migration, and the warmer ranks what it made', async () => {
  const { applied } = await migrate(servers.databaseUrl, {
    migrationsDir: pathToFileURL(`${migrationsDir}/`),
  });

  expect(applied).toEqual(['0100_sample_users.sql']);
  const [row] = await database.query<{ count: string }>('SELECT count(*) FROM users');
  expect(row?.count).toBe('20500');
  expect(await users.rank(database, 3)).toEqual([1, 2, 3]);
});
