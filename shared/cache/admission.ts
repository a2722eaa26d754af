/**
 * What readers may store in Redis. Callers can ask for anything, and what nobody asks for again must not crowd out what is
 * read: so it never takes more than a tenth of the memory, and a key that a caller can make up enters with its second request.
 */
import { createHash } from 'node:crypto';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { keys } from '../redis/keys.ts';
import { withOwnTypes } from '../redis/own-types.ts';
import { SEEN_BITS } from '../redis/scripts.ts';
import type { Entry } from './entry.ts';

/** Of the server's memory, for all that readers store at the first request, or of made-up keys. */
export const READERS_SHARE = 0.1;

/** Known to this container alone until they are so many: a full tenth may be exceeded by so much for each container. */
const UNREPORTED_BYTES_MAX = 16_384;
/** What a key costs Redis beside its value: its name, two objects, a place in two tables. */
const KEY_BYTES = 200;

export type Verdict = {
  readonly isStored: boolean;
  /** Asked for before: worth a place in memory, even if another one must leave it. */
  readonly wasSeen: boolean;
};

const STORED: Verdict = { isStored: true, wasSeen: true };

export type AdmissionOptions = {
  readonly dataset: string;
  /** Whether callers can make up keys that have a value. */
  readonly takesAnyKey: boolean;
  /** Nothing that a reader stores lives longer. */
  readonly windowMs: number;
  /** What of the memory is for this dataset's readers. */
  readonly memoryShare: number;
};

export class Admission {
  readonly #redis: GuardedRedis;
  readonly #options: AdmissionOptions;
  /** As Redis said when it was asked last. */
  #hasRoom = true;
  #unreportedBytes = 0;

  constructor(redis: GuardedRedis, options: AdmissionOptions) {
    this.#redis = redis;
    this.#options = options;
  }

  /** Notes that `key` is asked for, by somebody who waits for what another one loads. Never rejects. */
  async note(key: string): Promise<void> {
    if (this.#options.takesAnyKey) await this.#ask([key]);
  }

  /** What becomes of what was loaded for `keysLoaded`, in their order. Never rejects. */
  async judge(keysLoaded: readonly string[], entries: readonly Entry[]): Promise<Verdict[]> {
    const asked = keysLoaded.filter((_, place) => this.#needsSecondRequest(entries[place] as Entry));
    if (asked.length > 0 || this.#unreportedBytes >= UNREPORTED_BYTES_MAX) {
      const seen = await this.#ask(asked);
      return entries.map((entry, place) => this.#decide(entry, seen.has(keysLoaded[place] as string)));
    }
    return entries.map((entry) => this.#decide(entry, false));
  }

  /** Of a bounded set of keys, such as the rows of a table, what there is room for is stored at once. */
  #needsSecondRequest({ kind }: Entry): boolean {
    return this.#options.takesAnyKey || kind !== 'value' || !this.#hasRoom;
  }

  #decide(entry: Entry, wasSeen: boolean): Verdict {
    const isBounded = !this.#options.takesAnyKey && entry.kind === 'value';
    if (isBounded && !this.#hasRoom) return { isStored: wasSeen, wasSeen };
    if (!isBounded && !(this.#hasRoom && wasSeen)) return { isStored: false, wasSeen };
    this.#unreportedBytes += KEY_BYTES + (entry.json?.length ?? 0);
    return STORED;
  }

  /** Reports what was stored, and answers which of `some` were asked for before. */
  async #ask(some: readonly string[]): Promise<ReadonlySet<string>> {
    const reported = this.#unreportedBytes;
    this.#unreportedBytes = 0;
    try {
      const [hasRoom, ...wasSeen] = await this.#admit(reported, some);
      this.#hasRoom = hasRoom === 1;
      return new Set(some.filter((_, place) => wasSeen[place] === 1));
    } catch (error) {
      // Without Redis nothing is stored, and memory is all there is: then a key counts as one that is asked for again.
      log.debug('What was asked for before could not be told.', { error });
      this.#unreportedBytes += reported;
      return new Set(some);
    }
  }

  #admit(storedBytes: number, some: readonly string[]): Promise<number[]> {
    const { dataset, windowMs, memoryShare } = this.#options;
    const [admission, seen, otherSeen] = [
      keys.admission(dataset),
      keys.seen(dataset, 0),
      keys.seen(dataset, 1),
    ];
    const types = { [admission]: 'hash', [seen]: 'string', [otherSeen]: 'string' } as const;
    return withOwnTypes(this.#redis, types, (client) =>
      client.admit(
        admission,
        seen,
        otherSeen,
        windowMs,
        memoryShare,
        storedBytes,
        ...some.flatMap(positionsOf),
      ),
    );
  }
}

function positionsOf(key: string): [number, number] {
  const digest = createHash('sha1').update(key).digest();
  return [digest.readUInt32LE(0) % SEEN_BITS, digest.readUInt32LE(4) % SEEN_BITS];
}
