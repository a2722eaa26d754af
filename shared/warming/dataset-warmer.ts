/** Warms one dataset of a run: chooses what people read, loads and stores it batch by batch, no faster than the database likes, and looks up in the end what is there. */
import { setTimeout as sleep } from 'node:timers/promises';
import { RedisUnavailableError } from '../errors.ts';
import { log } from '../logger.ts';
import { type EvictionWatch, sampleOf } from './eviction-watch.ts';
import { Pace } from './pace.ts';
import type { PlanPart, WarmBatch, WarmPlan } from './plan.ts';
import type { StepReport } from './report.ts';
import { Step } from './step.ts';

/** A dataset as a warm-up sees it. */
export type WarmableDataset = {
  readonly name: string;
  /** How reports name the step that warms it. */
  readonly step: string;
  plan(): Promise<WarmPlan>;
  /** The generation that counts now; what a run stored under another one was cleared meanwhile. Throws `RedisUnavailableError`. */
  generation(): Promise<string>;
  /** Those of `keys` of which Redis has nothing. Throws `RedisUnavailableError`, or the reason of `signal`. */
  missing(keys: readonly string[], signal?: AbortSignal): Promise<string[]>;
  /** How many bytes of Redis one of `keys` takes, on average; 0 where it does not tell. Throws `RedisUnavailableError`. */
  bytesOfOne(keys: readonly string[]): Promise<number>;
  /** Deletes what Redis has of `keys`. Throws `RedisUnavailableError`. */
  drop(keys: readonly string[]): Promise<void>;
  /** Whether the database answers the smallest of questions. Never rejects. */
  isDatabaseWell(): Promise<boolean>;
};

export type WarmedDataset = {
  readonly report: StepReport;
  readonly dataset: string;
  /** Undefined when nothing could be chosen. */
  readonly plan: WarmPlan | undefined;
  /** The run had to end before all of it was warmed. */
  readonly isUnfinished: boolean;
};

/** Somebody who clears in the middle of warm-ups again and again is left to the next one. */
const REPEATS_MAX = 2;

/** Batches under way at once: Redis stores what was loaded while Postgres loads what comes next, and some may wait to be tried again. */
const UNDER_WAY_MAX = 4;

/** How many keys are set aside at most: when more are too slow, it is not the keys' fault. */
const SET_ASIDE_MAX = 20;

/** After so many batches that failed all their tries, and none that succeeded, no more are tried. */
const FAILED_MAX = 8;

/** How many of the stored keys are looked up again. */
const CONFIRMED_SAMPLE = 1_000;

/** What is dropped of a full Redis beyond what it held: room for what is stored again, and for what others store. */
const KEPT_SHARE = 0.9;

const NOTHING: PlanPart = { batches: [], keysFromReads: 0 };

const EVICTED = 'evicted by Redis, which is full';
const GONE = 'gone from Redis again, which is not full';

export type DatasetWarmerOptions = {
  readonly signal: AbortSignal;
  /** Somebody may wait for it: it rests no longer than it works, while the database and Redis keep their speed. */
  readonly isUrgent: boolean;
  readonly evictions: EvictionWatch;
};

/**
 * `warmFirst`, then `warmMore` in turns when all datasets of the run have their first part, and `confirm` in the end.
 */
export class DatasetWarmer {
  readonly #dataset: WarmableDataset;
  readonly #options: DatasetWarmerOptions;
  readonly #step: Step;
  readonly #pace: Pace;
  #plan: WarmPlan | undefined;
  #setAside = 0;
  #failed = 0;

  constructor(dataset: WarmableDataset, options: DatasetWarmerOptions) {
    this.#dataset = dataset;
    this.#options = options;
    this.#step = new Step(dataset.step, options.signal, () => dataset.isDatabaseWell());
    this.#pace = new Pace(options.isUrgent);
  }

  /** A batch that fails leaves the others alone. */
  async warmFirst(): Promise<void> {
    this.#step.resume();
    this.#plan = await this.#step.attempt(0, () => this.#dataset.plan());
    this.#pace.expect(this.#plan?.batchesMax ?? 0);
    await this.#warmPart(this.#plan ?? NOTHING);
    this.#step.pause();
  }

