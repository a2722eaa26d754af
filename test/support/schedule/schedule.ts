/** Runs a schedule: several caches on one Redis and one database, with every command, load and timer in the order given. */
import type { Source } from '../../../shared/cache/source.ts';
import { TieredCache } from '../../../shared/cache/tiered-cache.ts';
import { DatabaseUnavailableError, LoadTooOldError, RedisUnavailableError } from '../../../shared/errors.ts';
import { keys } from '../keys.ts';
import { Promises, type Reader } from './promises.ts';
import { type Load, ScheduledDatabase } from './scheduled-database.ts';
import { letTimePass, resetRedis, type ScheduledRedis } from './scheduled-redis.ts';
import type { VirtualTime } from './virtual-time.ts';

/** What can happen. `process` is an index; `pick` chooses among what is possible then. */
export type Action =
  | { readonly type: 'get' | 'invalidate'; readonly process: number; readonly id: number }
  | { readonly type: 'getMany' | 'warm'; readonly process: number; readonly ids: readonly number[] }
  | { readonly type: 'clear' | 'freeze' | 'loseConnection'; readonly process: number }
  | { readonly type: 'crash'; readonly process: number; readonly nextVersion: number }
  | { readonly type: 'stepClock'; readonly process: number; readonly ms: number }
  | { readonly type: 'stepDatabaseClock'; readonly ms: number }
  | { readonly type: 'thaw'; readonly process: number; readonly timersStoodStill: boolean }
  | { readonly type: 'update' | 'delete' | 'evict'; readonly id: number }
  | { readonly type: 'loseGeneration' }
  | { readonly type: 'wait'; readonly ms: number }
  | { readonly type: 'steps'; readonly picks: readonly number[] }
  | { readonly type: 'failLoad'; readonly pick: number };

type Process = Reader & {
  readonly redis: ScheduledRedis;
  cache: TieredCache<number>;
  frozenAtMs: number | undefined;
};

const COMMAND_TIMEOUT_MS = 100;
const STATEMENT_TIMEOUT_MS = 2_100;
/** A load may take as long as its statement; a frozen one's result is stored for half a minute more. */
const LOAD_AND_STORE_MS = STATEMENT_TIMEOUT_MS + 31_000;
/** What a schedule's faults may end in. */
const EXPECTED = [RedisUnavailableError, DatabaseUnavailableError, LoadTooOldError];
/** More steps than this to come to an end mean that something does not end. */
const STEPS_MAX = 5_000;

const DATASET = 'rows';
export const IDS = [0, 1, 2] as const;

export class Schedule {
  readonly #time: VirtualTime;
  readonly #database: ScheduledDatabase;
  readonly #timing: Source<number>['timing'];
  readonly #promises: Promises;
  readonly #processes: Process[];
  readonly #underWay = new Map<Promise<void>, Process>();
  #failure: unknown;
  #events = 0;

  constructor(time: VirtualTime, connections: readonly ScheduledRedis[], timing: Source<number>['timing']) {
    this.#time = time;
    this.#database = new ScheduledDatabase(time);
    this.#timing = timing;
    const fresh = Math.max(timing.freshMs, timing.warmFreshMs, timing.absentMs) + LOAD_AND_STORE_MS;
    this.#promises = new Promises(this.#database, { fresh, stale: fresh + timing.graceMs });
    this.#processes = connections.map((redis, index) => this.#start(redis, 1 + (index % 2)));
  }

