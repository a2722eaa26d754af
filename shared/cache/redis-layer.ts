/** L2: the entries in Redis. What can fail is kept in here: a read that fails is a miss, a write that fails is no write. */
import { RedisUnavailableError } from '../errors.ts';
import { log } from '../logger.ts';
import type { GuardedRedis } from '../redis/guarded-redis.ts';
import { keys } from '../redis/keys.ts';
import { decodeEntry, type Entry, encodeEntry } from './entry.ts';
import { INVALIDATIONS_KEPT_MS, type Look } from './generation.ts';

/** More ids than this at once are told to the other containers as "all". */
const ANNOUNCED_IDS_MAX = 1_000;

/** A failover to a replica that has not heard of a clear would bring the old generation back: so ask, but not for long. */
const REPLICA_ACK_TIMEOUT_MS = 50;

export type Cleared = {
  readonly generation: string;
  readonly replicas: number;
  /** Fewer than `replicas`: a failover in this moment could bring back what was cleared. */
  readonly replicasAcknowledged: number;
};

export type LookUp = {
  /** Undefined when Redis did not answer, or was not asked to look. */
  readonly look: Look | undefined;
  readonly entries: readonly (Entry | undefined)[];
  /** Values that were there and could not be read. */
  readonly corrupt: number;
};

export class RedisLayer {
  readonly #redis: GuardedRedis;
  readonly #dataset: string;
  readonly #schemaVersion: number;
  readonly #generationKey: string;
  readonly #invalidatedKey: string;

  constructor(redis: GuardedRedis, dataset: string, schemaVersion: number) {
    this.#redis = redis;
    this.#dataset = dataset;
    this.#schemaVersion = schemaVersion;
    this.#generationKey = keys.generation(dataset);
    this.#invalidatedKey = keys.invalidated(dataset);
  }

  entryKey(generation: string, id: string): string {
    return keys.entry(this.#dataset, this.#schemaVersion, generation, id);
  }

  /** One round trip: the entries of `ids`, and, where `sinceMs` is given, the generation and what was invalidated since. */
  async lookUp(generation: string, ids: readonly string[], sinceMs: number | undefined): Promise<LookUp> {
    try {
      const answers = await this.#redis.pipeline((commands) => {
        if (sinceMs !== undefined) {
          commands.lookAtGeneration(this.#generationKey, this.#invalidatedKey, sinceMs);
        }
        if (ids.length > 0) commands.mget(ids.map((id) => this.entryKey(generation, id)));
      });
      const look = sinceMs === undefined ? undefined : readLook(answers.shift() as (string | number)[]);
      return { look, ...readEntries((answers[0] ?? []) as (string | null)[]) };
    } catch (error) {
      ignoreUnavailable(error);
      return { look: undefined, entries: ids.map(() => undefined), corrupt: 0 };
    }
  }

  /**
   * Stores the entries, each only if nothing read later is there. Answers for each what is there instead, null where it
   * was stored, and undefined when Redis did not answer.
   */
  async put(
    generation: string,
    ids: readonly string[],
    entries: readonly Entry[],
    nowMs: number,
  ): Promise<(Entry | null)[] | undefined> {
    try {
      const answers = await this.#redis.pipeline((commands) => {
        for (const [index, entry] of entries.entries()) {
          const key = this.entryKey(generation, ids[index] as string);
          const ttlMs = Math.max(1, entry.staleUntilMs - nowMs);
          commands.putEntry(key, encodeEntry(entry), entry.readAtUs, ttlMs);
        }
      });
      return answers.map((stored) => (stored === null ? null : (decodeEntry(stored as string) ?? null)));
    } catch (error) {
      ignoreUnavailable(error);
      return undefined;
    }
  }

  /** Makes everything of this dataset invisible. Throws `RedisUnavailableError`: the caller must know that it was not done. */
  async clear(): Promise<Cleared> {
    const generation = await this.#redis.run((redis) => redis.incr(this.#generationKey));
    return { generation: String(generation), ...(await this.#awaitReplicas()) };
  }

  /** The clear is done by then: a server that does not tell of its replicas, or no answer of theirs, is no failure. */
  async #awaitReplicas(): Promise<Omit<Cleared, 'generation'>> {
    let replicas = 0;
    try {
      replicas = replicasOf(await this.#redis.runWaiting((redis) => redis.role()));
      if (replicas === 0) return { replicas, replicasAcknowledged: 0 };
      const acknowledged = await this.#redis.runWaiting((redis) =>
        redis.wait(replicas, REPLICA_ACK_TIMEOUT_MS),
      );
      return { replicas, replicasAcknowledged: acknowledged };
    } catch (error) {
      ignoreUnavailable(error);
      return { replicas, replicasAcknowledged: 0 };
    }
  }

  /** Refuses what was read of `ids` before `atUs`, and tells the other containers. Throws `RedisUnavailableError`. */
  async invalidate(generation: string, ids: readonly string[], atUs: number, nowMs: number): Promise<void> {
    const untilMs = nowMs + INVALIDATIONS_KEPT_MS;
    const tombstone = encodeEntry({
      kind: 'tombstone',
      readAtUs: atUs,
      freshUntilMs: untilMs,
      staleUntilMs: untilMs,
      json: null,
    });
    await this.#redis.pipeline((commands) => {
      for (const id of ids)
        commands.putEntry(this.entryKey(generation, id), tombstone, atUs, INVALIDATIONS_KEPT_MS);
      commands.announceInvalidated(
        this.#generationKey,
        this.#invalidatedKey,
        INVALIDATIONS_KEPT_MS,
        ANNOUNCED_IDS_MAX,
        ...ids,
      );
    });
  }
}

/** ROLE answers ['master', offset, [replica…]] on the server that takes writes. */
function replicasOf(role: unknown): number {
  const connected = Array.isArray(role) ? role[2] : undefined;
  return Array.isArray(connected) ? connected.length : 0;
}

function readLook(answer: readonly (string | number)[]): Look {
  const [generation, redisNowMs, ...invalidatedIds] = answer;
  return {
    generation: String(generation),
    redisNowMs: Number(redisNowMs),
    invalidatedIds: invalidatedIds.map(String),
  };
}

function readEntries(texts: readonly (string | null)[]): Pick<LookUp, 'entries' | 'corrupt'> {
  let corrupt = 0;
  const entries = texts.map((text) => {
    if (text === null) return undefined;
    const entry = decodeEntry(text);
    if (entry === undefined) corrupt++;
    return entry?.kind === 'tombstone' ? undefined : entry;
  });
  return { entries, corrupt };
}

function ignoreUnavailable(error: unknown): void {
  if (error instanceof RedisUnavailableError) return;
  // Not Redis' state but something that we sent: worth a line each time, yet no reason to fail a read.
  log.error('A command to Redis was refused.', { error });
}
