/**
 * What readers may store in Redis. Callers can ask for anything, and what nobody asks for again must not crowd out what is
 * read. So there are three shares of the memory: a small one for rows at their first request and for made-up keys at their
 * second; a larger one for what is asked for again when that is full; a tiny one for what does not exist, at its second.
 */
import { createHash } from 'node:crypto';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { withOwnTypes } from '../redis/own-types.ts';
import { ADMISSION_SHARES, admissionKeys, SEEN_BITS } from './admission-script.ts';
import type { Entry } from './entry.ts';

/** The shares, as parts of the server's memory, for all datasets together. What nobody asks for again gets a tenth: the first and the last. */
const PARTS = [0.08, 0.24, 0.02] as const;
const [FIRST, AGAIN, ABSENT] = [0, 1, 2];

/** A container reports what it stored when it is so much; a full share may be exceeded by so much for each container. */
const UNREPORTED_BYTES_MAX = 16_384;
/** What a key costs Redis beside its name and value: two objects, a place in two tables, the entry's header. */
const KEY_BYTES = 160;
const HEADER_BYTES = 51;

const NONE_SEEN: ReadonlySet<string> = new Set();

export type Verdict = {
  readonly isStored: boolean;
  /** Asked for before: worth a place in memory, even if another one must leave it. */
  readonly wasSeen: boolean;
};

export type AdmissionOptions = {
  readonly dataset: string;
  /** How many datasets share the memory. */
  readonly datasets: number;
  /** Whether callers can make up keys that have a value. */
  readonly takesAnyKey: boolean;
  /** The longest life of a value that a reader stores. */
  readonly valueMs: number;
  /** The longest life of an entry that says that there is no value. */
  readonly absentMs: number;
};

export class Admission {
  readonly #redis: GuardedRedis;
  readonly #options: AdmissionOptions;
  /** Whether each share has room, as Redis said when it was asked last. */
  #hasRoom: readonly boolean[] = PARTS.map(() => true);
  #unreportedBytes: number[] = PARTS.map(() => 0);
  /** The generation of what was stored last. */
  #generation = '0';

  constructor(redis: GuardedRedis, options: AdmissionOptions) {
    this.#redis = redis;
    this.#options = options;
  }

  /** Notes that `key` is asked for by a caller that waits for another container's load. Never rejects. */
  async note(key: string): Promise<void> {
    if (this.#options.takesAnyKey) await this.#ask([key]);
  }

  /** Counts what replaces something stale: it lives as long as what is new, and is not refused. */
  countReplaced(key: string, entry: Entry): void {
    this.#count(entry.kind === 'value' ? AGAIN : ABSENT, key, entry);
  }

  /** What becomes of what was `loaded` under `generation`, in its order. Never rejects. */
  async judge(
    generation: string,
    loaded: readonly { readonly key: string; readonly entry: Entry }[],
  ): Promise<Verdict[]> {
    this.#generation = generation;
    const asked = loaded.filter(({ entry }) => this.#needsSecondRequest(entry)).map(({ key }) => key);
    const seen = asked.length > 0 ? await this.#ask(asked) : NONE_SEEN;
    return loaded.map(({ key, entry }) => this.#decide(key, entry, seen.has(key)));
  }

  /** Call it beside the storing, which need not wait for the answer; undefined when there is none. Never rejects. */
  reportIfDue(): Promise<unknown> | undefined {
    const isDue = this.#unreportedBytes.some((bytes) => bytes >= UNREPORTED_BYTES_MAX);
    return isDue ? this.#ask([]) : undefined;
  }

  /** Not while there is room, if the keys are bounded, as those of a table's rows are. */
  #needsSecondRequest({ kind }: Entry): boolean {
    return this.#options.takesAnyKey || kind !== 'value' || !this.#hasRoom[FIRST as number];
  }

  #decide(key: string, entry: Entry, wasSeen: boolean): Verdict {
    const share = this.#shareFor(entry, wasSeen);
    if (share === undefined) return { isStored: false, wasSeen };
    this.#count(share, key, entry);
    return { isStored: true, wasSeen: true };
  }

  #count(share: number | undefined, key: string, entry: Entry): void {
    const valueBytes = allocatedFor(HEADER_BYTES + Buffer.byteLength(entry.json ?? ''));
    const bytes = KEY_BYTES + Buffer.byteLength(key) + valueBytes;
    const place = share as number;
    this.#unreportedBytes[place] = (this.#unreportedBytes[place] ?? 0) + bytes;
  }

  /** The share that the entry may be stored in; undefined where it may not be stored. */
  #shareFor({ kind }: Entry, wasSeen: boolean): number | undefined {
    const hasRoom = (share: number | undefined) => this.#hasRoom[share as number] === true;
    if (kind !== 'value') return wasSeen && hasRoom(ABSENT) ? ABSENT : undefined;
    if (this.#options.takesAnyKey && !wasSeen) return undefined;
    if (hasRoom(FIRST)) return FIRST;
    return wasSeen && hasRoom(AGAIN) ? AGAIN : undefined;
  }

  /** Reports what was stored, and answers which of `some` were asked for before. */
  async #ask(some: readonly string[]): Promise<ReadonlySet<string>> {
    const reported = this.#unreportedBytes;
    this.#unreportedBytes = PARTS.map(() => 0);
    try {
      const answers = (await this.#admit(reported, some)).map((answer) => answer === 1);
      this.#hasRoom = answers.slice(0, ADMISSION_SHARES);
      return new Set(some.filter((_, place) => answers[ADMISSION_SHARES + place]));
    } catch (error) {
      // Without Redis nothing is stored, and memory is all there is: then a key counts as one that is asked for again.
      log.debug('admission.failed', 'Redis did not say which keys were asked for before.', { error });
      this.#unreportedBytes = this.#unreportedBytes.map((bytes, share) => bytes + (reported[share] ?? 0));
      return new Set(some);
    }
  }

  #admit(reported: readonly number[], some: readonly string[]): Promise<number[]> {
    const { dataset, datasets, valueMs, absentMs } = this.#options;
    const names = [
      admissionKeys.admission(dataset),
      admissionKeys.seen(dataset, 0),
      admissionKeys.seen(dataset, 1),
    ] as const;
    const types = { [names[0]]: 'hash', [names[1]]: 'string', [names[2]]: 'string' } as const;
    const windowsMs = [valueMs, valueMs, absentMs];
    const shares = PARTS.flatMap((part, share) => [
      part / datasets,
      windowsMs[share] as number,
      reported[share] as number,
    ]);
    return withOwnTypes(this.#redis, types, (client) =>
      client.admit(...names, this.#generation, ...shares, ...some.flatMap(positionsOf)),
    );
  }
}

/** The allocator of Redis has four sizes between one power of two and the next. */
function allocatedFor(bytes: number): number {
  const step = 2 ** (31 - Math.clz32(bytes) - 2);
  return Math.ceil(bytes / step) * step;
}

function positionsOf(key: string): [number, number] {
  const digest = createHash('sha1').update(key).digest();
  return [digest.readUInt32LE(0) % SEEN_BITS, digest.readUInt32LE(4) % SEEN_BITS];
}
