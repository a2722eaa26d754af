/**
 * L2: the entries in Redis, read and stored. Along with a read goes a generation check when one is due, and what was read is
 * remembered in memory. What can fail is kept in here: a read that fails is a miss, a write that fails is no write.
 */
import { hasPassed } from '../clock.ts';
import { RedisFullError, RedisUnavailableError } from '../errors.ts';
import { log } from '../logger.ts';
import { chunksOf } from '../redis/batch.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { decodeEntry, type Entry, encodeEntry, isEntry, LEASE_PREFIX, type LeaseMark } from './entry.ts';
import {
  type Change,
  type Generation,
  type GenerationCheck,
  INVALIDATIONS_KEPT_MS,
  type PendingCheck,
  type Storable,
} from './generation.ts';
import { LEASE_MS, newToken } from './load-once.ts';
import type { MemoryLayer } from './memory-layer.ts';
import { cacheKeys } from './redis-scripts.ts';

/** A check lists no more invalidated ids; with more, memory, which has about as many entries, is emptied and filled again from Redis. */
const REPORTED_IDS_MAX = 1_000;

/** Redis answers nobody else while it stores them: 0.2 ms for users, measured on one core. */
const PUT_TOGETHER_MAX = 50;

/** For so long after Redis was too full for a lease, reads ask for none: each would ask twice. */
const LEASES_REFUSED_MS = 1_000;

/**
 * Above this share of misses among what Redis is asked for, a lease is asked for in the same round trip: that costs what is
 * there a twentieth, and spares what is not there a round trip.
 */
const MISSES_EXPECTED_ABOVE = 0.05;
/** What one answer changes of the share that is expected. */
const MISSES_WEIGHT = 0.02;
/** The share that a new container expects; 35 hits later it expects hits. */
const MISSES_AT_FIRST = 0.1;

/** Keys that are asked for together at most: so few that a list finds one as soon as a map would. */
const BATCH_KEYS_MAX = 100;

/** The usable entry that Redis has, or the tombstone or the lease in its place. */
export type Found = Entry | LeaseMark | undefined;

type RedisLayerOptions = {
  readonly dataset: string;
  readonly schemaVersion: number;
  /** No entry stays for longer. */
  readonly stayMaxMs: number;
  /** Called with how many values were in Redis and could not be read. */
  readonly onCorrupt: (values: number) => void;
};

type Reading = {
  /** Whether it was asked for in a list, as a crawler asks. */
  readonly amongMany: boolean;
  /** Puts a lease where Redis has nothing. */
  readonly token?: string | undefined;
  /** For a key that was read just now: what is corrupt was counted. */
  readonly isRepeated?: boolean;
};

/** What is asked for in one turn: its answer comes with that of all the others. */
type Batch = {
  readonly keys: string[];
  readonly entries: Promise<readonly Found[]>;
};

type Answer = {
  /** Undefined when Redis did not answer, or was not asked for a check. */
  readonly check: GenerationCheck | undefined;
  /** When Redis was last asked in vain, if it is away. */
  readonly attemptedAtMs: number | undefined;
  /** Null where there is nothing, and where Redis did not answer. */
  readonly texts: readonly (string | null)[];
};

/**
 * What became of an entry: stored; stored in place of what was no text; too late to be stored; or not stored, because this
 * one, read later, is there.
 */
export type PutOutcome = 'stored' | 'replaced' | 'late' | Entry;

/** An entry on its way into Redis. */
export type Write = {
  readonly key: string;
  /** Its name in Redis, under the generation that counted when it was loaded. */
  readonly entryKey: string;
  readonly entry: Entry;
  /** The token of the lease in its place. @default - none */
  readonly token?: string;
};

export class RedisLayer {
  readonly #redis: GuardedRedis;
  readonly #generation: Generation;
  readonly #memory: MemoryLayer;
  readonly #options: RedisLayerOptions;
  readonly #checkedKeys: readonly [generation: string, invalidated: string, schemaVersions: string];
  #batch: Batch | undefined;
  /** The share of misses that is expected, from 0 to 1. */
  #missShare = MISSES_AT_FIRST;
  #leasesRefusedAtMs = 0;

