/** An order far from the one before, and the same in every process and run. */
import { createRandom } from '../../infra/local/sample-users/seed-users.ts';

/** Fisher and Yates; answers a new list. */
export function shuffled<T>(values: readonly T[], seed: number): T[] {
  const random = createRandom(seed);
  const list = [...values];
  for (let last = list.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [list[last], list[other]] = [list[other] as T, list[last] as T];
  }
  return list;
}
