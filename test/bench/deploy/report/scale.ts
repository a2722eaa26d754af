/** From values to places on a plot, and the round values that an axis shows. */

export type Scale = { readonly ticks: readonly number[]; place(value: number): number };
type Range = readonly [number, number];

const TICKS_ABOUT = 8;
const STEPS = [1, 2, 5, 10] as const;
/** Bounds the ticks, whatever the values are. */
const DECADES_MAX = 12;

export function rangeOf(values: readonly number[]): Range {
  const finite = values.filter(Number.isFinite);
  return finite.length === 0 ? [0, 1] : [Math.min(...finite), Math.max(...finite)];
}

/** From `range` to the places from `start` to `end`. */
export function linear([low, high]: Range, start: number, end: number): Scale {
  const width = high - low || 1;
  const step = roundStep(width / TICKS_ABOUT);
  const first = Math.ceil(low / step);
  const ticks = Array.from({ length: Math.floor(high / step) - first + 1 }, (_, index) =>
    tidy((first + index) * step),
  );
  return { ticks, place: (value) => start + ((value - low) / width) * (end - start) };
}

/** The same by the powers of ten; `range` grows to ticks at 1, 2 and 5 of each. What is not above 0 is placed at the low end. */
export function logarithmic([low, top]: Range, start: number, end: number): Scale {
  const high = top > 0 ? top : 1;
  const lowest = Math.max(low, high / 10 ** DECADES_MAX);
  const candidates = decades(lowest, high).flatMap((decade) =>
    STEPS.slice(0, 3).map((step) => tidy(step * decade)),
  );
  const from = candidates.findLast((tick) => tick <= lowest) ?? lowest;
  const to = candidates.find((tick) => tick >= high && tick > from) ?? from * 10;
  const scale = linear([Math.log10(from), Math.log10(to)], start, end);
  return {
    ticks: candidates.filter((tick) => tick >= from && tick <= to),
    place: (value) => scale.place(Math.log10(Math.max(value, from))),
  };
}

function decades(low: number, high: number): number[] {
  const first = Math.floor(Math.log10(low));
  const count = Math.min(DECADES_MAX, Math.ceil(Math.log10(Math.max(high, low))) - first) + 1;
  return Array.from({ length: count }, (_, index) => 10 ** (first + index));
}

function roundStep(atLeast: number): number {
  const decade = 10 ** Math.floor(Math.log10(atLeast));
  return decade * (STEPS.find((step) => step * decade >= atLeast) ?? 10);
}

/** Without the last bits that a multiplication leaves. */
function tidy(value: number): number {
  return Number(value.toPrecision(6));
}
