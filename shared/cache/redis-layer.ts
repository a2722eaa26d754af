/** L2: the entries in Redis. What can fail is kept in here: a read that fails is a miss, a write that fails is no write. */
import { hasPassed } from '../clock.ts';
import { RedisFullError, RedisUnavailableError } from '../errors.ts';
import { log } from '../logger.ts';
import { chunksOf, serverOf } from '../redis/batch.ts';
import type { RedisClient } from '../redis/client.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { keys } from '../redis/keys.ts';
import { LEASE_PREFIX } from '../redis/scripts.ts';
import { decodeEntry, type Entry, encodeEntry, type LeaseMark } from './entry.ts';
import { type GenerationCheck, INVALIDATIONS_KEPT_MS, type Storable } from './generation.ts';
import { LEASE_MS } from './lease.ts';

/** Redis keeps so many invalidated ids in mind, some 5 MB a dataset; whoever lacks what it forgot empties its memory. */
const ANNOUNCED_IDS_MAX = 50_000;
/** A check tells of no more: a container's memory has about as many entries, and is filled again from Redis. */
const REPORTED_IDS_MAX = 1_000;

/** Redis answers nobody else while it stores them: 0.2 ms for users, measured on one core. */
const PUT_TOGETHER_MAX = 50;

/** For so long after Redis was too full for a lease, reads ask for none: each would ask twice. */
const LEASES_REFUSED_MS = 1_000;

/** A failover to a replica that has not heard of a clear would bring the old generation back: so ask, but not for long. */
const REPLICA_ACK_TIMEOUT_MS = 50;

export type Cleared = {
  readonly generation: string;
  readonly replicas: number;
  /** Fewer than `replicas`: a failover in this moment could bring back what was cleared. */
  readonly replicasAcknowledged: number;
};

export type L2ReadResult = {
  /** Undefined when Redis did not answer, or was not asked for a check. */
  readonly check: GenerationCheck | undefined;
  /** When Redis was last asked in vain, if it is away. */
  readonly attemptedAtMs: number | undefined;
  /** Undefined where there is none, where Redis did not answer, and where what is there is none. */
  readonly entries: readonly (Entry | LeaseMark | undefined)[];
  /** Values that were there and could not be read. */
  readonly corrupt: number;
};

/**
 * What became of an entry: stored; stored in place of what was no text; too late to be stored; or not stored, because this
 * one, read later, is there.
 */
export type PutOutcome = 'stored' | 'replaced' | 'late' | Entry;

type RedisLayerOptions = {
  readonly dataset: string;
  readonly schemaVersion: number;
  /** No entry stays for longer. */
  readonly redisMs: number;
};

/** An entry on its way into Redis. */
export type Write = {
  readonly key: string;
  /** Its name in Redis, under the generation that counted when it was loaded. */
  readonly entryKey: string;
  readonly entry: Entry;
  /** Of the lease in its place. @default - none */
  readonly token?: string;
};

export class RedisLayer {
  readonly #redis: GuardedRedis;
  readonly #dataset: string;
  readonly #schemaVersion: string;
  readonly #stayMaxMs: number;
  readonly #redisMs: number;
  readonly #generationKey: string;
  readonly #invalidatedKey: string;
  readonly #schemaVersionsKey: string;
  #leasesRefusedAtMs = 0;

  constructor(redis: GuardedRedis, { dataset, schemaVersion, redisMs }: RedisLayerOptions) {
    this.#redis = redis;
    this.#dataset = dataset;
    this.#schemaVersion = String(schemaVersion);
    this.#stayMaxMs = redisMs;
    // Stored up to half a tombstone's life after the check that announces it.
    this.#redisMs = redisMs + INVALIDATIONS_KEPT_MS;
    this.#generationKey = keys.generation(dataset);
    this.#invalidatedKey = keys.invalidated(dataset);
    this.#schemaVersionsKey = keys.schemaVersions(dataset);
  }

  get isCluster(): boolean {
    return this.#redis.isCluster;
  }

