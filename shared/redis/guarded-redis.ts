/** The way to Redis for all but the exact limits: one breaker over all commands, so that a dead Redis costs a container one timeout, not one a request. */
import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhen } from 'cockatiel';
import { type ChainableCommander, ReplyError } from 'ioredis';
import { RedisUnavailableError } from '../errors.ts';
import { log } from '../logger.ts';
import { isCluster, sendBatch } from './batch.ts';
import { createRedis, type RedisClient, untilReady } from './client.ts';
import { TimeLimit } from './time-limit.ts';

export type GuardOptions = {
  /** Bounds the wait for a connection and each command. */
  readonly timeoutMs: number;
  /** How long the breaker stays open before one PING probes whether Redis is back. */
  readonly probeAfterMs: number;
  /** Background work may wait for the probe; a request goes on without Redis meanwhile. */
  readonly waitForProbe: boolean;
};

/** A request: at most 100 ms for a Redis that is usually there in one; back in use within 2 s of its recovery. */
export const REQUEST_GUARD: GuardOptions = { timeoutMs: 100, probeAfterMs: 500, waitForProbe: false };
/** The warmer has its own retries of one second each and nobody waits for it. */
export const WARMER_GUARD: GuardOptions = { timeoutMs: 900, probeAfterMs: 0, waitForProbe: true };

/**
 * Replies that tell of the server's state; any other error reply is about the command and no reason to stop asking. A
 * full Redis (OOM) refuses writes only, and what it holds is worth reading.
 */
const SERVER_CANNOT =
  /^(READONLY|LOADING|NOAUTH|WRONGPASS|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|MOVED|ASK|BUSY|MISCONF|NOREPLICAS|ERR max number of clients)/;

/** A full server refuses this write and says nothing about the next read. */
const SERVER_IS_FULL = /^OOM/;

/** A connection that answers nothing for so long is replaced: one that leads nowhere may stay open for a quarter of an hour. */
const SILENCE_MAX_MS = 1_000;

function isUnavailable(error: unknown): boolean {
  return !(error instanceof ReplyError) || SERVER_CANNOT.test((error as Error).message);
}

export class GuardedRedis {
  /** The keys are spread over several servers: commands that must take effect in an order wait for each other. */
  readonly isCluster: boolean;
  readonly #redis: RedisClient;
  readonly #options: GuardOptions;
  readonly #breaker;
  #probe: Promise<void> | undefined;
  /** When the last attempt in vain began. */
  #attemptedAtMs = 0;
  #silentSinceMs: number | undefined;
  #resetAtMs = 0;
  #ready: Promise<void> | undefined;
  readonly #timeLimit: TimeLimit;

