/** A promise with a figure, as it was measured: times, the limit, and which of the times is held to it. */

export type Promised = {
  readonly what: string;
  readonly tookMs: readonly number[];
  readonly limitMs: number;
  /** The quantile that is judged. @default - the worst time */
  readonly judged?: 0.5 | 0.9;
  /** What the bare driver takes for the same, measured in the same run. */
  readonly floorMs?: readonly number[];
};
