/** The built-in traces: requests by Zipf's law, the same in every run. */
import { createRandom, SEED_USERS } from '../../../../infra/local/sample-users/seed-users.ts';
import { shuffled } from '../../shuffle.ts';

/** The user of rank r is read in proportion to 1 / r to the power of `exponent`, whatever its id and however many follow it. */
export type ZipfLaw = {
  readonly exponent: number;
  /** So many users are ever read, of so many that there are. */
  readonly usersRead: number;
  readonly users: number;
};

export const BUILT_IN_TRACES = ['zipf', 'long-tail'] as const;
export type BuiltInTrace = (typeof BUILT_IN_TRACES)[number];

export const ZIPF_LAWS: Readonly<Record<BuiltInTrace, ZipfLaw>> = {
  zipf: { exponent: 1, usersRead: 20_000, users: SEED_USERS },
  /** Ten times as many users as a warm-up takes: however warm the caches are, a third of the requests misses. */
  'long-tail': { exponent: 0.8, usersRead: 200_000, users: 250_000 },
};

const REQUESTS_SEED = 1;
const PLACES_SEED = 2;

export function zipfTrace(law: ZipfLaw, requests: number): number[] {
  const random = createRandom(REQUESTS_SEED);
  const users = scatteredUsers(law);
  const sums = cumulativeWeights(law);
  const total = sums.at(-1) ?? 0;
  return Array.from({ length: requests }, () => users[placeOf(random() * total, sums)] as number);
}

/** By rank. A seed of its own, because the sample users' followers are shuffled with theirs. */
function scatteredUsers({ usersRead, users }: ZipfLaw): number[] {
  const ids = Array.from({ length: users }, (_, index) => index + 1);
  return shuffled(ids, PLACES_SEED).slice(0, usersRead);
}

function cumulativeWeights({ usersRead, exponent }: ZipfLaw): number[] {
  let sum = 0;
  return Array.from({ length: usersRead }, (_, index) => {
    sum += 1 / (index + 1) ** exponent;
    return sum;
  });
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
