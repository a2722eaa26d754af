/** What is read in a run: ids of users in the order of their requests, from a file or by Zipf's law; and how they are divided. */
import { readFileSync, statSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { createRandom, SEED_USERS } from '../../../infra/local/sample-users/seed-users.ts';
import { shuffled } from '../statistics.ts';
import type { DeployOptions, Plan } from './options.ts';

export type Trace = {
  /** Names the trace's part of the documentation, and files. */
  readonly name: string;
  /** What it is, in words. */
  readonly about: string;
  readonly userIds: readonly number[];
};

/** Each must be a row of the table, and rows must be made. */
export const USERS_MAX = 200_000;

/** So many users the table needs; not fewer than everybody has who tries Prewarm. */
export function usersNeeded({ userIds }: Trace): number {
  return userIds.reduce((most, id) => Math.max(most, id), SEED_USERS);
}

/** The trace that was asked for. Throws an error that says what is wrong with the file. */
export function chooseTrace(asked: DeployOptions['trace'], plan: Plan): Trace {
  if (typeof asked === 'string') return makeTrace(asked, plan);
  const { path, name, about = `The trace ${name}.` } = asked;
  return { name, about, userIds: readTrace(path) };
}

function makeTrace(name: BuiltInTrace, plan: Plan): Trace {
  const law = ZIPF_LAWS[name];
  const [usersRead, users] = [law.usersRead, law.users].map((count) => count.toLocaleString('en'));
  const about = `Made by Zipf's law (exponent ${law.exponent}) over ${usersRead} of ${users} sample users, with a fixed seed.`;
  return { name, about, userIds: zipfTrace(law, requestsMax(plan)) };
}

/** As a file, and uncompressed: some ten million requests, of which a run reads the last ones. */
const FILE_BYTES_MAX = 64 * 1024 * 1024;

/**
 * One id a line, compressed if the name ends in .gz; the id n is the user n + 1. Answers the users in the order in which they
 * are read. Throws an error that names the first line that is not an id.
 */
export function readTrace(path: string): number[] {
  const lines = readText(path).split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line, index) => {
    if (isId(line)) return Number(line) + 1;
    throw new Error(
      `${path}, line ${index + 1}: ${quote(line)} is no id, an integer from 0 to ${USERS_MAX - 1}.`,
    );
  });
}

function readText(path: string): string {
  if (statSync(path).size > FILE_BYTES_MAX)
    throw new Error(`${path} is larger than ${FILE_BYTES_MAX} bytes.`);
  const bytes = readFileSync(path);
  if (!path.endsWith('.gz')) return bytes.toString('utf8');
  try {
    return gunzipSync(bytes, { maxOutputLength: FILE_BYTES_MAX }).toString('utf8');
  } catch (cause) {
    throw new Error(`${path} cannot be uncompressed: ${(cause as Error).message}.`, { cause });
  }
}

function isId(line: string): boolean {
  return /^\d{1,7}\r?$/.test(line) && Number(line) < USERS_MAX;
}

/** A binary file may be one long line. */
function quote(line: string): string {
  return JSON.stringify(line.length > 40 ? `${line.slice(0, 40)}…` : line);
}

/** The user of rank r is read in proportion to 1 / r to the power of `exponent`, whatever its id and however many follow it. */
type ZipfLaw = {
  readonly exponent: number;
  /** So many users are ever read, of so many that there are. */
  readonly usersRead: number;
  readonly users: number;
};

/** The traces that are built in. */
export const ZIPF_LAWS = {
  zipf: { exponent: 1, usersRead: 20_000, users: SEED_USERS },
  /** Ten times as many users as a warm-up takes: however warm the caches are, a third of the requests misses. */
  'long-tail': { exponent: 0.8, usersRead: 200_000, users: 250_000 },
} as const satisfies Record<string, ZipfLaw>;
export type BuiltInTrace = keyof typeof ZIPF_LAWS;

const REQUESTS_SEED = 1;
const PLACES_SEED = 2;

export function zipfTrace(law: ZipfLaw, requests: number): number[] {
  return drawByZipf(scatteredUsers(law), law.exponent, requests, createRandom(REQUESTS_SEED));
}

/** `count` of `ids`, which are ordered by rank: that of rank r in proportion to 1 / r to the power of `exponent`. */
export function drawByZipf(
  ids: readonly number[],
  exponent: number,
  count: number,
  random: () => number,
): number[] {
  let total = 0;
  const sums = ids.map((_, index) => {
    total += 1 / (index + 1) ** exponent;
    return total;
  });
  return Array.from({ length: count }, () => ids[placeOf(random() * total, sums)] as number);
}

/** By rank. A seed of its own, because the sample users' followers are shuffled with theirs. */
function scatteredUsers({ usersRead, users }: ZipfLaw): number[] {
  const ids = Array.from({ length: users }, (_, index) => index + 1);
  return shuffled(ids, PLACES_SEED).slice(0, usersRead);
}

/** The first place whose sum is above `value`, by bisection. */
function placeOf(value: number, sums: readonly number[]): number {
  let low = 0;
  let high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sums[middle] as number) > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** User ids, in the order of their requests. */
export type TraceParts = {
  /** Fills caches and tells what is popular; read as fast as it can be. */
  readonly history: readonly number[];
  /** What is measured as the steady state. */
  readonly steady: readonly number[];
  /** What is measured after the deploy, and what the plot shows in addition. */
  readonly after: readonly number[];
};

/** Without a history as long as a measured part, there is no steady state. */
export function requestsMin(plan: Plan): number {
  return 2 * plan.steadyRequests + plan.afterRequests;
}

function requestsMax(plan: Plan): number {
  return plan.historyRequestsMax + plan.steadyRequests + plan.afterRequests;
}

/** The last requests of the trace. Throws an error that says how many a trace must have. */
export function splitTrace({ name, userIds }: Trace, plan: Plan): TraceParts {
  if (userIds.length < requestsMin(plan))
    throw new Error(`The trace ${name} has ${userIds.length} lines and needs ${requestsMin(plan)} at least.`);
  const last = userIds.slice(-requestsMax(plan));
  const deployAt = last.length - plan.afterRequests;
  const steadyAt = deployAt - plan.steadyRequests;
  return {
    history: last.slice(0, steadyAt),
    steady: last.slice(steadyAt, deployAt),
    after: last.slice(deployAt),
  };
}

/** To each of `containers` its requests: the first one to the first, the second one to the second, and so on. */
export function deal(userIds: readonly number[], containers: number): number[][] {
  const hands = Array.from({ length: containers }, (): number[] => []);
  for (const [index, userId] of userIds.entries()) hands[index % containers]?.push(userId);
  return hands;
}
