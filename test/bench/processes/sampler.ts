/** Times many calls in a row: the loops whose every nanosecond counts. */
import type { Contestant } from '../contestants/contestant.ts';

export type Mode = 'probe' | 'get' | 'getMany';

export type SampleKind = {
  readonly mode: Mode;
  /** Reads under way at the same time. */
  readonly concurrency: number;
};
/** `count` calls; one call of `getMany` reads `MANY` ids. */
export type Sample = SampleKind & { readonly count: number };

/** Of one call, in nanoseconds. */
export type Timing = {
  readonly wallNs: number;
  /** Of all threads of the contestant's process, without Redis': what is left where the way to Redis is not this short. */
  readonly cpuNs: number;
};

/** Ids of one batch read. */
export const MANY = 50;

/** Long against the clock's resolution and a tick of the scheduler. */
const SAMPLE_MS = 25;
const COUNT_MIN = 20;
const CALIBRATION_STEPS_MIN = 5;
const CALIBRATION_STEPS_MAX = 15;
const TRIES_MAX = 10;
const NS_PER_MS = 1_000_000;
const NS_PER_US = 1_000;

class MissedProbe extends Error {}

export class Sampler {
  /** The compiler cannot leave out reads whose result everybody could see. */
  lastRead: unknown;
  readonly #contestant: Contestant;
  readonly #ids: readonly string[];
  readonly #batches: readonly (readonly string[])[];
  readonly #refill: () => Promise<void>;
  /** Samples go on where the one before ended, so that a cycle longer than the memory never hits it. */
  #cursor = 0;

  /** `refill` puts into memory what should be there when a sample begins. */
  constructor(contestant: Contestant, ids: readonly string[], refill: () => Promise<void>) {
    this.#contestant = contestant;
    this.#ids = ids;
    this.#refill = refill;
    this.#batches = Array.from({ length: Math.floor(ids.length / MANY) }, (_, index) =>
      ids.slice(index * MANY, (index + 1) * MANY),
    );
  }

  async calibrate(kind: SampleKind): Promise<number> {
    let count = COUNT_MIN;
    for (let steps = 0; steps < CALIBRATION_STEPS_MAX; steps++) {
      const tookMs = await this.#shortestMs({ ...kind, count });
      if (tookMs >= SAMPLE_MS && steps >= CALIBRATION_STEPS_MIN) break;
      // Gently, because the first ones ran code that was not compiled yet.
      count = Math.ceil(count * Math.min(4, Math.max(1, (1.1 * SAMPLE_MS) / tookMs)));
    }
    return count;
  }

  /** Of three: a busy moment of the machine must not make all samples too short. */
  async #shortestMs(sample: Sample): Promise<number> {
    let callNs = Number.POSITIVE_INFINITY;
    for (let tries = 0; tries < 3; tries++) callNs = Math.min(callNs, (await this.take(sample)).wallNs);
    return (callNs * sample.count) / NS_PER_MS;
  }

  /** Begins anew when an entry in memory ran out under a sample that must find it there. */
  async take(sample: Sample): Promise<Timing> {
    for (let tries = 1; ; tries++) {
      await this.#refill();
      try {
        return await this.#time(sample);
      } catch (error) {
        if (!(error instanceof MissedProbe) || tries === TRIES_MAX) throw error;
      }
    }
  }

  async #time({ mode, concurrency, count }: Sample): Promise<Timing> {
    const cpuBegan = process.cpuUsage();
    const beganMs = performance.now();
    if (mode === 'probe') this.#probe(count);
    else if (concurrency === 1) await this.#readInTurn(mode, count);
    else await this.#readTogether(mode, count, concurrency);
    const tookMs = performance.now() - beganMs;
    const { user, system } = process.cpuUsage(cpuBegan);
    return { wallNs: (tookMs * NS_PER_MS) / count, cpuNs: ((user + system) * NS_PER_US) / count };
  }

  #probe(count: number): void {
    const probe = this.#contestant.probe as (id: string) => unknown;
    const ids = this.#ids;
    let cursor = this.#cursor % ids.length;
    for (let left = count; left > 0; ) {
      const end = Math.min(cursor + left, ids.length);
      left -= end - cursor;
      for (; cursor < end; cursor++) {
        const read = probe(ids[cursor] as string);
        if (read === undefined) throw new MissedProbe();
        this.lastRead = read;
      }
      if (cursor === ids.length) cursor = 0;
    }
    this.#cursor = cursor;
  }

  async #readInTurn(mode: 'get' | 'getMany', count: number): Promise<void> {
    const read = this.#contestant[mode] as (asked: unknown) => unknown;
    const asked: readonly unknown[] = mode === 'get' ? this.#ids : this.#batches;
    let cursor = this.#cursor % asked.length;
    for (let left = count; left > 0; left--) {
      this.lastRead = await read(asked[cursor]);
      if (++cursor === asked.length) cursor = 0;
    }
    this.#cursor = cursor;
  }

  /** As many loops as reads may be under way, all taking the next one from the same cycle. */
  async #readTogether(mode: 'get' | 'getMany', count: number, concurrency: number): Promise<void> {
    const read = this.#contestant[mode] as (asked: unknown) => unknown;
    const asked: readonly unknown[] = mode === 'get' ? this.#ids : this.#batches;
    let left = count;
    const readOn = async () => {
      while (left-- > 0) {
        const place = this.#cursor % asked.length;
        this.#cursor = place + 1;
        this.lastRead = await read(asked[place]);
      }
    };
    await Promise.all(Array.from({ length: concurrency }, readOn));
  }
}
