/** The exact limits of the admin actions, as several containers count them in one Redis, and each for itself without it. */
import { beforeAll, describe, expect, it } from 'vitest';
import { TooManyRequestsError } from '../../../../shared/errors.ts';
import { AdminLimits } from '../../../../shared/http/rate-limit.ts';
import { ADMIN_GUARD, GuardedRedis } from '../../../../shared/redis/guarded-redis.ts';
import { closedAtEnd } from '../../../support/at-end.ts';
import { keys } from '../../../support/keys.ts';
import { isolatedServers } from '../../../support/servers.ts';

const STATUS = { name: 'status', callsPerMinute: 5 };
const CLEAR = { name: 'clear', callsPerMinute: 2 };
const PATIENT = { ...ADMIN_GUARD, timeoutMs: 5_000 };
const REFUSED = { status: 'rejected', reason: expect.any(TooManyRequestsError) };

let redis: GuardedRedis;
let containers: AdminLimits[];

beforeAll(async () => {
  const servers = await isolatedServers({ seeded: false });
  redis = closedAtEnd(new GuardedRedis(servers.redisUrl, PATIENT));
  containers = [new AdminLimits(redis), new AdminLimits(redis)];
});

const consume = (subject: string, call: number) =>
  (containers[call % 2] as AdminLimits).consume(STATUS, subject);

async function refusedOf(subject: string, calls: number): Promise<unknown[]> {
  const made = Array.from({ length: calls }, (_, call) => consume(subject, call));
  return (await Promise.allSettled(made)).filter(({ status }) => status === 'rejected');
}

describe('a limit', () => {
  it('counts the calls of a subject in all containers, and refuses the first one too many', async () => {
    expect(await refusedOf('somebody', STATUS.callsPerMinute + 1)).toEqual([REFUSED]);
    expect(await refusedOf('somebody else', 1)).toEqual([]);
    const refusal = consume('somebody', 0);
    await expect(refusal).rejects.toMatchObject({ policy: 'status', limit: 5, windowSeconds: 60 });
  });

  it('is charged with nothing for a call that was given back', async () => {
    for (let calls = 0; calls < 8; calls++) {
      await (await consume('unlucky', calls))();
    }
    expect(await refusedOf('unlucky', STATUS.callsPerMinute)).toEqual([]);
  });

  it('begins anew when its window has ended, and forgets those that ended', async () => {
    const key = keys.limit('warm-up');
    const ended = `2 ${Date.now() - 1}`;
    await redis.run((client) => client.hset(key, { gone: ended, ended, open: `1 ${Date.now() + 30_000}` }));
    const count = (subject: string) => redis.run((client) => client.countCall(key, subject, 60_000, 5));
    expect((await count('ended')).slice(0, 2)).toEqual([1, 60_000]);
    expect((await redis.run((client) => client.hkeys(key))).sort()).toEqual(['ended', 'open']);
    expect((await count('open'))[0]).toBe(2);
  });

  it('takes no window for open that ends later than one can: the clock was set back', async () => {
    const key = 'prewarm:limit:set-back';
    await redis.run((client) => client.hset(key, 'a', `7 ${Date.now() + 3_600_000}`));
    const counted = await redis.run((client) => client.countCall(key, 'a', 60_000, 5));
    expect(counted.slice(0, 2)).toEqual([1, 60_000]);
  });

  it('is charged with nothing for a call that was refused', async () => {
    const made = [];
    for (let calls = 0; calls < STATUS.callsPerMinute; calls++) made.push(await consume('eager', calls));
    expect(await refusedOf('eager', 10)).toHaveLength(10);
    await Promise.all(made.map((giveBack) => giveBack()));
    expect(await refusedOf('eager', STATUS.callsPerMinute)).toEqual([]);
  });

  it('is given nothing back for a call of a window that has ended', async () => {
    const giveBack = await consume('late', 0);
    await redis.run((client) =>
      client.hset(keys.limit('status'), keys.limited('late'), `3 ${Date.now() + 1}`),
    );
    await giveBack();
    expect(await redis.run((client) => client.hget(keys.limit('status'), keys.limited('late')))).toMatch(
      /^3 /,
    );
  });

  it('knows subjects by a digest, however long they are and whatever is in them', async () => {
    const subjects = ['x'.repeat(4_000), `${'x'.repeat(4_000)}y`, '{a}', '\n', '__proto__'];
    for (const subject of subjects) await consume(subject, 0);
    for (const subject of subjects) expect(await refusedOf(subject, 4)).toEqual([]);
    const fields = await redis.run((client) => client.hkeys(keys.limit('status')));
    for (const field of fields) expect(field).toMatch(/^[\w-]{22}$/);
  });

  it('replaces what somebody else has put in its place', async () => {
    await redis.run((client) => client.set(keys.limit('clear'), 'foreign'));
    await containers[0]?.consume(CLEAR, 'somebody');
    expect(await redis.run((client) => client.type(keys.limit('clear')))).toBe('hash');
  });
});

describe('without Redis', () => {
  it('each container allows a subject one call a minute, and gives it back if it failed', async () => {
    const away = closedAtEnd(new GuardedRedis('redis://127.0.0.1:1', ADMIN_GUARD));
    const limits = new AdminLimits(away);
    const giveBack = await limits.consume(CLEAR, 'somebody');
    await expect(limits.consume(CLEAR, 'somebody')).rejects.toBeInstanceOf(TooManyRequestsError);
    await limits.consume(STATUS, 'somebody');
    await limits.consume(CLEAR, 'somebody else');
    await giveBack();
    await limits.consume(CLEAR, 'somebody');
  });

  it('no more than a thousand subjects are remembered', async () => {
    const away = closedAtEnd(new GuardedRedis('redis://127.0.0.1:1', ADMIN_GUARD));
    const limits = new AdminLimits(away);
    const calls = Array.from({ length: 1_001 }, (_, subject) => limits.consume(CLEAR, String(subject)));
    const refused = (await Promise.allSettled(calls)).filter(({ status }) => status === 'rejected');
    expect(refused).toEqual([REFUSED]);
  });
});
