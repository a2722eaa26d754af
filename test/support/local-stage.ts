/** The whole local stage for the tests of a file, as `npm start` serves it: a process, with servers of its own or the tests'. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import pg from 'pg';
import { expect, inject } from 'vitest';
import { loadOrCreateIdentity, signToken, type TokenClaims } from '../../infra/local/identity.ts';
import { findFreePort, type ServerPorts } from '../../infra/local/servers/ports.ts';
import { postgresUrl } from '../../infra/local/servers/postgres.ts';
import { redisUrl } from '../../infra/local/servers/redis.ts';
import { type Runner, startRunner } from './runner.ts';
import { isolatedServers } from './servers.ts';

export type RunningStage = {
  readonly url: string;
  readonly stateDir: string;
  readonly runner: Runner;
  readonly redis: Redis;
  /** As the owner. */
  readonly database: pg.Client;
  /** All scopes, unless `claims` has others. */
  tokenOf(claims?: TokenClaims): Promise<string>;
  /** As a SIGTERM does; rejects when it did not end well. Call it in `afterAll`. */
  stop(): Promise<void>;
};

type OnStop = (undo: () => unknown) => void;
/** Those that `npm start` starts itself, or databases of the tests' servers, which REDIS_URL and DATABASE_URL name. */
type StageServers = 'embedded' | 'named';

/** Stops by itself what it started when it fails, and rejects with why it failed. */
export async function startLocalStage(
  prefix: string,
  servers: StageServers = 'embedded',
): Promise<RunningStage> {
  const undos: (() => unknown)[] = [];
  const stop = () => undoAll(undos);
  try {
    return { ...(await start(prefix, servers, (undo) => undos.push(undo))), stop };
  } catch (error) {
    await stop().catch(() => {}); // why it did not start is what matters
    throw error;
  }
}

async function start(
  prefix: string,
  servers: StageServers,
  onStop: OnStop,
): Promise<Omit<RunningStage, 'stop'>> {
  const stateDir = mkdtempSync(join(inject('servers').stateDir, prefix));
  onStop(() => rmSync(stateDir, { recursive: true, force: true }));
  const named = servers === 'named' ? await isolatedServers() : undefined;
  onStop(() => named?.dispose());
  const env = named && { REDIS_URL: named.redisUrl, DATABASE_URL: named.databaseUrl };
  const { runner, url } = await serve(stateDir, env, onStop);
  const urls = named ?? embeddedUrls(stateDir);
  const redis = new Redis(urls.redisUrl);
  onStop(() => redis.disconnect());
  const database = new pg.Client({ connectionString: urls.databaseUrl });
  await database.connect();
  onStop(() => database.end());
  const identity = await loadOrCreateIdentity(stateDir);
  const tokenOf = (claims: TokenClaims = {}) =>
    signToken(identity, { scope: 'users:read cache:admin', ...claims });
  return { url, stateDir, runner, redis, database, tokenOf };
}

/** The functions' of Redis, the owner's of PostgreSQL. */
function embeddedUrls(stateDir: string): { redisUrl: string; databaseUrl: string } {
  const ports = JSON.parse(readFileSync(join(stateDir, 'ports.json'), 'utf8')) as ServerPorts;
  return {
    redisUrl: redisUrl(stateDir, ports.redis, 'functions'),
    databaseUrl: postgresUrl(stateDir, ports.postgres),
  };
}

/** With a Pushgateway of its own, because what is published there has one name for all. */
async function serve(
  stateDir: string,
  env: NodeJS.ProcessEnv | undefined,
  onStop: OnStop,
): Promise<{ runner: Runner; url: string }> {
  const port = await findFreePort();
  const runner = startRunner(stateDir, ['--port', String(port)], env);
  onStop(async () => {
    runner.kill('SIGTERM');
    expect(await runner.exited, runner.output()).toEqual({ code: 0, signal: null });
  });
  await runner.waitFor('Ctrl-C stops everything.');
  return { runner, url: `http://127.0.0.1:${port}` };
}

/** The last one first; one that fails keeps none of the others from being done. */
async function undoAll(undos: (() => unknown)[]): Promise<void> {
  const failures: unknown[] = [];
  for (let undo = undos.pop(); undo; undo = undos.pop()) {
    try {
      await undo();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, 'The local stage could not be stopped.');
}
