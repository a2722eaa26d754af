/** The way to Redis for all but the exact limits: one breaker over all commands, so that a dead Redis costs a container one timeout, not one a request. */
import { type ChainableCommander, ReplyError } from 'ioredis';
import { hasPassed } from '../clock.ts';
import { RedisFullError, RedisUnavailableError } from '../errors.ts';
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
/** An admin's call is about Redis, and worth a wait: a probe first when Redis was last seen away. */
export const ADMIN_GUARD: GuardOptions = { timeoutMs: 300, probeAfterMs: 0, waitForProbe: true };
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

/**
 * After a longer pause than this a request waits for a probe: a container that was frozen or idle meanwhile
 * knows nothing of Redis. One in use probes all the time, and its requests never wait.
 */
const VERDICT_BELIEVED_MS = 5_000;

/** A connection that answers nothing for so long is replaced: one that leads nowhere may stay open for a quarter of an hour. */
const UNANSWERED_MAX_MS = 1_000;

function isUnavailable(error: unknown): boolean {
  if (error instanceof TypeError) return false; // a mistake of ours: a command that no module has defined, say
  return !(error instanceof ReplyError) || SERVER_CANNOT.test((error as Error).message);
}

/** When something was sent to Redis, and how often the breaker had been opened by then. */
type Attempt = { readonly beganAtMs: number; readonly openings: number };

export class GuardedRedis {
  /** The keys are spread over several servers: commands that must take effect in an order wait for each other. */
  readonly isCluster: boolean;
  readonly #redis: RedisClient;
  readonly #options: GuardOptions;
  /** Open: Redis is known not to answer, and asked by nothing but one probe at a time. */
  #isOpen = false;
  /** How often it was opened: news of a failure from before the last time is old. */
  #openings = 0;
  #probe: Promise<void> | undefined;
  /** When the last probe failed, or the breaker opened. */
  #refusedAtMs = 0;
  /** When the last attempt in vain began. */
  #attemptedAtMs = 0;
  #silentSinceMs: number | undefined;
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
  }

  /**
   * Runs `operation`. Throws `RedisUnavailableError` when Redis cannot take it, or, at once, while it is known not to;
   * another error reply (a wrong type, say) is thrown as it is.
   */
  async run<T>(operation: (redis: RedisClient) => Promise<T>): Promise<T> {
    if (!this.#isUsable()) await this.#untilUsable();
    const attempt = this.#beginAttempt();
    try {
      return await this.#send(operation);
    } catch (error) {
      throw this.#judge(error, attempt);
    }
  }

  /** Runs a command that waits for something else than the server, as WAIT does: being late says nothing about Redis. */
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
    const attempt = this.#beginAttempt();
    try {
      await untilReady(this.#redis, timeoutMs);
    } catch (error) {
      this.#judge(error, attempt);
      log.warn('redis.not_ready', 'Starting without Redis.', { error });
    }
  }

  close(): void {
    this.#redis.disconnect();
  }

  #isUsable(): boolean {
    return !this.#isOpen && this.#redis.status === 'ready';
  }

  async #untilUsable(): Promise<void> {
    if (this.#isOpen) await this.#refuseWhileOpen();
    const attempt = this.#beginAttempt();
    try {
      // All who come meanwhile wait together: each would listen for itself.
      this.#ready ??= untilReady(this.#redis, this.#options.timeoutMs).finally(() => {
        this.#ready = undefined;
      });
      await this.#ready;
    } catch (error) {
      throw this.#judge(error, attempt);
    }
  }

  #send<T>(operation: (redis: RedisClient) => Promise<T>): Promise<T> {
    return this.#timeLimit.bound(operation(this.#redis));
  }

  #beginAttempt(): Attempt {
    return { beganAtMs: Date.now(), openings: this.#openings };
  }

  /** What is thrown for `error`. The breaker hears of failures only: while it is closed, a success means nothing to it. */
  #judge(error: unknown, { beganAtMs, openings }: Attempt): unknown {
    if (!isUnavailable(error))
      return SERVER_IS_FULL.test((error as Error).message) ? asRefused(error) : error;
    this.#attemptedAtMs = beganAtMs;
    this.#silentSinceMs ??= Date.now();
    if (!this.#isOpen && openings === this.#openings) this.#open();
    return this.#asUnavailable('Redis did not answer.', error);
  }

  #open(): void {
    this.#isOpen = true;
    this.#openings++;
    this.#refusedAtMs = Date.now();
    log.warn('redis.unavailable', 'Redis does not answer; going on without it.');
  }

  #close(): void {
    this.#isOpen = false;
    this.#silentSinceMs = undefined;
    log.info('redis.available', 'Redis answers again.');
  }

  #asUnavailable(message: string, cause?: unknown): RedisUnavailableError {
    return new RedisUnavailableError(message, { cause, attemptedAtMs: this.#attemptedAtMs });
  }

  async #refuseWhileOpen(): Promise<void> {
    const isVerdictOld = hasPassed(VERDICT_BELIEVED_MS, this.#refusedAtMs);
    if (hasPassed(this.#options.probeAfterMs, this.#refusedAtMs)) this.#probe ??= this.#startProbe();
    if (this.#options.waitForProbe || isVerdictOld) await this.#probe;
    if (this.#isOpen) throw this.#asUnavailable('Redis is known not to answer.');
  }

  /**
   * One PING at a time. A probe is left behind when a container freezes, which loses nothing: once thawed it comes to its
   * end, and then the next request probes.
   */
  async #startProbe(): Promise<void> {
    const beganAtMs = Date.now();
    try {
      await untilReady(this.#redis, this.#options.timeoutMs);
      await this.#send((redis) => redis.ping());
      this.#close();
    } catch (error) {
      if (isUnavailable(error)) this.#stayOpen(beganAtMs);
      else this.#close(); // it has answered
    } finally {
      this.#probe = undefined;
    }
  }

  #stayOpen(attemptedAtMs: number): void {
    this.#attemptedAtMs = attemptedAtMs;
    this.#refusedAtMs = Date.now();
    this.#replaceSilentConnection();
  }

  /** A cluster's client does so by itself, for each of its servers. */
  #replaceSilentConnection(): void {
    const nowMs = Date.now();
    this.#silentSinceMs ??= nowMs;
    if (!hasPassed(UNANSWERED_MAX_MS, this.#silentSinceMs, nowMs) || isCluster(this.#redis)) return;
    this.#silentSinceMs = nowMs;
    this.#redis.stream?.destroy();
  }
}

function asRefused(cause: unknown): RedisFullError {
  return new RedisFullError('Redis is full.', { cause });
}
