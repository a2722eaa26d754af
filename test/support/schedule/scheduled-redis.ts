/** A real Redis between which and a process a schedule stands: it says when a command is executed and when its answer arrives. */
import type { Redis } from 'ioredis';
import { RedisUnavailableError } from '../../../shared/errors.ts';
import type { RedisClient } from '../../../shared/redis/client.ts';
import { GuardedRedis, REQUEST_GUARD } from '../../../shared/redis/guarded-redis.ts';

type Command = {
  readonly operation: (redis: RedisClient) => Promise<unknown>;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** By the process' own wall clock, and by the schedule's. */
  readonly beganAtMs: number;
  readonly attemptedAtMs: number;
  sentAtMs: number;
  /** Its sender has given up waiting. */
  isAbandoned: boolean;
  settle: () => void;
};

/** One connection: commands are executed in the order in which they were sent, and answered in it. */
export class ScheduledRedis extends GuardedRedis {
  sent: Command[] = [];
  executed: Command[] = [];
  readonly #clock: { readonly nowMs: number };
  #attemptedAtMs = 0;

  constructor(redisUrl: string, clock: { readonly nowMs: number }) {
    super(redisUrl, { ...REQUEST_GUARD, timeoutMs: 5_000 });
    this.#clock = clock;
  }

  override run<T>(operation: (redis: RedisClient) => Promise<T>): Promise<T> {
    return new Promise<unknown>((resolve, reject) => {
      const command = {
        operation,
        resolve,
        reject,
        beganAtMs: Date.now(),
        attemptedAtMs: this.#clock.nowMs,
        sentAtMs: this.#clock.nowMs,
        isAbandoned: false,
        settle() {},
      };
      this.sent.push(command);
    }) as Promise<T>;
  }

  override runWaiting<T>(operation: (redis: RedisClient) => Promise<T>): Promise<T> {
    return this.run(operation);
  }

  /** For the schedule's own purposes. */
  now<T>(operation: (redis: Redis) => Promise<T>): Promise<T> {
    return super.run((redis) => operation(redis as Redis));
  }

  async executeNext(): Promise<void> {
    const command = this.sent.shift() as Command;
    await super.run(command.operation).then(
      (answer) => {
        command.settle = () => command.resolve(answer);
      },
      (error) => {
        command.settle = () => command.reject(error);
      },
    );
    if (!command.isAbandoned) this.executed.push(command);
  }

  deliverNext(): void {
    this.executed.shift()?.settle();
  }

  /** As answers that arrive together do: nothing that follows from the first has happened when the last is taken in. */
  deliverAll(): void {
    while (this.executed.length > 0) this.deliverNext();
  }

  /**
   * The process gives up on what was sent `timeoutMs` ago; what Redis was sent it may execute all the same. Answers when
   * the last of it was sent, by the schedule's clock.
   */
  timeOut(timeoutMs: number): number {
    const isLate = (command: Command) =>
      !command.isAbandoned && this.#clock.nowMs - command.sentAtMs >= timeoutMs;
    const late = [...this.executed, ...this.sent].filter(isLate);
    this.executed = this.executed.filter((command) => !isLate(command));
    return this.#reject(late, 'Too late.');
  }

  postpone(ms: number): void {
    for (const command of [...this.sent, ...this.executed]) command.sentAtMs += ms;
  }

  /** What was not executed never is, and what was executed is not answered. */
  loseConnection(): number {
    const lost = [...this.executed, ...this.sent].filter((command) => !command.isAbandoned);
    this.#forget();
    return this.#reject(lost, 'The connection was lost.');
  }

  #reject(commands: readonly Command[], message: string): number {
    const last = commands.at(-1);
    this.#attemptedAtMs = Math.max(this.#attemptedAtMs, last?.attemptedAtMs ?? 0);
    for (const command of commands) {
      command.isAbandoned = true;
      command.reject(new RedisUnavailableError(message, { attemptedAtMs: command.beganAtMs }));
    }
    return this.#attemptedAtMs;
  }

  /** The connection of another process. */
  restart(): void {
    this.#forget();
    this.#attemptedAtMs = 0;
  }

  #forget(): void {
    this.sent = [];
    this.executed = [];
  }
}

/** Redis' clock, as the scripts ask for it, becomes a counter of µs that the schedule moves. */
const CLOCK_KEY = 'schedule:clock-us';
const VIRTUAL_CLOCK = `
local clockUs = redis.call('INCR', '${CLOCK_KEY}')
local time = { math.floor(clockUs / 1000000), clockUs % 1000000 }`;

export async function useVirtualClock(redis: ScheduledRedis): Promise<void> {
  await redis.now(async (client) => {
    const scripts = (
      client as unknown as { scriptsSet: Record<string, { lua: string; numberOfKeys: number }> }
    ).scriptsSet;
    for (const [name, { lua, numberOfKeys }] of Object.entries(scripts)) {
      const virtual = lua.replace("\nlocal time = redis.call('TIME')", VIRTUAL_CLOCK);
      client.defineCommand(name, { lua: virtual, numberOfKeys });
    }
  });
}

/** The clock moves, and everything with a time to live has so much less of it. */
const LET_TIME_PASS = `
for _, key in ipairs(redis.call('KEYS', 'prewarm:*')) do
  local ttlMs = redis.call('PTTL', key)
  if ttlMs >= 0 then
    if ttlMs <= tonumber(ARGV[1]) then redis.call('DEL', key)
    else redis.call('PEXPIRE', key, ttlMs - tonumber(ARGV[1])) end
  end
end
return redis.call('INCRBY', '${CLOCK_KEY}', ARGV[1] * 1000)`;

export async function letTimePass(redis: ScheduledRedis, ms: number): Promise<void> {
  await redis.now((client) => client.eval(LET_TIME_PASS, 0, ms));
}

export async function resetRedis(redis: ScheduledRedis, nowMs: number): Promise<void> {
  await redis.now((client) =>
    client
      .pipeline()
      .flushdb()
      .set(CLOCK_KEY, nowMs * 1_000)
      .exec(),
  );
}
