/** Time that passes only when a schedule says so, for the code that runs as one of its processes; real for everything else. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { syncBuiltinESMExports } from 'node:module';
import timersPromises from 'node:timers/promises';

type Timer = { owner: object; dueMs: number; run: () => void };

/** Where schedules begin: as many digits as today, so that headers have their usual form. */
const START_MS = 1_800_000_000_000;

export class VirtualTime {
  nowMs = START_MS;
  readonly #owners = new AsyncLocalStorage<object>();
  readonly #timers = new Set<Timer>();
  /** How far an owner's wall clock is ahead; its monotonic clock nobody sets. */
  readonly #aheadMs = new Map<object, number>();

  /** Runs `work`, and all that it begins, as `owner`: its clock and its timers are this object's. */
  runAs<T>(owner: object, work: () => T): T {
    return this.#owners.run(owner, work);
  }

  /** Somebody sets the wall clock of `owner`. */
  stepClock(owner: object, ms: number): void {
    this.#aheadMs.set(owner, (this.#aheadMs.get(owner) ?? 0) + ms);
  }

  reset(): void {
    this.nowMs = START_MS;
    this.#aheadMs.clear();
    this.#timers.clear();
  }

  /** Runs the timers of `owner` that are due, the earliest first; `owner` was not frozen meanwhile. */
  fireDue(owner: object): void {
    const due = [...this.#timers].filter((timer) => timer.owner === owner && timer.dueMs <= this.nowMs);
    for (const timer of due.sort((a, b) => a.dueMs - b.dueMs)) {
      if (this.#timers.delete(timer)) timer.run();
    }
  }

  /** A Lambda's timers may stand still while it is frozen. */
  postpone(owner: object, ms: number): void {
    for (const timer of this.#timers) if (timer.owner === owner) timer.dueMs += ms;
  }

  forget(owner: object): void {
    for (const timer of this.#timers) if (timer.owner === owner) this.#timers.delete(timer);
  }

  /** How long until the next timer of anybody is due, or undefined when there is none. */
  untilNextMs(): number | undefined {
    const next = Math.min(...[...this.#timers].map((timer) => timer.dueMs));
    return next === Number.POSITIVE_INFINITY ? undefined : Math.max(0, next - this.nowMs);
  }

  /** Replaces the clock and the timers; answers what puts the real ones back. */
  install(): () => void {
    const real = {
      now: Date.now,
      monotonic: performance.now,
      setTimeout,
      clearTimeout,
      sleep: timersPromises.setTimeout,
    };
    Date.now = () => {
      const owner = this.#owners.getStore();
      return owner === undefined ? real.now() : this.nowMs + (this.#aheadMs.get(owner) ?? 0);
    };
    performance.now = () =>
      this.#owners.getStore() === undefined ? real.monotonic.call(performance) : this.nowMs - START_MS;
    globalThis.setTimeout = ((run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) =>
      this.#set(() => run(...args), ms) ?? real.setTimeout(run, ms, ...args)) as unknown as typeof setTimeout;
    globalThis.clearTimeout = ((timer: Timer) =>
      this.#timers.delete(timer) || real.clearTimeout(timer as never)) as unknown as typeof clearTimeout;
    timersPromises.setTimeout = ((ms = 0, value: unknown, options: undefined) =>
      this.#owners.getStore() === undefined
        ? real.sleep(ms, value, options)
        : new Promise((resolve) => this.#set(() => resolve(value), ms))) as unknown as typeof real.sleep;
    syncBuiltinESMExports();
    return () => {
      Date.now = real.now;
      performance.now = real.monotonic;
      globalThis.setTimeout = real.setTimeout;
      globalThis.clearTimeout = real.clearTimeout;
      timersPromises.setTimeout = real.sleep;
      syncBuiltinESMExports();
    };
  }

  #set(run: () => void, ms: number): Timer | undefined {
    const owner = this.#owners.getStore();
    if (owner === undefined) return undefined;
    const timer = { owner, dueMs: this.nowMs + ms, run };
    this.#timers.add(timer);
    return timer;
  }
}
