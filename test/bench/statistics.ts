/** Medians and spreads: figures that a moment of other work on the machine does not move; and orders that are the same in every run. */
import { createRandom } from '../../infra/local/sample-users/seed-users.ts';

export type Spread = { readonly median: number; readonly p10: number; readonly p90: number };

export function spreadOf(samples: readonly number[]): Spread {
  return { median: quantile(samples, 0.5), p10: quantile(samples, 0.1), p90: quantile(samples, 0.9) };
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/** Linear between the two samples around it; NaN of nothing. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const below = sorted[Math.floor(place)] ?? Number.NaN;
  const above = sorted[Math.ceil(place)] ?? Number.NaN;
  return below + (above - below) * (place - Math.floor(place));
}

/** The median of the ratios round by round: what slows a whole round slows both sides of its ratio. */
export function pairedRatio(samples: readonly number[], base: readonly number[]): number {
  return median(samples.map((sample, round) => sample / (base[round] ?? Number.NaN)));
}

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
