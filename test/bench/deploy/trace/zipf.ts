/** The trace of a run that is given none: requests by Zipf's law, the same in every run. */
import { createRandom, SEED_USERS } from '../../../../infra/local/sample-users/seed-users.ts';
import { shuffled } from '../../shuffle.ts';

/** Of the sample users so many are ever read. */
export const ZIPF_USERS = 20_000;
const EXPONENT = 1;
const REQUESTS_SEED = 1;
const PLACES_SEED = 2;

/** The user of rank r is read in proportion to 1 / r, whatever its id and however many follow it. */
export function zipfTrace(requests: number): number[] {
  const random = createRandom(REQUESTS_SEED);
  const users = scatteredUsers();
  const sums = cumulativeWeights(users.length);
  const total = sums.at(-1) ?? 0;
  return Array.from({ length: requests }, () => users[placeOf(random() * total, sums)] as number);
}

/** By rank. A seed of its own, because the sample users' followers are shuffled with theirs. */
function scatteredUsers(): number[] {
  const ids = Array.from({ length: SEED_USERS }, (_, index) => index + 1);
  return shuffled(ids, PLACES_SEED).slice(0, ZIPF_USERS);
}

function cumulativeWeights(count: number): number[] {
  let sum = 0;
  return Array.from({ length: count }, (_, index) => {
    sum += 1 / (index + 1) ** EXPONENT;
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