  constructor(redis: GuardedRedis, generation: Generation, memory: MemoryLayer, options: RedisLayerOptions) {
    this.#redis = redis;
    this.#generation = generation;
    this.#memory = memory;
    this.#options = options;
    const { dataset } = options;
    this.#checkedKeys = [
      cacheKeys.generation(dataset),
      cacheKeys.invalidated(dataset),
      cacheKeys.schemaVersions(dataset),
    ];
  }

  /** The key of the entry in Redis, as far as this container knows. */
  entryKey(key: string, generation = this.#generation.current): string {
    const { dataset, schemaVersion } = this.#options;
    return cacheKeys.entry(dataset, schemaVersion, generation, key);
  }

  /** A command that is sent after a put arrives after it: not in a cluster, whose put asks another server first. */
  get putsInOneTrip(): boolean {
    return !this.#redis.isCluster;
  }

  /**
   * What Redis has of `key`. Whatever is asked for in the same turn goes in the same round trip; a lease that was
   * taken on the way is given to the first caller, who must keep it or give it back.
   */
  ask(key: string): Promise<Found> {
    this.#batch ??= this.#openBatch();
    const { keys, entries } = this.#batch;
    const asked = keys.indexOf(key);
    const place = asked >= 0 ? asked : keys.push(key) - 1;
    if (keys.length === BATCH_KEYS_MAX) this.#batch = undefined;
    if (asked < 0) return entries.then((found) => found[place]);
    return entries.then((found) => withoutLease(found[place]));
  }

  /** What Redis has of each of `keys`, in their order; with a generation check when one is due, also for no key at all. */
  async askForMany(keys: readonly string[]): Promise<readonly Found[]> {
    const found = await this.#read(keys, { amongMany: true });
    this.#expectMisses(found);
    return found;
  }

  /** What Redis has of `key` now, while another container loads it; with a `token`, a lease is put where there is nothing. */
  async askAgain(key: string, token?: string): Promise<Found> {
    const [found] = await this.#read([key], { amongMany: false, token, isRepeated: true });
    return found;
  }

  /** Takes leases where Redis has nothing of `keys`; answers what it has. */
  takeLeases(keys: readonly string[]): Promise<readonly Found[]> {
    return this.#read(keys, { amongMany: true, token: newToken(), isRepeated: true });
  }

  /** For writers: the generation is read from Redis now, because one that was read earlier may be wrong. */
  async checkGeneration(): Promise<boolean> {
    const pending = this.#generation.beginCheck();
    const answer = await this.#fetch([], this.#generation.current, this.#generation.sinceMs);
    if (answer.check === undefined) this.#generation.skipCheck(answer.attemptedAtMs);
    else this.#generation.apply(answer.check, pending);
    return answer.check !== undefined;
  }

  /**
   * Stores the entries, each only if nothing read later is there, Redis' clock has not passed `notAfterMs`, and no tombstone
   * of after `sinceMs` is gone; at once where the lease of its token is. Answers what became of each, or undefined when Redis
   * did not answer.
   */
  async put(writes: readonly Write[], storable: Storable): Promise<PutOutcome[] | undefined> {
    if (writes.length === 0) return [];
    try {
      const answers = this.#redis.isCluster
        ? await this.#putInCluster(writes, storable)
        : await this.#putTogether(writes, storable);
      const outcomes = answers.map(outcomeOf);
      this.#options.onCorrupt(outcomes.filter((outcome) => outcome === 'replaced').length);
      return outcomes;
    } catch (error) {
      ignoreUnavailable(error);
      return undefined;
    }
  }

  #openBatch(): Batch {
    const keys: string[] = [];
    // The callers that run before this have asked by then.
    const entries = Promise.resolve().then(async () => {
      if (this.#batch?.keys === keys) this.#batch = undefined;
      const token = this.#missShare > MISSES_EXPECTED_ABOVE ? newToken() : undefined;
      const found = await this.#read(keys, { amongMany: false, token });
      this.#expectMisses(found);
      return found;
    });
    return { keys, entries };
  }

  #expectMisses(found: readonly Found[]): void {
    for (const one of found) {
      const isMissing = one === undefined || one.kind === 'lease';
      this.#missShare += (Number(isMissing) - this.#missShare) * MISSES_WEIGHT;
    }
  }

  async #read(keys: readonly string[], reading: Reading): Promise<readonly Found[]> {
    const askedAtMs = this.#generation.nowMs();
    const isCheckDue = !this.#generation.isRecent(askedAtMs);
    if (keys.length === 0 && !isCheckDue) return [];
    const { current: generation, sinceMs, isKnown, drops } = this.#generation;
    // A lease of the wrong generation would be left there.
    const token = isKnown ? reading.token : undefined;
    const pending = isCheckDue ? this.#generation.beginCheck(askedAtMs) : undefined;
    const entryKeys = keys.map((key) => this.entryKey(key, generation));
    const answer = await this.#fetch(entryKeys, generation, isCheckDue ? sinceMs : undefined, token);
    // What another check has dropped since these entries were asked for must not come back with them; nor what was read before
    // this one, which may have been sent again, where it cannot tell of all that was invalidated.
    const nowMs = this.#generation.nowMs(); // first: it may find that the clock was set back, and everything is forgotten
    const isUndisturbed = this.#generation.isUndisturbed({ drops });
    const tellsOfAll = this.#takeCheck(answer, pending) !== 'all';
    const { found, corrupt } = readEntries(entryKeys, answer.texts, token);
    if (generation !== this.#generation.current) {
      // Containers that do not know of the clear yet would wait for a load that is stored elsewhere.
      const [again] = await Promise.all([this.#read(keys, reading), this.#giveBack(found)]);
      return again;
    }
    if (corrupt > 0 && !reading.isRepeated) this.#options.onCorrupt(corrupt);
    const reported = answer.check?.invalidatedIds ?? [];
    const mayRemember = isUndisturbed && tellsOfAll;
    return this.#takeAll(keys, found, nowMs, mayRemember ? reported : undefined, reading.amongMany);
  }

  #takeCheck({ check, attemptedAtMs }: Answer, pending: PendingCheck | undefined): Change {
    if (pending === undefined) return 'none';
    if (check !== undefined) return this.#generation.apply(check, pending);
    this.#generation.skipCheck(attemptedAtMs);
    return 'none';
  }

  /**
   * What is usable of what was `found`, and remembered unless it is among the `reported`; nothing is where those are
   * undefined. Our own check was made before the entries were read, as a rule; but a server that has lost its scripts is sent
   * the check again, behind them. So what it reports is not remembered.
   */
  #takeAll(
    keys: readonly string[],
    found: readonly Found[],
    nowMs: number,
    reported: readonly string[] | undefined,
    amongMany: boolean,
  ): readonly Found[] {
    return found.map((one, place) => {
      if (!isEntry(one)) return one;
      if (nowMs >= one.staleUntilMs) return undefined;
      const key = keys[place] as string;
      // What is stale is remembered too: not answered from memory, but there if the database is away.
      if (one.kind === 'tombstone') this.#memory.forget(key);
      else if (reported?.includes(key) === false) this.#memory.put(key, one, nowMs, amongMany);
      return one;
    });
  }

  /**
   * The texts under `entryKeys` and, where `sinceMs` is given, a generation check that is not newer than they are. With a
   * `token`, a lease is put where there is none. Never rejects.
   */
  async #fetch(
    entryKeys: readonly string[],
    generation: string,
    sinceMs: number | undefined,
    token?: string,
  ): Promise<Answer> {
    try {
      if (sinceMs === undefined) {
        const texts = await this.#readTexts(entryKeys, token);
        return { check: undefined, attemptedAtMs: undefined, texts };
      }
      const checking = this.#check(generation, sinceMs);
      // A single server runs the commands of one connection in their order, so both go in one round trip. In a cluster
      // the entries could be read long before an invalidation that the check already reports.
      if (this.#redis.isCluster) await checking;
      const [check, texts] = await Promise.all([checking, this.#readTexts(entryKeys, token)]);
      return { check, attemptedAtMs: undefined, texts };
    } catch (error) {
      ignoreUnavailable(error);
      const attemptedAtMs = error instanceof RedisUnavailableError ? error.attemptedAtMs : undefined;
      return { check: undefined, attemptedAtMs, texts: entryKeys.map(() => null) };
    }
  }

  async #check(generation: string, sinceMs: number): Promise<GenerationCheck> {
    const { schemaVersion, stayMaxMs } = this.#options;
    const answer = await this.#redis.run((redis) =>
      redis.checkGeneration(
        ...this.#checkedKeys,
        generation,
        sinceMs,
        REPORTED_IDS_MAX,
        String(schemaVersion),
        // Stored up to half a tombstone's life after the check that announces it.
        stayMaxMs + INVALIDATIONS_KEPT_MS,
      ),
    );
    return parseGenerationCheck(answer);
  }

  /** Null where there is nothing; with a `token`, it is there then. */
  async #readTexts(entryKeys: readonly string[], token: string | undefined): Promise<(string | null)[]> {
    if (token !== undefined && hasPassed(LEASES_REFUSED_MS, this.#leasesRefusedAtMs)) {
      try {
        const texts = await this.#redis.batch(entryKeys, (commands, place) =>
          commands.set(entryKeys[place] as string, token, 'PX', LEASE_MS, 'NX', 'GET'),
        );
        return texts.map((text) => (text as string | null) ?? token);
      } catch (error) {
        // Redis is full, or something of another type is there: MGET reads what can be read.
        if (error instanceof RedisFullError) this.#leasesRefusedAtMs = Date.now();
        log.debug('cache.leases_refused', 'Leases could not be taken.', { error });
      }
    }
    return this.#redis.readTexts(entryKeys);
  }

  /** The leases among `found` that are ours. Never rejects: they end by themselves. */
  async #giveBack(found: readonly Found[]): Promise<void> {
    const ours = found.filter((one) => one?.kind === 'lease').filter(({ isOurs }) => isOurs);
    const entryKeys = ours.map(({ entryKey }) => entryKey);
    const released = this.#redis.batch(entryKeys, (commands, place) =>
      commands.releaseIfOwner(entryKeys[place] as string, (ours[place] as LeaseMark).token),
    );
    await released.catch(ignoreUnavailable);
  }

  /** Stores many entries with one script, which saves both sides the work of a command each. */
  async #putTogether(
    writes: readonly Write[],
    { notAfterMs, sinceMs }: Storable,
  ): Promise<(string | null)[]> {
    const [, invalidatedKey] = this.#checkedKeys;
    const chunks = chunksOf(writes, PUT_TOGETHER_MAX);
    const firstKeys = chunks.map(([first]) => (first as Write).entryKey);
    const answers = await this.#redis.batch(firstKeys, (commands, index) => {
      const chunk = chunks[index] as Write[];
      const sent: (string | number)[] = chunk.map(({ entryKey }) => entryKey);
      sent.push(invalidatedKey, notAfterMs, sinceMs);
      for (const write of chunk) sent.push(...this.#argumentsOf(write, write.key));
      return commands.putEntries(chunk.length + 1, ...sent);
    });
    return (answers as (string | null)[][]).flat();
  }

  /**
   * Each entry is in a slot of its own, and so is the list of invalidated ids, which is therefore read first. An id that is
   * invalidated in between leaves a tombstone, too young to be evicted.
   */
  async #putInCluster(
    writes: readonly Write[],
    { notAfterMs, sinceMs }: Storable,
  ): Promise<(string | null)[]> {
    const [, invalidatedKey] = this.#checkedKeys;
    const [forgottenMs, ...invalidatedMs] = await this.#redis.run((redis) =>
      redis.zmscore(invalidatedKey, '', ...writes.map(({ key }) => key)),
    );
    const isRecent = (atMs: string | null | undefined) => atMs != null && Number(atMs) >= sinceMs;
    const isListWhole = forgottenMs != null && !isRecent(forgottenMs);
    const entryKeys = writes.map(({ entryKey }) => entryKey);
    const answers = await this.#redis.batch(entryKeys, (commands, place) => {
      const write = writes[place] as Write;
      const id = isListWhole && !isRecent(invalidatedMs[place]) ? write.key : '';
      return commands.putEntries(1, write.entryKey, notAfterMs, '', ...this.#argumentsOf(write, id));
    });
    return (answers as (string | null)[][]).flat();
  }

  /**
   * The arguments of `putEntries` for one entry. The time to live is bounded, because of this:
   *   1. a load begins                             3. it is stored: for an hour, by this clock
   *   2. this container's clock is set back by one 4. who invalidates it does not know our version any more
   */
  #argumentsOf({ entry, token = '' }: Write, id: string): (string | number)[] {
    const ttlMs = Math.min(Math.max(1, entry.staleUntilMs - Date.now()), this.#options.stayMaxMs);
    return [encodeEntry(entry), entry.readAtUs, ttlMs, id, token];
  }
}

