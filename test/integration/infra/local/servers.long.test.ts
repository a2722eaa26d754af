/** The embedded servers over several starts: what they keep, how they mend or tell of what is damaged, and a runner that is killed. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, inject, it, onTestFinished, vi } from 'vitest';
import { isAlive } from '../../../../infra/local/processes/process-identity.ts';
import { claimRun } from '../../../../infra/local/processes/run.ts';
import { planServers, startServers } from '../../../../infra/local/servers/index.ts';
import { findFreePort } from '../../../../infra/local/servers/ports.ts';
import { findPostgresPrograms, startPostgres } from '../../../../infra/local/servers/postgres.ts';
import { NOBODY } from '../../../../infra/local/servers/postgres-user.ts';
import { prepareStateFolder } from '../../../../infra/local/state-folder.ts';
import { identifyAll, queryOnce, withServers } from '../../../support/own-servers.ts';
import { startScript } from '../../../support/runner.ts';

const SERVERS_ONLY = fileURLToPath(new URL('../../../support/servers-only.ts', import.meta.url));

const { initdb } = await findPostgresPrograms();
/** As root without setpriv: then all that leads to PostgreSQL's programs must be open to nobody. */
const canStartAsNobody = process.getuid?.() === 0 && spawnSync('test', ['-x', initdb], NOBODY).status === 0;

let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(inject('servers').stateDir, 'local-servers-'));
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

describe('startPostgres', () => {
  it.runIf(canStartAsNobody)(
    'as root without setpriv gets through to its data at every start, although others may not read the folder',
    async () => {
      const open = mkdtempSync('/tmp/prewarm-nobody-'); // the tests' own folder is closed to nobody
      onTestFinished(() => rmSync(open, { recursive: true }));
      chmodSync(open, 0o711);
      const stateDir = join(open, 'state');
      vi.stubEnv('PATH', '');
      onTestFinished(() => void vi.unstubAllEnvs());
      for (const modeBefore of [0o700, 0o755]) {
        mkdirSync(stateDir, { recursive: true });
        chmodSync(stateDir, modeBefore);
        const run = await claimRun({ stateDir });
        const context = { run, report: () => {}, signal: new AbortController().signal };
        const postgres = await startPostgres(context, await findFreePort());
        expect(await queryOnce(postgres.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
        expect(statSync(stateDir).mode & 0o777).toBe(0o711);
        await postgres.process.stop();
        run.release();
      }
    },
  );
});

describe('startServers', () => {
  it('keeps the data and the addresses from one start to the next, and makes them once', async () => {
    let first = '';
    await withServers(stateDir, async ({ databaseUrl }) => {
      first = databaseUrl;
      await queryOnce(databaseUrl, 'CREATE TABLE kept AS SELECT 1 AS value');
    });
    const steps: string[] = [];
    await withServers(
      stateDir,
      async ({ databaseUrl }) => {
        expect(databaseUrl).toBe(first);
        expect(await queryOnce(databaseUrl, 'SELECT value FROM kept')).toEqual([{ value: 1 }]);
      },
      (step) => void steps.push(step),
    );
    expect(steps).toEqual([]);
  });

  it('gives a PostgreSQL 18 in UTF-8 with trigrams, closed to whoever lacks the password', async () => {
    await withServers(stateDir, async ({ databaseUrl }) => {
      await queryOnce(databaseUrl, 'CREATE EXTENSION pg_trgm');
      const [row] = await queryOnce(
        databaseUrl,
        `SELECT current_setting('server_encoding') AS encoding, lower('ÅÉ') AS lower, current_setting('server_version') AS version`,
      );
      expect(row).toEqual({ encoding: 'UTF8', lower: 'åé', version: expect.stringMatching(/^18\./) });
      const open = new URL(databaseUrl);
      open.password = 'wrong';
      await expect(queryOnce(open.href, 'SELECT 1')).rejects.toThrow(/password authentication failed/);
    });
  });

  it('begins again when initdb was cut short', async () => {
    prepareStateFolder(stateDir);
    mkdirSync(join(stateDir, 'postgres.draft-1_0-01234567'));
    await withServers(stateDir, async ({ databaseUrl }) =>
      expect(await queryOnce(databaseUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }]),
    );
    expect(readdirSync(stateDir).filter((name) => name.includes('.draft-'))).toEqual([]);
  });
});

describe('damaged data of PostgreSQL', () => {
  const FRESH = 'npm start -- --fresh makes new data.';

  /** Alone, because its reason is what is asked for: the others use the servers of the tests. */
  async function startAgain(): Promise<void> {
    const { redisUrl, pushgatewayUrl } = inject('servers');
    const run = await claimRun({ stateDir });
    try {
      const plan = await planServers(stateDir, { redisUrl, pushgatewayUrl });
      await (await startServers({ run, plan, report: () => {} })).stop();
    } finally {
      run.release();
    }
  }

  async function damage(work: () => void): Promise<void> {
    await withServers(stateDir, async () => {});
    work();
  }

  it('without its password is told at once, and no other password is made', async () => {
    const file = join(stateDir, 'postgres.password');
    await damage(() => rmSync(file));
    await expect(startAgain()).rejects.toThrow(`postgres.password, is missing. ${FRESH}`);
    expect(existsSync(file)).toBe(false);
  });

  it('with another password is told without waiting for the limit', async () => {
    await damage(() => writeFileSync(join(stateDir, 'postgres.password'), 'another'));
    await expect(startAgain()).rejects.toThrow(
      new RegExp(`^PostgreSQL lets nobody in: .*password authentication failed.*${FRESH}$`),
    );
  });

  it('with a part missing is told with the way out', async () => {
    await damage(() => rmSync(join(stateDir, 'postgres', 'global'), { recursive: true }));
    await expect(startAgain()).rejects.toThrow(new RegExp(`^PostgreSQL ended while starting: .*${FRESH}$`));
  });
});

describe('a runner that disappears', () => {
  it('is followed by its servers, even when it was killed', async () => {
    const runner = startScript(SERVERS_ONLY, [stateDir]);
    await runner.waitFor('"pids"');
    const servers = identifyAll((JSON.parse(runner.output()) as { pids: number[] }).pids);
    expect(servers).toHaveLength(3);
    runner.kill('SIGKILL');
    await runner.exited;
    await expect.poll(() => servers.filter(isAlive)).toEqual([]);
  });
});
