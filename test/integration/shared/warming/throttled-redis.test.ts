/** A warm-up over a Redis that takes so much in a second and no more, as one that grows with its load does: it is sent less, and readers do not wait behind it. */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { openCaches } from '../../../../shared/caches.ts';
import { users } from '../../../../shared/datasets/users.ts';
import { Database } from '../../../../shared/postgres/database.ts';
import { GuardedRedis, REQUEST_GUARD, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { atEnd, closedAtEnd } from '../../../support/at-end.ts';
import { openProxy } from '../../../support/proxy.ts';
import { countOutcomes } from '../../../support/redis-outcomes.ts';
import { type IsolatedServers, isolatedServers } from '../../../support/servers.ts';
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
const KIB = 1_024;
const REFILL_EVERY_MS = 5;

type TokenProxy = {
  readonly url: string;
  /**
   * From now on what is sent waits for tokens, of all connections together, in the order in which it came; before, it goes
   * as it comes. A token is a kilobyte, or a piece that is smaller.
   */
  throttle(tokensPerSecond: number): void;
  /** The most that had to go before something that came, in tokens. */
  readonly waitingMax: number;
};

type Piece = { readonly bytes: Buffer; readonly to: Socket; readonly cost: number };

/** Before a Redis: lets so much through in a second, as a server does that grows with its load. */
async function openTokenProxy(targetUrl: string): Promise<TokenProxy> {
  const queue: Piece[] = [];
  let refilling: NodeJS.Timeout | undefined;
  let tokens = 0;
  let waitingMax = 0;
  const waiting = () => queue.reduce((sum, { cost }) => sum + cost, 0);
  const drain = () => {
    for (let [next] = queue; next !== undefined && (!refilling || tokens > 0); [next] = queue) {
      queue.shift();
      if (refilling) tokens -= next.cost; // what costs more than there is leaves a debt
      if (next.to.writable) next.to.write(next.bytes);
    }
  };
  const { url } = await openProxy(targetUrl, (client, upstream) => {
    upstream.pipe(client);
    client.on('data', (bytes: Buffer) => {
      waitingMax = Math.max(waitingMax, waiting());
      queue.push({ bytes, to: upstream, cost: costOf(bytes) });
      drain();
    });
  });
  atEnd(() => clearInterval(refilling));
  return {
    url,
    throttle(tokensPerSecond) {
      waitingMax = 0;
      const refill = Math.max(1, (tokensPerSecond * REFILL_EVERY_MS) / 1_000);
      refilling = setInterval(() => {
        tokens = Math.min(refill, tokens + refill);
        drain();
      }, REFILL_EVERY_MS);
    },
    get waitingMax() {
      return waitingMax;
    },
  };
}

/** As ElastiCache Serverless counts: one for each kilobyte that a command brings, and one at least. */
function costOf(bytes: Buffer): number {
  return Math.max(1, bytes.length / KIB);
}

let servers: IsolatedServers;
let database: Database;
let proxy: TokenProxy;
let redis: GuardedRedis;

beforeAll(async () => {
  servers = await isolatedServers();
  database = closedAtEnd(new Database(servers.databaseUrl));
});
beforeEach(async () => {
  vi.mocked(sleep).mockReset().mockResolvedValue(undefined);
  proxy = await openTokenProxy(servers.redisUrl);
  redis = closedAtEnd(new GuardedRedis(proxy.url, { ...WARMER_GUARD, timeoutMs: PATIENCE_MS }));
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
  const its = closedAtEnd(new GuardedRedis(proxy.url, { ...REQUEST_GUARD, timeoutMs: PATIENCE_MS }));
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