function parseGenerationCheck(answer: readonly (string | number)[]): GenerationCheck {
  const [generation, redisNowMs, isWhole, versionCount, ...versionsAndIds] = answer;
  const texts = versionsAndIds.map(String);
  return {
    generation: String(generation),
    redisNowMs: Number(redisNowMs),
    isWhole: isWhole === 1,
    schemaVersions: texts.slice(0, Number(versionCount)),
    invalidatedIds: texts.slice(Number(versionCount)),
  };
}

/** What Redis has under `entryKeys`; `ours` is the token of the leases that this very read has put there. */
export function readEntries(
  entryKeys: readonly string[],
  texts: readonly (string | null)[],
  ours?: string,
): { readonly found: readonly Found[]; readonly corrupt: number } {
  let corrupt = 0;
  const found = texts.map((text, place): Found => {
    if (text === null) return undefined;
    const entry = decodeEntry(text);
    if (entry !== undefined) return entry;
    if (text.startsWith(LEASE_PREFIX))
      return { kind: 'lease', entryKey: entryKeys[place] as string, token: text, isOurs: text === ours };
    corrupt++;
    return undefined;
  });
  return { found, corrupt };
}

/** For a further caller of the same turn: the first one keeps the lease. */
function withoutLease(found: Found): Found {
  return found?.kind === 'lease' ? { ...found, isOurs: false } : found;
}

function outcomeOf(answer: string | null): PutOutcome {
  if (answer === null) return 'stored';
  if (answer === 'late' || answer === 'replaced') return answer;
  // Something that has a later time but is no entry: treated as nothing.
  return decodeEntry(answer) ?? 'stored';
}

export function ignoreUnavailable(error: unknown): void {
  if (error instanceof RedisUnavailableError) return;
  // Not Redis' state but something that we sent: worth a line each time, yet no reason to fail a read.
  log.error('redis.command_refused', 'A command to Redis was refused.', { error });
}
