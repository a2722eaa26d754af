/** What this container counted and has not handed on yet: plain numbers in maps that are bounded by the fixed label sets. */
import { type MetricName, type Series, seriesOf } from './definitions.ts';

/** Increments that travel together under one id, so that sending them twice counts them once. */
export type Flush = { readonly id: string; readonly increments: ReadonlyMap<Series, number> };

export class Recorder {
  #increments = new Map<Series, number>();

  count(name: MetricName, labels: readonly string[], by: number): void {
    if (by === 0) return;
    const series = seriesOf(name, labels);
    this.#increments.set(series, (this.#increments.get(series) ?? 0) + by);
  }

  get isEmpty(): boolean {
    return this.#increments.size === 0;
  }

  /** Hands over what was counted since the last time; undefined when nothing was. */
  takeIncrements(): Flush | undefined {
    if (this.#increments.size === 0) return undefined;
    const increments = this.#increments;
    this.#increments = new Map();
    return { id: crypto.randomUUID(), increments };
  }
}