  constructor(redisUrl: string, options: GuardOptions) {
    this.#redis = createRedis(redisUrl);
    this.isCluster = isCluster(this.#redis);
    this.#options = options;
    this.#timeLimit = new TimeLimit(
      options.timeoutMs,
      () => new Error(`Redis did not answer within ${options.timeoutMs} ms.`),
    );
    this.#breaker = circuitBreaker(handleWhen(isUnavailable), {
      breaker: new ConsecutiveBreaker(1),
      halfOpenAfter: options.probeAfterMs,
    });
    this.#breaker.onBreak(() => log.warn('Redis does not answer; going on without it.'));
    this.#breaker.onReset(() => {
      this.#silentSinceMs = undefined;
      this.#resetAtMs = Date.now();
      log.info('Redis answers again.');
    });
  }

  /**
   * Runs `operation`. Throws `RedisUnavailableError` when Redis cannot take it, or, at once, while it is known not to;
   * another error reply (a wrong type, say) is thrown as it is.
   */
  async run<T>(operation: (redis: RedisClient) => Promise<T>): Promise<T> {
    if (!this.#isUsable()) await this.#untilUsable();
    const beganAtMs = Date.now();
    try {
      return await this.#send(operation);
    } catch (error) {
      throw await this.#judge(error, beganAtMs);
    }
  }

  /** The same for a command that waits for something else than the server: being late says nothing about Redis. */
  async runWaiting<T>(operation: (redis: RedisClient) => Promise<T>): Promise<T> {
    if (!this.#isUsable()) await this.#untilUsable();
    try {
      return await this.#send(operation);
    } catch (error) {
      throw isUnavailable(error) ? new RedisUnavailableError('Redis was late.', { cause: error }) : error;
    }
  }

  /**
   * One command for each of `keys`, added by `command`, in one round trip to each server that has some of them. Answers in
   * the keys' order; throws the first failure.
   */
  batch(
    keys: readonly string[],
    command: (commands: ChainableCommander, index: number) => unknown,
  ): Promise<unknown[]> {
    return this.run((redis) => sendBatch(redis, keys, command));
  }

  /**
   * The texts of `keys`, in their order, null where there is none: one MGET, or in a cluster one for each key. It answers
   * null for a value of another type, where GET fails. `isBulk` says that they are so many that being late may be the
   * network's doing and says nothing about Redis.
   */
  async readTexts(keys: readonly string[], isBulk = false): Promise<(string | null)[]> {
    if (keys.length === 0) return [];
    const run = isBulk ? this.runWaiting.bind(this) : this.run.bind(this);
    if (!this.isCluster) return run((redis) => redis.mget([...keys]));
    const answers = await run((redis) =>
      sendBatch(redis, keys, (commands, index) => commands.mget(keys[index] as string)),
    );
    return (answers as (string | null)[][]).flat();
  }

  /** Waits until commands can be sent, so that the first request finds a connection, or the breaker open after `timeoutMs`. */
  async connect(timeoutMs: number): Promise<void> {
    const beganAtMs = Date.now();
    try {
      await this.#breaker.execute(() => untilReady(this.#redis, timeoutMs));
    } catch (error) {
      this.#attemptedAtMs = beganAtMs;
      log.warn('Starting without Redis.', { error });
    }
  }

  close(): void {
    this.#redis.disconnect();
  }

  #isUsable(): boolean {
    return this.#breaker.state === CircuitState.Closed && this.#redis.status === 'ready';
  }

  async #untilUsable(): Promise<void> {
    if (this.#breaker.state !== CircuitState.Closed) await this.#refuseWhileOpen();
    const beganAtMs = Date.now();
    try {
      // All who come meanwhile wait together: each would listen for itself.
      this.#ready ??= untilReady(this.#redis, this.#options.timeoutMs).finally(() => {
        this.#ready = undefined;
      });
      await this.#ready;
    } catch (error) {
      throw await this.#judge(error, beganAtMs);
    }
  }

  #send<T>(operation: (redis: RedisClient) => Promise<T>): Promise<T> {
    return this.#timeLimit.bound(operation(this.#redis));
  }

  /** What is thrown for `error`. The breaker hears of failures only: while it is closed, a success means nothing to it. */
  async #judge(error: unknown, beganAtMs: number): Promise<unknown> {
    if (!isUnavailable(error))
      return SERVER_IS_FULL.test((error as Error).message) ? asRefused(error) : error;
    this.#attemptedAtMs = Math.max(this.#attemptedAtMs, beganAtMs);
    this.#silentSinceMs ??= Date.now();
    // News from before the last reset is old, and while it is open the breaker hears of probes only.
    if (this.#breaker.state === CircuitState.Closed && beganAtMs >= this.#resetAtMs) {
      await this.#breaker.execute(() => Promise.reject(error)).catch(() => undefined);
    }
    return this.#asUnavailable('Redis did not answer.', error);
  }

  #asUnavailable(message: string, cause?: unknown): RedisUnavailableError {
    return new RedisUnavailableError(message, { cause, attemptedAtMs: this.#attemptedAtMs });
  }

  async #refuseWhileOpen(): Promise<void> {
    this.#probe ??= this.#startProbe();
    if (this.#options.waitForProbe) await this.#probe;
    if (this.#breaker.state !== CircuitState.Closed) {
      throw this.#asUnavailable('Redis is known not to answer.');
    }
  }

  /**
   * One PING at a time, and no request waits for it: the breaker lets it through only when the break is over, and
   * closes if it is answered. It is left behind when a container freezes, which loses nothing: the next request probes.
   */
  async #startProbe(): Promise<void> {
    try {
      await this.#breaker.execute(() => this.#ping());
    } catch {
      // The breaker keeps what it learned; there is nothing else to do with a failed probe.
    } finally {
      this.#probe = undefined;
    }
  }

  async #ping(): Promise<void> {
    const beganAtMs = Date.now();
    try {
      await untilReady(this.#redis, this.#options.timeoutMs);
      await this.#send((redis) => redis.ping());
    } catch (error) {
      this.#attemptedAtMs = beganAtMs;
      this.#replaceSilentConnection();
      throw error;
    }
  }

  /** A cluster's client does so by itself, for each of its servers. */
  #replaceSilentConnection(): void {
    const nowMs = Date.now();
    this.#silentSinceMs ??= nowMs;
    if (nowMs - this.#silentSinceMs < SILENCE_MAX_MS || isCluster(this.#redis)) return;
    this.#silentSinceMs = nowMs;
    this.#redis.stream?.destroy();
  }
}

function asRefused(cause: unknown): RedisUnavailableError {
  return new RedisUnavailableError('Redis is full.', { cause });
}
