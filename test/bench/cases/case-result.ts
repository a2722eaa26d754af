/** What every case hands back: a table to read, verdicts on Prewarm, and the raw figures. */

export type Verdict = {
  /** What is compared: "Prewarm / lru-cache get". */
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  readonly aim?: number;
} & ({ readonly atMost: number } | { readonly atLeast: number });

export type CaseResult = {
  readonly title: string;
  /** What was done, in a sentence or two, for whoever reads the table alone. */
  readonly how: string;
  readonly columns: readonly string[];
  /** The contestant's name, then a cell for each column. */
  readonly rows: readonly (readonly string[])[];
  readonly verdicts: readonly Verdict[];
  /** That the machine had other work meanwhile. @default - it had little */
  readonly busyNote?: string;
  readonly raw: unknown;
};

export function isReached(verdict: Verdict): boolean {
  return 'atMost' in verdict ? verdict.value <= verdict.atMost : verdict.value >= verdict.atLeast;
}
