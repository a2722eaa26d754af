/** One contestant through one deploy: its containers fill the caches, serve at a steady pace, end, and new ones go on. */
import { cpus } from 'node:os';
import { report } from '../report/table.ts';
import type { BenchServers } from '../servers.ts';
import type { PacedAnswers } from './container-process.ts';
import { type Fleet, runWarmUp, type WarmUp, withFleet } from './containers.ts';
import { type DeployEntrant, WARMED } from './contestants/index.ts';
import type { Plan } from './options.ts';
import type { TraceParts } from './trace.ts';

/** What one part at the pace showed; the answers by container. */
export type Stretch = { readonly answers: readonly PacedAnswers[]; readonly busy: number };

export type Rehearsal = {
  readonly entrant: DeployEntrant;
  readonly steady: Stretch;
  /** Sent to Postgres for the requests that are measured after the deploy, by the old containers: as if there were none. */
  readonly steadyStatements: number;
  readonly after: Stretch;
  /** Of the deployment; undefined for those who have none. */
  readonly warmUp: WarmUp | undefined;
  /** After the deploy, by PostgreSQL's own count. */
  readonly transactions: number;
};

/** Of the history, so much is read when the last scheduled warm-up before the deploy runs: popularity is a little old. */
const SCHEDULED_AT_SHARE = 0.9;

/** Beyond it, processes wait for a processor, and not only for each other. */
const BUSY_MAX = 0.5;

type Context = {
  readonly entrant: DeployEntrant;
  readonly servers: BenchServers;
  readonly plan: Plan;
  readonly parts: TraceParts;
};
type Situation = Context & { readonly redisUrl: string; readonly databaseUrl: string };

export async function rehearse(context: Context): Promise<Rehearsal> {
  const { entrant, servers } = context;
  const databaseUrl = await servers.makeDatabase(`deploy_${entrant.toLowerCase().replace(/\W+/g, '_')}`);
  const situation = { ...context, redisUrl: servers.url, databaseUrl };
  await servers.admin.flushall();
  const { steady, steadyStatements } = await serveBefore(situation);
  const before = await servers.transactionsOf(databaseUrl);
  await servers.admin.flushall();
  const { after, warmUp } = await serveAfter(situation);
  const transactions = (await servers.transactionsOf(databaseUrl)) - before;
  checkCounts(entrant, transactions, after, warmUp);
  return { entrant, steady, steadyStatements, after, warmUp, transactions };
}

function serveBefore(situation: Situation): Promise<Pick<Rehearsal, 'steady' | 'steadyStatements'>> {
  const { entrant, parts, plan } = situation;
  return withFleetOf(situation, async (fleet) => {
    await fillCaches(situation, fleet, parts.history);
    report(`${entrant}: steady state`);
    const steady = await serve(fleet, parts.steady, situation);
    return { steady, steadyStatements: await fleet.replay(parts.after.slice(0, plan.measuredRequests)) };
  });
}

async function fillCaches(situation: Situation, fleet: Fleet, history: readonly number[]): Promise<void> {
  const { entrant } = situation;
  report(`${entrant}: ${history.length.toLocaleString('en')} requests of history`);
  const scheduledAt = Math.floor(history.length * SCHEDULED_AT_SHARE);
  await fleet.replay(history.slice(0, scheduledAt));
  if (entrant === WARMED) {
    await fleet.flush(); // which would have been due long ago, were the history not read in seconds
    await runWarmUp(situation.servers.run, situation, 'schedule');
  }
  await fleet.replay(history.slice(scheduledAt));
}

function serveAfter(situation: Situation): Promise<Pick<Rehearsal, 'after' | 'warmUp'>> {
  const { entrant, servers, parts } = situation;
  report(`${entrant}: deploy`);
  return withFleetOf(situation, async (fleet) => {
    const warmUp = entrant === WARMED ? await runWarmUp(servers.run, situation, 'deploy') : undefined;
    report(`${entrant}: after the deploy`);
    return { after: await serve(fleet, parts.after, situation), warmUp };
  });
}

function withFleetOf<T>(situation: Situation, work: (fleet: Fleet) => Promise<T>): Promise<T> {
  const { entrant, servers, redisUrl, databaseUrl, plan } = situation;
  return withFleet(servers.run, { entrant, redisUrl, databaseUrl }, plan.containers, work);
}

async function serve(fleet: Fleet, userIds: readonly number[], { plan }: Situation): Promise<Stretch> {
  const busySince = measureBusy();
  const answers = await fleet.answer(userIds, plan.paceMs);
  const busy = busySince();
  if (busy > BUSY_MAX)
    report(`The machine was ${Math.round(100 * busy)} % busy: these latencies are about the machine.`);
  return { answers, busy };
}

/** A statement that nobody counted would make a figure better than it is. */
function checkCounts(
  entrant: DeployEntrant,
  transactions: number,
  after: Stretch,
  warmUp: WarmUp | undefined,
): void {
  const byContainers = after.answers.reduce((sum, { statements }) => sum + (statements.at(-1) ?? 0), 0);
  const counted = byContainers + (warmUp?.statements ?? 0);
  if (transactions <= counted) return;
  throw new Error(
    `${entrant}: PostgreSQL ran ${transactions} transactions, of which ${counted} were counted.`,
  );
}

/**
 * How busy the machine was: at more than half of it, latencies are about the machine and not about who is measured. Starts to
 * measure; the function that it answers tells the busy share, from 0 to 1, of all processors since then.
 */
function measureBusy(): () => number {
  const begun = sumTimes();
  return () => {
    const now = sumTimes();
    return 1 - (now.idleMs - begun.idleMs) / (now.allMs - begun.allMs);
  };
}

function sumTimes(): { idleMs: number; allMs: number } {
  let idleMs = 0;
  let allMs = 0;
  for (const { times } of cpus()) {
    idleMs += times.idle;
    allMs += times.user + times.nice + times.sys + times.idle + times.irq;
  }
  return { idleMs, allMs };
}
