/** What the caches promise, as a model small enough to be believed: after a clear or an invalidation, nothing older is read. */
import type { CacheRead } from '../../../shared/cache/tiered-cache.ts';
import type { ScheduledDatabase, Told } from './scheduled-database.ts';

/** Other containers notice within this time. */
const NOTICED_WITHIN_MS = 1_000;
/** Memory is answered for so long after an attempt in vain to ask Redis began. */
const OUTAGE_BELIEVED_MS = 1_500;

/** A process as the model sees it. */
export type Reader = {
  /** When it began, in the order of all events. */
  readonly bornAt: number;
  /** When it last began to ask Redis in vain. */
  troubledAtMs: number;
};

/** What was answered: nothing of `id` (or of any id) that was read before `us` may be answered any more. */
type Promised = {
  readonly id: number | 'all';
  readonly us: number;
  readonly by: Reader;
  readonly at: number;
  readonly answeredAtMs: number;
};

/** A read that began. */
export type Reading = {
  readonly id: number;
  readonly reader: Reader;
  readonly at: number;
  readonly beganAtMs: number;
};

export class Promises {
  readonly #database: ScheduledDatabase;
  /** The longest stay of a fresh value, and of a stale one. */
  readonly #oldestMs: { readonly fresh: number; readonly stale: number };
  readonly #promised: Promised[] = [];
  #areAgesKnown = true;

  constructor(database: ScheduledDatabase, oldestMs: { fresh: number; stale: number }) {
    this.#database = database;
    this.#oldestMs = oldestMs;
  }

  /** From now on, a value may be of any age. */
  forgetAges(): void {
    this.#areAgesKnown = false;
  }

  make(promised: Promised): void {
    this.#promised.push(promised);
  }

  /** Throws when `read`, with which `reading` ended, is older than was promised. */
  check(reading: Reading, read: CacheRead): void {
    const oldestUs = Math.max(...this.#boundsUs(reading, read));
    if (read.json === null) {
      if (!this.#database.wasAbsentAfter(reading.id, oldestUs)) throw this.#broken(reading, read, oldestUs);
      return;
    }
    const told = JSON.parse(read.json) as Told;
    if (told.id !== reading.id) throw new Error(`Asked for ${reading.id}, was answered ${read.json}.`);
    if (told.readAtUs <= oldestUs) throw this.#broken(reading, read, oldestUs);
  }

  #boundsUs(reading: Reading, read: CacheRead): number[] {
    const oldestMs = read.layer === 'stale' ? this.#oldestMs.stale : this.#oldestMs.fresh;
    const promised = this.#promised.filter(
      ({ id, ...rest }) => (id === 'all' || id === reading.id) && this.#binds(rest, reading),
    );
    const ageUs = this.#areAgesKnown ? (reading.beganAtMs - oldestMs) * 1_000 : 0;
    return [ageUs, ...promised.map(({ us }) => us)];
  }

  /**
   * At once for who made it, and for who began later. For the others a second later, if they hear from Redis: while they
   * do not, they answer from memory.
   */
  #binds(
    { by, at, answeredAtMs }: Omit<Promised, 'id'>,
    { reader, at: beganAt, beganAtMs }: Reading,
  ): boolean {
    if (beganAt < at) return false;
    if (reader === by || reader.bornAt > at) return true;
    return (
      beganAtMs - answeredAtMs >= NOTICED_WITHIN_MS && beganAtMs - reader.troubledAtMs >= OUTAGE_BELIEVED_MS
    );
  }

  #broken(reading: Reading, read: CacheRead, oldestUs: number): Error {
    return new Error(
      `A read of ${reading.id} that began at ${reading.beganAtMs} ms was answered ${JSON.stringify(read)}, but nothing ` +
        `that was read before ${oldestUs} µs may be answered any more.`,
    );
  }
}
