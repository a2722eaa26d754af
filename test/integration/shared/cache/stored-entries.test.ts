/** What a warm-up looks up and drops, with nothing else of the cache loaded. */
import { expect, it, onTestFinished } from 'vitest';
import { dropValues } from '../../../../shared/cache/stored-entries.ts';
import { GuardedRedis, WARMER_GUARD } from '../../../../shared/redis/guarded-redis.ts';
import { startOwnRedis } from '../../../support/servers.ts';

it('values can be dropped whatever else is loaded: the script comes with them', async () => {
  const own = await startOwnRedis();
  onTestFinished(() => own.stop());
  const redis = new GuardedRedis(own.url, WARMER_GUARD);
  onTestFinished(() => redis.close());
  await redis.run((client) => client.set('key', 'value'));
  await dropValues(redis, ['key']);
  expect(await redis.readTexts(['key'])).toEqual([null]);
});