  /** Throws when a promise is broken, when something fails that may not, and when something does not end. */
  async run(actions: readonly Action[]): Promise<void> {
    await resetRedis(this.#observer, this.#time.nowMs);
    for (const id of IDS) this.#database.commit(id, false);
    for (const action of actions) {
      await this.#act(action);
      if (this.#failure !== undefined) throw this.#failure;
    }
    await this.#comeToAnEnd();
    await this.#readAll();
    if (this.#failure !== undefined) throw this.#failure;
  }

  get #observer(): ScheduledRedis {
    return (this.#processes[0] as Process).redis;
  }

  async #act(action: Action): Promise<void> {
    switch (action.type) {
      case 'get':
        return this.#read(action.process, [action.id], (cache) =>
          cache.get(action.id).then((read) => [read]),
        );
      case 'getMany':
        return this.#read(action.process, action.ids, (cache) => cache.getMany(action.ids));
      case 'warm':
        return this.#begin(action.process, (cache) => cache.warm(action.ids));
      case 'invalidate':
        return this.#invalidate(action.process, action.id);
      case 'clear':
        return this.#clear(action.process);
      case 'update':
        return this.#database.commit(action.id, false);
      case 'delete':
        return this.#database.commit(action.id, true);
      case 'evict':
        return this.#evict(action.id);
      case 'loseGeneration':
        return void (await this.#observer.now((redis) => redis.del(keys.generation(DATASET))));
      case 'loseConnection':
        return this.#loseConnection(this.#at(action.process));
      case 'crash':
        return this.#crash(action.process, action.nextVersion);
      case 'stepClock':
        return this.#stepClock(action.process, action.ms);
      case 'stepDatabaseClock':
        // Nobody could tell the order of what was read before and what is stored after it.
        if (this.#underWay.size === 0) this.#database.stepClock(action.ms);
        return;
      case 'freeze':
        this.#at(action.process).frozenAtMs ??= this.#time.nowMs;
        return;
      case 'thaw':
        return this.#thaw(this.#at(action.process), action.timersStoodStill);
      case 'wait':
        return this.#wait(action.ms);
      case 'failLoad':
        return this.#failLoad(action.pick);
      case 'steps':
        for (const pick of action.picks) await this.#step(pick);
    }
  }

  #at(index: number): Process {
    return this.#processes[index] as Process;
  }

  #start(redis: ScheduledRedis, schemaVersion: number): Process {
    redis.restart();
    const process = { bornAt: ++this.#events, troubledAtMs: 0, redis, frozenAtMs: undefined };
    const source: Source<number> = {
      name: DATASET,
      schemaVersion,
      timing: this.#timing,
      memoryEntriesMax: 2,
      key: String,
      load: (ids) => this.#database.load(process, ids),
    };
    return Object.assign(process, { cache: new TieredCache(source, redis) });
  }

  /** Begins `work` in a process that is not frozen; it ends when the steps that it needs were taken. */
  #begin(index: number, work: (cache: TieredCache<number>) => Promise<unknown>): void {
    const process = this.#at(index);
    if (process.frozenAtMs !== undefined) return;
    const ended = this.#time
      .runAs(process, async () => work(process.cache))
      .then(
        () => undefined,
        (error) => this.#judge(error),
      )
      .finally(() => this.#underWay.delete(ended));
    this.#underWay.set(ended, process);
  }

  #judge(error: unknown): void {
    const isExpected = EXPECTED.some((expected) => error instanceof expected);
    if (!isExpected) this.#failure ??= error;
  }

  #read(
    index: number,
    ids: readonly number[],
    work: (cache: TieredCache<number>) => ReturnType<TieredCache<number>['getMany']>,
  ): void {
    const reading = { reader: this.#at(index), at: ++this.#events, beganAtMs: this.#time.nowMs };
    this.#begin(index, async (cache) => {
      const reads = await work(cache);
      for (const [place, id] of ids.entries())
        this.#promises.check({ ...reading, id }, reads[place] as never);
    });
  }

  /** As an owner does it: commit, ask the database for its time, tell the cache. */
  #invalidate(index: number, id: number): void {
    if (this.#at(index).frozenAtMs !== undefined) return;
    this.#database.commit(id, false);
    const us = this.#database.nowUs();
    const clockUs = this.#database.clockUs(us);
    this.#begin(index, async (cache) => {
      await cache.invalidate([id], clockUs);
      this.#promise(this.#at(index), id, us);
    });
  }

  #clear(index: number): void {
    const us = this.#database.nowUs();
    const by = this.#at(index);
    this.#begin(index, async (cache) => {
      await cache.clear();
      this.#promise(by, 'all', us);
    });
  }

  #promise(by: Reader, id: number | 'all', us: number): void {
    this.#promises.make({ id, us, by, at: ++this.#events, answeredAtMs: this.#time.nowMs });
  }

  async #evict(id: number): Promise<void> {
    await this.#observer.now(async (redis) => {
      const entries = await redis.keys(keys.entry(DATASET, '*', '*', String(id)));
      const texts = entries.length === 0 ? [] : await redis.mget(entries);
      const values = entries.filter((_, index) => texts[index]?.startsWith('t') === false);
      if (values.length > 0) await redis.del(values);
    });
  }

  #loseConnection(process: Process): Promise<void> {
    process.troubledAtMs = process.redis.loseConnection();
    return settle();
  }

  /** How old an entry is, nobody knows then; what was invalidated is invalidated all the same. */
  #stepClock(index: number, ms: number): void {
    this.#time.stepClock(this.#at(index), ms);
    this.#promises.forgetAges();
  }

  /** What it has begun never ends; another container takes its place, of a new version or an old one. */
  #crash(index: number, nextVersion: number): void {
    const process = this.#at(index);
    this.#database.forget(process);
    this.#time.forget(process);
    for (const [ended, owner] of this.#underWay) if (owner === process) this.#underWay.delete(ended);
    this.#processes[index] = this.#start(process.redis, nextVersion);
  }

  async #thaw(process: Process, timersStoodStill: boolean): Promise<void> {
    if (process.frozenAtMs === undefined) return;
    const frozenMs = this.#time.nowMs - process.frozenAtMs;
    process.frozenAtMs = undefined;
    if (timersStoodStill) {
      this.#time.postpone(process, frozenMs);
      process.redis.postpone(frozenMs);
      this.#database.postpone(process, frozenMs);
    }
    await this.#endWaits(process);
  }

  async #wait(ms: number): Promise<void> {
    this.#time.nowMs += ms;
    await letTimePass(this.#observer, ms);
    for (const process of this.#processes) {
      if (process.frozenAtMs === undefined) await this.#endWaits(process);
    }
  }

  async #endWaits(process: Process): Promise<void> {
    process.troubledAtMs = process.redis.timeOut(COMMAND_TIMEOUT_MS);
    this.#database.timeOut(process, STATEMENT_TIMEOUT_MS);
    this.#time.fireDue(process);
    await settle();
  }

  #failLoad(pick: number): Promise<void> | undefined {
    const loads = this.#database.loads.filter((load) => !this.#isFrozen(load.owner));
    if (loads.length === 0) return undefined;
    this.#database.fail(loads[pick % loads.length] as Load);
    return settle();
  }

  #isFrozen(owner: object): boolean {
    return (owner as Process).frozenAtMs !== undefined;
  }

  /** One of the things that can happen next: a command is executed or answered, a load sees its rows or ends. */
  async #step(pick: number): Promise<boolean> {
    const possible = this.#possibleSteps();
    if (possible.length === 0) return false;
    await possible[pick % possible.length]?.();
    await settle();
    return true;
  }

  /** A frozen process' commands are on their way already, and its statements run on; it takes in nothing. */
  #possibleSteps(): (() => unknown)[] {
    const steps: (() => unknown)[] = [];
    for (const process of this.#processes) {
      if (process.redis.sent.length > 0) steps.push(() => process.redis.executeNext());
      if (process.redis.executed.length > 0 && !this.#isFrozen(process)) {
        steps.push(() => process.redis.deliverNext());
        steps.push(() => process.redis.deliverAll());
      }
    }
    for (const load of this.#database.loads) {
      if (load.seen === undefined) steps.push(() => this.#database.see(load));
      else if (!this.#isFrozen(load.owner)) steps.push(() => this.#database.answer(load));
    }
    return steps;
  }

  async #comeToAnEnd(): Promise<void> {
    for (const process of this.#processes) await this.#thaw(process, false);
    for (let steps = 0; await this.#isUnderWay(); steps++) {
      if (steps > STEPS_MAX) throw new Error(`${this.#underWay.size} operations do not end.`);
      if (!(await this.#step(0))) await this.#wait(this.#untilNextMs());
    }
  }

  async #isUnderWay(): Promise<boolean> {
    await settle();
    return this.#underWay.size > 0 || this.#possibleSteps().length > 0;
  }

  #untilNextMs(): number {
    const untilNextMs = this.#time.untilNextMs();
    if (untilNextMs === undefined) throw new Error(`${this.#underWay.size} operations wait for nothing.`);
    return untilNextMs;
  }

  /** Now everybody must have heard of everything. */
  async #readAll(): Promise<void> {
    await this.#wait(1_000);
    for (const index of this.#processes.keys()) {
      await this.#act({ type: 'getMany', process: index, ids: IDS });
    }
    await this.#comeToAnEnd();
  }
}

/** Everything that follows from what happened, in the process itself, has happened. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
