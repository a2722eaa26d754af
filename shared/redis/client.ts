/** A Redis connection that never hangs: ioredis waits ten seconds for a refused server, and for ever for a frozen one. */
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { log } from '../logger.ts';
import { addScripts } from './script.ts';

/** One server (with its replicas behind its address), or a cluster, whose keys are spread over several. */
export type RedisClient = Redis | Cluster;

/** Reconnect soon, so that recovery is noticed within two seconds, but not in a busy loop. */
const RECONNECT_MIN_MS = 50;
const RECONNECT_MAX_MS = 500;
const CONNECT_TIMEOUT_MS = 1_000;
/**
 * A connection that has answered nothing for so long is replaced: a server that vanished without a word would hold it for
 * a quarter of an hour, even when another one has taken over.
 */
const SOCKET_TIMEOUT_MS = 3_000;

/** After a failover the connection still leads to the old primary: only a new one finds the new primary. */
const NOT_THE_PRIMARY = /^(READONLY|MASTERDOWN)/;

/** `redis-cluster:` and `rediss-cluster:` say that the address is one of a cluster's. */
const CLUSTER = /^(rediss?)-cluster:/;

/** A key that moved is found at the second address; more redirections mean that the cluster is being rebuilt. */
const REDIRECTIONS_MAX = 4;
const TRY_AGAIN_AFTER_MS = 20;

/** Connects at once and in the background. Without `commandTimeoutMs`, the caller must bound each command. */
export function createRedis(redisUrl: string, commandTimeoutMs?: number): RedisClient {
  const redis = CLUSTER.test(redisUrl)
    ? connectCluster(redisUrl, optionsOf(commandTimeoutMs ?? CONNECT_TIMEOUT_MS))
    : new Redis(redisUrl, optionsOf(commandTimeoutMs));
  // Without a listener ioredis prints each failure as text; the guard logs what matters, once.
  redis.on('error', (error: unknown) =>
    log.debug('redis.connection_failed', 'The Redis connection failed.', { error }),
  );
  addScripts(redis);
  return redis;
}

function optionsOf(commandTimeoutMs: number | undefined) {
  return {
    connectTimeout: CONNECT_TIMEOUT_MS,
    ...(commandTimeoutMs !== undefined && {
      commandTimeout: commandTimeoutMs,
      socketTimeout: SOCKET_TIMEOUT_MS,
    }),
    // A command before the connection is ready fails at once; to wait for it, with a bound, there is `untilReady`.
    enableOfflineQueue: false,
    // What was under way when the connection broke may have been executed: repeating it is not ours to decide.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // A server that loads may be wrong about how long it still needs.
    maxLoadingRetryTime: RECONNECT_MAX_MS,
    reconnectOnError: (error) => NOT_THE_PRIMARY.test(error.message),
    retryStrategy: reconnectAfterMs,
  } satisfies RedisOptions;
}

function connectCluster(clusterUrl: string, options: ReturnType<typeof optionsOf>): Cluster {
  const { protocol, hostname, port, username, password } = new URL(clusterUrl.replace(CLUSTER, '$1:'));
  const cluster = new Cluster([{ host: hostname, port: Number(port || 6379) }], {
    redisOptions: {
      ...options,
      ...(username !== '' && { username: decodeURIComponent(username) }),
      ...(password !== '' && { password: decodeURIComponent(password) }),
      ...(protocol === 'rediss:' && { tls: {} }),
    },
    // The names in a cluster's answers are what the certificates of its servers are made out to.
    dnsLookup: (address, callback) => callback(null, address),
    // For a server whose connection is being made, and no longer than a command may take; nobody sends before the
    // cluster is ready.
    enableOfflineQueue: true,
    // Each server is checked by its own connection; a slot without a server shows in the answer to a command.
    enableReadyCheck: false,
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    clusterRetryStrategy: reconnectAfterMs,
    maxRedirections: REDIRECTIONS_MAX,
    retryDelayOnTryAgain: TRY_AGAIN_AFTER_MS,
    // What was under way may have been executed here too; and a slot without a server is without one for seconds.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
  });
  cluster.on('+node', prepareServer);
  cluster.on('refresh', () => connectServers(cluster));
  return cluster;
}

/** What a cluster does to its servers' connections, made fit for ours. */
function prepareServer(server: Redis): void {
  // A batch goes to the server itself; the cluster defines scripts for itself only.
  addScripts(server);
  // Where the slots are is asked through a copy, whose first command includes the connecting.
  const duplicate = server.duplicate.bind(server);
  server.duplicate = (override) => duplicate({ ...override, commandTimeout: CONNECT_TIMEOUT_MS });
  // Sent before a redirected command, whose own failure is reported: nobody handles this one's, which would end the process.
  const asking = server.asking.bind(server);
  server.asking = async () => asking().catch(() => 'OK' as const);
}

/** Connects to servers that are new to the client; otherwise the first command for each would have to wait. */
function connectServers(cluster: Cluster): void {
  for (const server of cluster.nodes('master')) {
    if (server.status === 'wait') server.connect().catch(() => undefined);
  }
}

function reconnectAfterMs(attempt: number): number {
  return Math.min(RECONNECT_MIN_MS * 2 ** attempt, RECONNECT_MAX_MS);
}

/**
 * Resolves when commands can be sent; rejects when an attempt to connect fails, or after `timeoutMs`. A cluster is ready
 * when each of its servers has been tried: without one of them it is of use still.
 */
export async function untilReady(redis: RedisClient, timeoutMs: number): Promise<void> {
  const giveUpMonotonicMs = performance.now() + timeoutMs;
  await untilConnected(redis, timeoutMs);
  if (!(redis instanceof Cluster)) return;
  const servers = redis.nodes('master');
  await Promise.allSettled(
    servers.map((server) => untilConnected(server, giveUpMonotonicMs - performance.now())),
  );
}

function untilConnected(redis: RedisClient, timeoutMs: number): Promise<void> {
  if (redis.status === 'ready') return Promise.resolve();
  return new Promise((resolve, reject) => {
    let cause: unknown;
    const finish = (settle: () => void) => {
      clearTimeout(timer);
      redis.off('ready', onReady).off('close', onClose).off('error', onError);
      settle();
    };
    const onReady = () => finish(resolve);
    // This event comes before `close`: a wrong password or certificate, an address that nobody has.
    const onError = (error: unknown) => {
      cause = (error as { lastNodeError?: unknown }).lastNodeError ?? error;
    };
    const onClose = () => finish(() => reject(new Error('Redis refused the connection.', { cause })));
    const timer = setTimeout(
      () => finish(() => reject(new Error(`Redis was not ready within ${timeoutMs} ms.`))),
      timeoutMs,
    );
    redis.once('ready', onReady).once('close', onClose).on('error', onError);
  });
}