  /** The next part, which is read less than all before it. False when there is none, or Redis has no room. */
  async warmMore(): Promise<boolean> {
    this.#step.resume();
    const part = (await this.#mayGoOn())
      ? await this.#step.attempt(0, async ({ signal }) => this.#plan?.more(signal))
      : undefined;
    if (part !== undefined) await this.#warmPart(part);
    this.#step.pause();
    return part !== undefined;
  }

  async #warmPart(part: PlanPart): Promise<void> {
    this.#step.plan(part);
    await this.#warmBatches(part.batches);
  }

  /** The next part is read less than what there is: it must not cost any of it. */
  async #mayGoOn(): Promise<boolean> {
    const { evictions } = this.#options;
    if (this.#step.isHopeless || evictions.sawEviction) return false;
    if (await evictions.hasRoom()) return true;
    log.info('warmup.no_room', 'Redis has no room for the keys that are read less.', {
      step: this.#dataset.step,
    });
    return false;
  }

  /** Looks up what was stored. Where Redis was too small for it, what is read least of it gives way to the rest. */
  async confirm(): Promise<WarmedDataset> {
    this.#step.resume();
    // A clear may have come while the others were warmed.
    await this.#repeatCleared();
    if (!this.#step.isHopeless) {
      await this.#confirmStored().catch((error) => {
        if (!(error instanceof RedisUnavailableError || this.#options.signal.aborted)) throw error;
        this.#step.failToConfirm(error);
      });
    }
    const { name: dataset } = this.#dataset;
    return { report: this.#step.report(), dataset, plan: this.#plan, isUnfinished: this.#step.isHopeless };
  }

  /** What was warmed before a clear that came meanwhile is cold again, and is warmed again. */
  async #repeatCleared(): Promise<void> {
    for (let repeats = 0; !this.#step.isHopeless; repeats++) {
      const generation = await this.#step.attempt(0, () => this.#dataset.generation());
      const cleared = generation === undefined ? [] : this.#step.takeCleared(generation);
      if (cleared.length === 0) return;
      if (repeats === REPEATS_MAX) return this.#step.giveUp(cleared, 'cleared while they were warmed');
      await this.#warmBatches(cleared, true);
    }
  }

  /**
   * Warms batches, some side by side, until none is left, or until the database or Redis is away: then the next ones would fail as well;
   * or until Redis evicts what was stored: then the next ones would cost what is read more, unless they `hadRoom` before.
   */
  async #warmBatches(batches: readonly WarmBatch[], hadRoom = false): Promise<void> {
    const waiting = [...batches];
    const underWay = new Set<Promise<void>>();
    const isFull = () => this.#options.evictions.sawEviction && !hadRoom;
    while (!this.#step.isHopeless && !isFull()) {
      if (waiting.length > 0 && underWay.size < UNDER_WAY_MAX) {
        const { rested, ended } = this.#beginBatch(waiting.shift() as WarmBatch, waiting);
        track(underWay, ended);
        await rested;
      } else if (underWay.size > 0) {
        await Promise.race(underWay); // it may be parted
      } else break;
    }
    await Promise.all(underWay);
    if (!this.#step.isHopeless && isFull())
      this.#step.giveUp(waiting, 'not stored: Redis is full, and evicts what is read more');
  }

  /**
   * `rested` resolves when another load may begin, which is before this one is stored, or tried again; neither rejects.
   * What is tried again may be loaded beside others: the two connections are the limit then.
   */
  #beginBatch(batch: WarmBatch, waiting: WarmBatch[]): { rested: Promise<void>; ended: Promise<void> } {
    const { promise: rested, resolve } = Promise.withResolvers<void>();
    const { signal } = this.#options;
    const beganMonotonicMs = performance.now();
    let loadedMonotonicMs: number | undefined;
    const onLoaded = (loadMs: number) => {
      resolve(rest(this.#pace.observeLoad(loadMs), signal));
      loadedMonotonicMs = performance.now();
    };
    const onFailed = () => {
      this.#pace.observeFailure();
      resolve();
    };
    const warm = async () => {
      const outcome = await this.#step.warm(batch, onLoaded, onFailed);
      const endedMonotonicMs = performance.now();
      if (loadedMonotonicMs === undefined && outcome === 'warmed')
        resolve(rest(endedMonotonicMs - beganMonotonicMs, signal));
      else if (outcome === 'warmed')
        this.#pace.observeStore(endedMonotonicMs - (loadedMonotonicMs as number));
      resolve();
      if (outcome === 'warmed') await this.#watch(batch);
      if (outcome === 'failed') this.#noteFailed();
      if (outcome === 'slow') await this.#part(batch, waiting);
    };
    return { rested, ended: warm() };
  }

  async #watch(batch: WarmBatch): Promise<void> {
    const warmed = this.#step.warmedOf(batch);
    if (warmed === undefined) return; // cleared meanwhile
    this.#options.evictions.add(this.#dataset, warmed);
    await this.#options.evictions.look();
  }

