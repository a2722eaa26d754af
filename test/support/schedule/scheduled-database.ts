/** The database of a schedule: rows with all their versions, and loads that see them, and answer, when the schedule says so. */
import type { LoadedBatch } from '../../../shared/cache/source.ts';
import { DatabaseUnavailableError } from '../../../shared/errors.ts';

type Version = { readonly value: number | null; readonly committedAtUs: number };

/** What a value's text says of itself: when it was read, and what was there then. */
export type Told = { readonly id: number; readonly value: number; readonly readAtUs: number };

export type Load = {
  readonly owner: object;
  readonly ids: readonly number[];
  readonly resolve: (batch: LoadedBatch) => void;
  readonly reject: (error: unknown) => void;
  beganAtMs: number;
  /** What it has seen, once it has. */
  seen: LoadedBatch | undefined;
};

export class ScheduledDatabase {
  loads: Load[] = [];
  readonly #clock: { readonly nowMs: number };
  readonly #rows = new Map<number, Version[]>();
  /** How far the clock that loads and owners are told is ahead of the order of events. */
  #aheadMs = 0;
  #lastUs = 0;
  #lastValue = 0;

  constructor(clock: { readonly nowMs: number }) {
    this.#clock = clock;
  }

  /** Somebody sets the clock, or another server takes over. */
  stepClock(ms: number): void {
    this.#aheadMs += ms;
  }

  /** What the clock shows at `us` of the order of events. */
  clockUs(us: number): number {
    return us + this.#aheadMs * 1_000;
  }

  /** The order of events: never the same twice. */
  nowUs(): number {
    this.#lastUs = Math.max(this.#clock.nowMs * 1_000, this.#lastUs + 1);
    return this.#lastUs;
  }

  /** A new version of the row, or its end. */
  commit(id: number, isDeleted: boolean): void {
    const version = { value: isDeleted ? null : ++this.#lastValue, committedAtUs: this.nowUs() };
    this.#rows.set(id, [...(this.#rows.get(id) ?? []), version]);
  }

  /** Whether there was no such row at some moment after `us`. */
  wasAbsentAfter(id: number, us: number): boolean {
    const versions = this.#rows.get(id) ?? [];
    const before = versions.findLast(({ committedAtUs }) => committedAtUs <= us);
    return [before, ...versions.filter(({ committedAtUs }) => committedAtUs > us)].some(
      (version) => (version?.value ?? null) === null,
    );
  }

  load(owner: object, ids: readonly number[]): Promise<LoadedBatch> {
    return new Promise((resolve, reject) => {
      this.loads.push({ owner, ids, resolve, reject, beganAtMs: this.#clock.nowMs, seen: undefined });
    });
  }

  see(load: Load): void {
    const readAtUs = this.nowUs();
    const values = load.ids.map((id) => {
      const value = this.#rows.get(id)?.at(-1)?.value ?? null;
      return value === null ? null : JSON.stringify({ id, value, readAtUs } satisfies Told);
    });
    load.seen = { readAtUs: this.clockUs(readAtUs), values };
  }

  answer(load: Load): void {
    this.#end(load);
    load.resolve(load.seen as LoadedBatch);
  }

  fail(load: Load): void {
    this.#end(load);
    load.reject(new DatabaseUnavailableError('The schedule says so.'));
  }

  /** Statements of `owner` that began `timeoutMs` ago fail. */
  timeOut(owner: object, timeoutMs: number): void {
    for (const load of [...this.loads]) {
      if (load.owner === owner && this.#clock.nowMs - load.beganAtMs >= timeoutMs) this.fail(load);
    }
  }

  postpone(owner: object, ms: number): void {
    for (const load of this.loads) if (load.owner === owner) load.beganAtMs += ms;
  }

  forget(owner: object): void {
    this.loads = this.loads.filter((load) => load.owner !== owner);
  }

  #end(load: Load): void {
    this.loads = this.loads.filter((other) => other !== load);
  }
}
