/** A warm-up over a Redis that takes so much in a second and no more, as one that grows with its load does: it is sent less, and readers do not wait behind it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { openCaches } from '../../../../shared/caches.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, REQUEST_GUARD, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { countOutcomes } from '../../../support/redis-outcomes.ts';
import { type IsolatedServers, isolatedServers } from '../../../support/servers.ts';
import { openTokenProxy, type TokenProxy } from '../../../support/token-proxy.ts';
import { datasetsOf, runWarmUp } from '../../../support/warm-ups.ts';

/** Only a rest is a wait here: it is noted, and over at once. */
vi.mock('node:timers/promises', async (importOriginal) => ({
  ...(await importOriginal<typeof import('node:timers/promises')>()),
  setTimeout: vi.fn(),
}));

/** Bounds against hanging. */
const PATIENCE_MS = 60_000;
const USERS = 5_000;
const BATCHES = USERS / users.warmBatchSize;
/** With which ElastiCache Serverless begins, by the kilobyte. */
const GROWING = 30_000;
/** A batch is about 160 kilobytes. */
const MUCH_TOO_SLOW = 1_000;
const HELD_UP_MS = 100;

let servers: IsolatedServers;
let database: Database;
let proxy: TokenProxy;
let redis: GuardedRedis;

beforeAll(async () => {
  servers = await isolatedServers();
  database = new Database(servers.databaseUrl);
});
afterAll(async () => {
  await database.close();
  await servers.dispose();
});
beforeEach(async () => {
  vi.mocked(sleep).mockReset().mockResolvedValue(undefined);
  proxy = await openTokenProxy(servers.redisUrl);
  redis = new GuardedRedis(proxy.url, { ...WARMER_GUARD, timeoutMs: PATIENCE_MS });
  onTestFinished(async () => {
    redis.close();
    await proxy.close();
  });
});

const restsMs = () => vi.mocked(sleep).mock.calls.map(([restMs]) => restMs as number);

it('rests longer than its stores are held up', async () => {
  const registered = datasetsOf(USERS, 0);
  let loads = 0;
  const load: typeof users.load = (...asked) => {
    if (++loads === BATCHES / 2) proxy.throttle(MUCH_TOO_SLOW);
    return users.load(...asked);
  };
  const { report } = await runWarmUp(redis, database, {
    ...registered,
    users: { ...users, ...registered.users, load },
  });
  expect(report).toMatchObject({ status: 'success', warmed: USERS });
  expect(restsMs()).toHaveLength(BATCHES);
  // The first ones after it began are those of stores before it.
  expect(Math.min(...restsMs().slice(-4))).toBeGreaterThan(HELD_UP_MS);
});

it('leaves readers, who wait for a tenth of a second at most, their turn', async () => {
  await runWarmUp(redis, database, datasetsOf(USERS, 0));
  const its = new GuardedRedis(proxy.url, { ...REQUEST_GUARD, timeoutMs: PATIENCE_MS });
  onTestFinished(() => its.close());
  await its.connect(PATIENCE_MS);
  const outcomes = countOutcomes(its);
  const caches = openCaches(its, database);
  proxy.throttle(GROWING);
  const warming = runWarmUp(redis, database, datasetsOf(USERS, 0));
  const layers = new Set<string>();
  for (const id of (await users.rank(database, USERS)).slice(-500))
    layers.add((await caches.users.get(id)).layer);
  expect((await warming).report).toMatchObject({ status: 'success', warmed: USERS });
  expect(layers).toEqual(new Set(['l2']));
  expect(outcomes.waitedInVain).toBe(0);
  // What such a server takes before somebody has waited for so long.
  expect(proxy.waitingMax).toBeLessThan(GROWING * (REQUEST_GUARD.timeoutMs / 1_000));
});
