/** The way to Redis for all but the exact limits: one breaker over all commands, so that a dead Redis costs a container one timeout, not one a request. */
import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhen } from 'cockatiel';
import { type ChainableCommander, type Redis, ReplyError } from 'ioredis';
import { RedisUnavailableError } from '../errors.ts';
import { log } from '../logger.ts';
import { createRedis, untilReady } from './client.ts';

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
  /^(READONLY|LOADING|NOAUTH|WRONGPASS|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|MISCONF|NOREPLICAS|ERR max number of clients)/;

function isUnavailable(error: unknown): boolean {
  return !(error instanceof ReplyError) || SERVER_CANNOT.test((error as Error).message);
}

export class GuardedRedis {
  readonly #redis: Redis;
  readonly #options: GuardOptions;
  readonly #breaker;
  #probe: Promise<void> | undefined;

  constructor(redisUrl: string, options: GuardOptions) {
    this.#redis = createRedis(redisUrl, options.timeoutMs);
    this.#options = options;
    this.#breaker = circuitBreaker(handleWhen(isUnavailable), {
      breaker: new ConsecutiveBreaker(1),
      halfOpenAfter: options.probeAfterMs,
    });
    this.#breaker.onBreak(() => log.warn('Redis does not answer; going on without it.'));
    this.#breaker.onReset(() => log.info('Redis answers again.'));
  }

  /**
   * Runs `operation`. Throws `RedisUnavailableError` when Redis cannot take it, or, at once, while it is known not to;
   * another error reply (a wrong type, say) is thrown as it is.
   */
  run<T>(operation: (redis: Redis) => Promise<T>): Promise<T> {
    return this.#guard(() => this.#breaker.execute(() => this.#send(operation)));
  }

  /** The same for a command that waits for something else than the server: being late says nothing about Redis. */
  runWaiting<T>(operation: (redis: Redis) => Promise<T>): Promise<T> {
    return this.#guard(() => this.#send(operation));
  }

  /** Runs the commands that `fill` adds in one round trip; throws the first failure of any of them. */
  pipeline(fill: (commands: ChainableCommander) => void): Promise<unknown[]> {
    return this.run(async (redis) => {
      const commands = redis.pipeline();
      fill(commands);
      const results = (await commands.exec()) ?? [];
      return results.map(([error, value]) => {
        if (error !== null) throw error;
        return value;
      });
    });
  }

  /** Waits until commands can be sent, so that the first request finds a connection, or the breaker open after `timeoutMs`. */
  async connect(timeoutMs: number): Promise<void> {
    try {
      await this.#breaker.execute(() => untilReady(this.#redis, timeoutMs));
    } catch (error) {
      log.warn('Starting without Redis.', { error });
    }
  }

  close(): void {
    this.#redis.disconnect();
  }

  async #guard<T>(send: () => Promise<T>): Promise<T> {
    if (this.#breaker.state !== CircuitState.Closed) await this.#refuseWhileOpen();
    try {
      return await send();
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      throw new RedisUnavailableError('Redis did not answer.', { cause: error });
    }
  }

  async #send<T>(operation: (redis: Redis) => Promise<T>): Promise<T> {
    if (this.#redis.status !== 'ready') await untilReady(this.#redis, this.#options.timeoutMs);
    return operation(this.#redis);
  }

  async #refuseWhileOpen(): Promise<void> {
    this.#probe ??= this.#startProbe();
    if (this.#options.waitForProbe) await this.#probe;
    if (this.#breaker.state !== CircuitState.Closed) {
      throw new RedisUnavailableError('Redis is known not to answer.');
    }
  }

  /**
   * One PING at a time, and no request waits for it: the breaker lets it through only when the break is over, and
   * closes if it is answered. It is left behind when a container freezes, which loses nothing: the next request probes.
   */
  async #startProbe(): Promise<void> {
    try {
      await this.#breaker.execute(() => this.#send((redis) => redis.ping()));
    } catch {
      // The breaker keeps what it learned; there is nothing else to do with a failed probe.
    } finally {
      this.#probe = undefined;
    }
  }
}