  entryKey(generation: string, id: string, schemaVersion = this.#schemaVersion): string {
    return keys.entry(this.#dataset, schemaVersion, generation, id);
  }

  /**
   * The entries of `ids` and, where `sinceMs` is given, a generation check that is not newer than they are. With a
   * `token`, a lease is put where there is none.
   */
  async read(
    generation: string,
    ids: readonly string[],
    sinceMs: number | undefined,
    token?: string,
  ): Promise<L2ReadResult> {
    try {
      const entryKeys = ids.map((id) => this.entryKey(generation, id));
      if (sinceMs === undefined)
        return readEntries(undefined, entryKeys, await this.#readTexts(entryKeys, token), token);
      const checking = this.#checkGeneration(generation, sinceMs);
      // A single server runs the commands of one connection in their order, so both go in one round trip. In a cluster
      // the entries could be read long before an invalidation of which the check tells already.
      if (this.#redis.isCluster) await checking;
      const [check, texts] = await Promise.all([checking, this.#readTexts(entryKeys, token)]);
      return readEntries(check, entryKeys, texts, token);
    } catch (error) {
      ignoreUnavailable(error);
      const attemptedAtMs = error instanceof RedisUnavailableError ? error.attemptedAtMs : undefined;
      return { check: undefined, attemptedAtMs, entries: ids.map(() => undefined), corrupt: 0 };
    }
  }

  /**
   * Stores the entries, each only if nothing read later is there, Redis' clock has not passed `notAfterMs`, and no tombstone
   * of after `sinceMs` is gone. Answers what became of each, or undefined when Redis did not answer.
   */
  async put(writes: readonly Write[], storable: Storable): Promise<PutOutcome[] | undefined> {
    try {
      const answers = this.#redis.isCluster
        ? await this.#putInCluster(writes, storable)
        : await this.#putTogether(writes, storable);
      return answers.map(outcomeOf);
    } catch (error) {
      ignoreUnavailable(error);
      return undefined;
    }
  }

  /** The leases among `found` that are ours. Never rejects: they end by themselves. */
  async giveBack(found: readonly (Entry | LeaseMark | undefined)[]): Promise<void> {
    const ours = found.filter((one) => one?.kind === 'lease').filter(({ isOurs }) => isOurs);
    const entryKeys = ours.map(({ entryKey }) => entryKey);
    const released = this.#redis.batch(entryKeys, (commands, place) =>
      commands.releaseIfOwner(entryKeys[place] as string, (ours[place] as LeaseMark).token),
    );
    await released.catch(ignoreUnavailable);
  }

  async #checkGeneration(generation: string, sinceMs: number): Promise<GenerationCheck> {
    return parseGenerationCheck(
      await this.#redis.run((redis) =>
        redis.checkGeneration(
          this.#generationKey,
          this.#invalidatedKey,
          this.#schemaVersionsKey,
          generation,
          sinceMs,
          REPORTED_IDS_MAX,
          this.#schemaVersion,
          this.#redisMs,
        ),
      ),
    );
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
        log.debug('Leases could not be taken.', { error });
      }
    }
    return this.#redis.readTexts(entryKeys);
  }

