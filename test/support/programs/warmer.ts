/** A warmer in a process of its own: the real handler, and runs that a test can hold up. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from 'aws-lambda';
import { Redis } from 'ioredis';
import { handler } from '../../../functions/warmer/handler.ts';
import { openCaches, warmableDatasetsOf } from '../../../shared/caches.ts';
import { users } from '../../../shared/datasets/users.ts';
import { environment } from '../../../shared/environment.ts';
import { Database } from '../../../shared/postgres/database.ts';
import { GuardedRedis, WARMER_GUARD } from '../../../shared/redis/guarded-redis.ts';
import type { WarmableDataset } from '../../../shared/warming/dataset-warmer.ts';
import type { WarmBatch } from '../../../shared/warming/plan.ts';
import type { Trigger, WarmupReport } from '../../../shared/warming/report.ts';
import { warmUp } from '../../../shared/warming/warm-up.ts';
import { offer } from './offer.ts';

export type Invocation = {
  readonly report: WarmupReport;
  /** By the wall clock. */
  readonly beganAtMs: number;
  /** What it sent to Redis until it answered, by name: all that its answer may have waited for there. */
  readonly commands: readonly string[];
};
export type WarmerActions = typeof actions;

const REMAINING_MS = 60_000;

const commandsOf = new AsyncLocalStorage<string[]>();
const { sendCommand } = Redis.prototype;
Redis.prototype.sendCommand = function (command, ...rest) {
  commandsOf.getStore()?.push(command.name);
  return sendCommand.call(this, command, ...rest);
};

/** As Lambda invokes it. */
async function invoke(trigger: Trigger, traceId: string, remainingMs = REMAINING_MS): Promise<Invocation> {
  const beganAtMs = Date.now();
  const context = { awsRequestId: traceId, getRemainingTimeInMillis: () => remainingMs } as Context;
  const commands: string[] = [];
  const report = await commandsOf.run(commands, () => handler({ trigger }, context));
  return { report, beganAtMs, commands };
}

const redis = new GuardedRedis(environment.redisUrl(), WARMER_GUARD);
const database = new Database(environment.databaseUrl());
const read = Promise.withResolvers<void>();
const released = Promise.withResolvers<void>();
const warming: Promise<unknown>[] = [];

/** Users whose loads stop between reading the rows and answering them. */
const heldUsers = {
  ...users,
  async load(...asked: Parameters<typeof users.load>) {
    const loaded = await users.load(...asked);
    read.resolve();
    await released.promise;
    return loaded;
  },
};

/** Keeps hold of each batch that is being warmed: a run that is aborted leaves them behind. */
function watched(target: WarmableDataset): WarmableDataset {
  const watch = (batch: WarmBatch): WarmBatch => ({
    keys: batch.keys,
    warm(...args) {
      const warmed = batch.warm(...args);
      warming.push(warmed);
      return warmed;
    },
  });
  const plan = async () => {
    const planned = await target.plan();
    return Object.assign(planned, { batches: planned.batches.map(watch) });
  };
  return { ...target, plan };
}

/** A run that renews its lock more often than the handler's. */
function warm(traceId: string, lockRenewEveryMs: number, datasets = { users }): Promise<WarmupReport> {
  const targets = warmableDatasetsOf(redis, database, openCaches(redis, database, datasets), datasets);
  return warmUp({
    traceId,
    trigger: 'manual',
    redis,
    connect: () => database.connect(),
    datasets: targets.map(watched),
    signal: new AbortController().signal,
    recordMetrics: async () => {},
    lockRenewEveryMs,
  });
}

const actions = {
  invoke,
  /** Waits for a wall-clock time first: all that are told the same one begin together. */
  async invokeAt(atMs: number, trigger: Trigger, traceId: string): Promise<Invocation> {
    await sleep(Math.max(0, atMs - Date.now()));
    return invoke(trigger, traceId);
  },
  warm: (traceId: string, lockRenewEveryMs: number) => warm(traceId, lockRenewEveryMs),
  /** The same, whose loads wait for `releaseLoads` with what they have read. */
  warmHeld: (traceId: string, lockRenewEveryMs: number) =>
    warm(traceId, lockRenewEveryMs, { users: heldUsers }),
  untilRead: () => read.promise,
  /** Resolves when all batches that were begun have come to their end. */
  async releaseLoads() {
    released.resolve();
    await Promise.allSettled(warming);
  },
};

await redis.connect(1_000);
offer(actions);