  /** Gives up where nothing succeeds: the other batches would fail as well, each after all its tries, and keep the next dataset waiting. */
  #noteFailed(): void {
    if (++this.#failed === FAILED_MAX && !this.#step.hasWarmed) this.#step.despair();
  }

  /** Halves what was too slow until what is to blame is alone, and sets that aside. */
  async #part(batch: WarmBatch, waiting: WarmBatch[]): Promise<void> {
    const { keys } = batch;
    if (keys.length > 1) {
      waiting.unshift(...(this.#plan?.batchesOf(keys, Math.ceil(keys.length / 2)) ?? []));
      return;
    }
    this.#step.giveUp([batch], `too slow for Postgres: ${keys[0]}`);
    // Where nothing succeeds it is not the keys' fault.
    if (!this.#step.hasWarmed || ++this.#setAside > SET_ASIDE_MAX) return this.#step.despair();
    log.warn('warmup.key_set_aside', 'A key is set aside, because Postgres is too slow for it.', {
      step: this.#dataset.step,
      key: keys[0],
    });
    await this.#step.attempt(0, async () => this.#plan?.setAside(keys));
  }

  async #confirmStored(): Promise<void> {
    const stored = this.#step.storedKeys;
    const { evictions } = this.#options;
    await evictions.look();
    const sample = sampleOf(stored, CONFIRMED_SAMPLE);
    if (!evictions.sawEviction && (await this.#missing(sample)).length === 0) {
      this.#step.confirm({ confirmed: sample.length, lostToEviction: 0 }, 0, EVICTED);
      return;
    }
    await this.#putBack(stored);
    const lost = (await this.#missing(stored)).length;
    const confirmed = stored.length - lost;
    const { sawEviction } = evictions;
    this.#step.confirm(
      { confirmed, lostToEviction: sawEviction ? lost : 0 },
      lost,
      sawEviction ? EVICTED : GONE,
    );
  }

  /** What is gone is loaded again: all of it, or, in a Redis that is full, as much as there is room for. */
  async #putBack(stored: readonly string[]): Promise<void> {
    const missing = await this.#missing(stored);
    if (missing.length === 0) return;
    const kept = this.#options.evictions.sawEviction
      ? await this.#makeRoom(stored, new Set(missing))
      : stored;
    // Looked up again, because in a full Redis each question may have cost a key.
    for (const batch of this.#plan?.batchesOf(await this.#missing(kept)) ?? []) {
      if (this.#step.isHopeless) return;
      let restMs = 0;
      const onLoaded = (loadMs: number) => {
        restMs = this.#pace.observeLoad(loadMs);
      };
      await this.#step.attempt(0, ({ signal }) => batch.warm(signal, onLoaded));
      await rest(restMs, this.#options.signal);
    }
  }

  #missing(keys: readonly string[]): Promise<string[]> {
    return this.#dataset.missing(keys, this.#options.signal);
  }

  /**
   * Redis has room for so many of `stored` as are not `missing`, whichever they are: a little fewer, and those that are
   * read most, shall be there: answers them. An eviction prefers what was not used for longest, which was stored first.
   */
  async #makeRoom(stored: readonly string[], missing: ReadonlySet<string>): Promise<readonly string[]> {
    const kept = stored.slice(0, Math.floor((stored.length - missing.size) * KEPT_SHARE));
    await this.#dataset.drop(stored.slice(kept.length).filter((key) => !missing.has(key)));
    return kept;
  }
}

async function rest(restMs: number, signal: AbortSignal): Promise<void> {
  if (restMs > 0) await sleep(restMs, undefined, { signal }).catch(() => undefined); // aborted: nothing to rest for
}

function track(inFlight: Set<Promise<void>>, promise: Promise<void>): void {
  inFlight.add(promise);
  void promise.then(() => inFlight.delete(promise));
}