  /** Some in one script, which saves both sides the work of a command each. */
  async #putTogether(
    writes: readonly Write[],
    { notAfterMs, sinceMs }: Storable,
  ): Promise<(string | null)[]> {
    const nowMs = Date.now();
    const chunks = chunksOf(writes, PUT_TOGETHER_MAX);
    const firstKeys = chunks.map(([first]) => (first as Write).entryKey);
    const answers = await this.#redis.batch(firstKeys, (commands, index) => {
      const chunk = chunks[index] as Write[];
      const sent: (string | number)[] = chunk.map(({ entryKey }) => entryKey);
      sent.push(this.#invalidatedKey, notAfterMs, sinceMs);
      for (const { key, entry, token = '' } of chunk)
        sent.push(encodeEntry(entry), entry.readAtUs, ttlOf(entry, nowMs, this.#stayMaxMs), key, token);
      return commands.putEntries(chunk.length + 1, ...sent);
    });
    return (answers as (string | null)[][]).flat();
  }

  /**
   * Each is of another slot, and so is the list of what was invalidated: it is asked first. Who is invalidated between the
   * two leaves a tombstone that is younger than all else, and not evicted in this moment.
   */
  async #putInCluster(
    writes: readonly Write[],
    { notAfterMs, sinceMs }: Storable,
  ): Promise<(string | null)[]> {
    const [forgottenMs, ...invalidatedMs] = await this.#redis.run((redis) =>
      redis.zmscore(this.#invalidatedKey, '', ...writes.map(({ key }) => key)),
    );
    const isRecent = (atMs: string | null | undefined) => atMs != null && Number(atMs) >= sinceMs;
    const isListWhole = forgottenMs != null && !isRecent(forgottenMs);
    const nowMs = Date.now();
    const entryKeys = writes.map(({ entryKey }) => entryKey);
    const answers = await this.#redis.batch(entryKeys, (commands, place) => {
      const { key, entryKey, entry, token = '' } = writes[place] as Write;
      const id = isListWhole && !isRecent(invalidatedMs[place]) ? key : '';
      const sent = [encodeEntry(entry), entry.readAtUs, ttlOf(entry, nowMs, this.#stayMaxMs), id, token];
      return commands.putEntries(1, entryKey, notAfterMs, '', ...sent);
    });
    return (answers as (string | null)[][]).flat();
  }

  async #putTombstones(entryKeys: readonly string[], tombstone: Entry): Promise<void> {
    const ttlMs = ttlOf(tombstone, Date.now(), INVALIDATIONS_KEPT_MS);
    const sent = [encodeEntry(tombstone), tombstone.readAtUs, ttlMs];
    const together = this.#redis.isCluster ? 1 : PUT_TOGETHER_MAX;
    const firstKeys = entryKeys.filter((_, place) => place % together === 0);
    await this.#redis.batch(firstKeys, (commands, index) => {
      const keys = entryKeys.slice(index * together, (index + 1) * together);
      return commands.putTombstones(keys.length, ...keys, ...keys.flatMap(() => sent));
    });
  }

  /** Makes everything of this dataset invisible. Throws `RedisUnavailableError`: the caller must know that it was not done. */
  async clear(known: string): Promise<Cleared> {
    const generation = await this.#redis.run((redis) => redis.raiseGeneration(this.#generationKey, known));
    return { generation, ...(await this.#awaitReplicas()) };
  }

  /** The clear is done by then: a server that does not tell of its replicas, or no answer of theirs, is no failure. */
  async #awaitReplicas(): Promise<Omit<Cleared, 'generation'>> {
    let replicas = 0;
    try {
      const server = (redis: RedisClient) => serverOf(redis, this.#generationKey);
      replicas = replicasOf(await this.#redis.runWaiting((redis) => server(redis).role()));
      if (replicas === 0) return { replicas, replicasAcknowledged: 0 };
      const acknowledged = await this.#redis.runWaiting((redis) =>
        server(redis).wait(replicas, REPLICA_ACK_TIMEOUT_MS),
      );
      return { replicas, replicasAcknowledged: acknowledged };
    } catch (error) {
      ignoreUnavailable(error);
      return { replicas, replicasAcknowledged: 0 };
    }
  }

  /**
   * Refuses what was read of `ids` before `atUs`, under each of `schemaVersions`, and tells the other containers. Throws
   * `RedisUnavailableError`.
   */
  async invalidate(
    generation: string,
    schemaVersions: readonly string[],
    ids: readonly string[],
    atUs: number,
  ): Promise<void> {
    const untilMs = Date.now() + INVALIDATIONS_KEPT_MS;
    const tombstone: Entry = {
      kind: 'tombstone',
      readAtUs: atUs,
      freshUntilMs: untilMs,
      staleUntilMs: untilMs,
      json: null,
    };
    // What was told by another version counts for ours, and the other way round: an id is the same in all of them.
    const entryKeys = schemaVersions.flatMap((version) =>
      ids.map((id) => this.entryKey(generation, id, version)),
    );
    // Twice. After the tombstones, because whoever was told before them may have found the old value in Redis again. And
    // before, because of this:
    //   1. a load reads the old row      3. a full Redis evicts the tombstone
    //   2. the tombstone is put          4. the load is stored: nothing says yet that there was a tombstone
    await this.#announce(ids);
    await this.#putTombstones(entryKeys, tombstone);
    await this.#announce(ids);
  }

  async #announce(ids: readonly string[]): Promise<void> {
    await this.#redis.run((redis) =>
      redis.announceInvalidated(this.#invalidatedKey, INVALIDATIONS_KEPT_MS, ANNOUNCED_IDS_MAX, ...ids),
    );
  }
}

/**
 * Bounded, because of this:
 *   1. a load begins                             3. it is stored: for an hour, by this clock
 *   2. this container's clock is set back by one 4. who invalidates it does not know our version any more
 */
function ttlOf({ staleUntilMs }: Entry, nowMs: number, stayMaxMs: number): number {
  return Math.min(Math.max(1, staleUntilMs - nowMs), stayMaxMs);
}

/** ROLE answers ['master', offset, [replica…]] on the server that takes writes. */
function replicasOf(role: unknown): number {
  const connected = Array.isArray(role) ? role[2] : undefined;
  return Array.isArray(connected) ? connected.length : 0;
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

/** What Redis has under `entryKeys`; `ours` is the token of the leases that were put there by who reads. */
export function readEntries(
  check: GenerationCheck | undefined,
  entryKeys: readonly string[],
  texts: readonly (string | null)[],
  ours?: string,
): L2ReadResult {
  let corrupt = 0;
  const entries = texts.map((text, place) => {
    if (text === null) return undefined;
    const entry = decodeEntry(text);
    if (entry !== undefined) return entry;
    if (text.startsWith(LEASE_PREFIX)) return leaseMark(entryKeys[place] as string, text, text === ours);
    corrupt++;
    return undefined;
  });
  return { check, attemptedAtMs: undefined, entries, corrupt };
}

function leaseMark(entryKey: string, token: string, isOurs: boolean): LeaseMark {
  return { kind: 'lease', entryKey, token, isOurs };
}

function outcomeOf(answer: string | null): PutOutcome {
  if (answer === null) return 'stored';
  if (answer === 'late' || answer === 'replaced') return answer;
  // Something that has a later time but is no entry: as good as nothing.
  return decodeEntry(answer) ?? 'stored';
}

function ignoreUnavailable(error: unknown): void {
  if (error instanceof RedisUnavailableError) return;
  // Not Redis' state but something that we sent: worth a line each time, yet no reason to fail a read.
  log.error('A command to Redis was refused.', { error });
}
