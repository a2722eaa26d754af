/** How quickly a warm-up fills the cache, between its floors: one by one, and bare drivers in batches. */

import type { Warming } from '../processes/warmer-process.ts';
import { type WarmingBench, withWarmingBench } from '../processes/warming-bench.ts';
import type { CaseResult } from '../report/table.ts';
import { median } from '../statistics.ts';

const USERS_TIMED = 5_000;
const ROUNDS = 15;
/** Code that has not been compiled, and a database that has nothing in memory, say little about the next thousand runs. */
const ROUNDS_UNCOUNTED = 3;
const ROUNDS_ONE_BY_ONE = 3;
const MS_PER_S = 1_000;
const TOOK_MAX_MS = 500;
const STATEMENTS_MAX = 25;
/** It rests for most of the time: as fast as the bare drivers it would be felt by readers. */
const KEYS_PER_SECOND_MIN = 15_000;

type Kind = 'warm' | 'batched' | 'oneByOne';
type Rounds = Readonly<Record<Kind, Warming[]>>;

export async function runWarmUp(): Promise<CaseResult> {
  return describe(await withWarmingBench(0, measure));
}

/** Into an empty Redis each time; the order turns from round to round. */
async function measure({ servers, warmer }: WarmingBench): Promise<Rounds> {
  const rounds: Rounds = { warm: [], batched: [], oneByOne: [] };
  const take = async (kind: Kind) => {
    await servers.admin.flushall();
    return warmer.call(kind, USERS_TIMED);
  };
  for (let round = -ROUNDS_UNCOUNTED; round < ROUNDS; round++) {
    const kinds: readonly Kind[] = round % 2 === 0 ? ['warm', 'batched'] : ['batched', 'warm'];
    for (const kind of kinds) {
      const taken = await take(kind);
      if (round >= 0) rounds[kind].push(taken);
    }
  }
  for (let round = 0; round < ROUNDS_ONE_BY_ONE; round++) rounds.oneByOne.push(await take('oneByOne'));
  return rounds;
}

function describe(rounds: Rounds): CaseResult {
  const warm = figuresOf(rounds.warm);
  return {
    title: `A warm-up of ${USERS_TIMED.toLocaleString('en')} users`,
    how: `A whole warm-up, from taking the lock to giving it back: choosing the users, loading, storing, manifest and report. Beside it the bare drivers: the same users in batches of the same size (\`SELECT * … WHERE id = ANY\`, \`JSON.stringify\`, a pipeline of SET), over two connections too; and one after the other. Into an empty Redis; ${ROUNDS} rounds.`,
    columns: ['ms', 'keys per second', 'statements'],
    rows: [
      ['Prewarm', ...cellsOf(warm)],
      ['pg and ioredis, batched', ...cellsOf(figuresOf(rounds.batched))],
      ['pg and ioredis, one by one', ...cellsOf(figuresOf(rounds.oneByOne))],
    ],
    verdicts: [
      { what: 'Prewarm', value: warm.tookMs, unit: 'ms', atMost: TOOK_MAX_MS },
      { what: 'Statements', value: warm.statements, unit: 'statements', atMost: STATEMENTS_MAX },
      { what: 'Keys per second', value: warm.keysPerSecond, unit: 'keys/s', atLeast: KEYS_PER_SECOND_MIN },
    ],
    raw: rounds,
  };
}

function figuresOf(rounds: readonly Warming[]) {
  const tookMs = median(rounds.map((each) => each.tookMs));
  const statements = Math.max(...rounds.map((each) => each.statements));
  return { tookMs, statements, keysPerSecond: Math.round((USERS_TIMED / tookMs) * MS_PER_S) };
}

function cellsOf({ tookMs, statements, keysPerSecond }: ReturnType<typeof figuresOf>): string[] {
  return [tookMs.toFixed(0), keysPerSecond.toLocaleString('en'), statements.toLocaleString('en')];
}
