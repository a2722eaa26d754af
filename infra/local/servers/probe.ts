/** One question to each kind of server that only a ready server answers; each rejects with the reason, within its bound. */
import { Redis } from 'ioredis';
import { withClient } from './postgres-client.ts';

export function probeRedis(url: string, timeoutMs: number): Promise<void> {
  return askRedis(url, timeoutMs, (redis) => redis.ping());
}

/** Rejects with the code `ISCLUSTER` or `NOCLUSTER` when the server is of the kind that the URL's scheme does not name. */
export function probeRedisKind(url: string, timeoutMs: number): Promise<void> {
  const isClusterNamed = /^rediss?-cluster:/.test(url);
  return askRedis(url.replace('-cluster:', ':'), timeoutMs, async (redis) => {
    await redis.ping();
    // A managed server may forbid INFO, and is believed.
    const info = await redis.info('cluster').catch(() => '');
    const isCluster = /^cluster_enabled:1/m.test(info);
    if (info === '' || isCluster === isClusterNamed) return;
    throw Object.assign(new Error('wrong kind'), { code: isCluster ? 'ISCLUSTER' : 'NOCLUSTER' });
  });
}

type Ask = (redis: Redis) => Promise<unknown>;

async function askRedis(url: string, timeoutMs: number, ask: Ask): Promise<void> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null, // one try: who asks decides whether to ask again
  });
  let reason: unknown;
  redis.on('error', (error) => (reason = error)); // `connect` itself rejects with nothing better than "Connection is closed"
  try {
    await redis.connect();
    await ask(redis);
  } catch (error) {
    throw reason ?? error;
  } finally {
    redis.disconnect();
  }
}

export async function probePostgres(url: string, timeoutMs: number): Promise<void> {
  await withClient(url, timeoutMs, (client) => client.query('SELECT 1'));
}

/** A Pushgateway behind a proxy may not show its `/-/ready`: any HTTP answer but a server's failure will do. */
export async function probePushgateway(url: string, timeoutMs: number): Promise<void> {
  const ready = new URL('/-/ready', url);
  const headers = takeCredentials(ready);
  const response = await fetch(ready, { headers, signal: AbortSignal.timeout(timeoutMs) });
  await response.body?.cancel();
  if (response.status >= 500) throw new Error(`it answered ${response.status}`);
}

/** fetch takes no URL that holds a password. */
function takeCredentials(url: URL): Record<string, string> {
  if (url.username === '' && url.password === '') return {};
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  url.username = '';
  url.password = '';
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}
