/** What a table must tell to be cached and warmed: copy `users.ts`, change it, and register it in `index.ts`. */
import type { LoadedBatch, Source } from '../cache/source.ts';
import type { Database } from '../postgres/database.ts';

export type Dataset<Id> = Omit<Source<Id>, 'load'> & {
  /** How a warm-up's report names the step that warms it. */
  readonly warmStep: string;
  /**
   * How many of them are warmed at most. Below it, a warm-up goes on as long as what is left is read and Redis has room; of what
   * nobody has read yet it takes 20,000 at most.
   */
  readonly warmIdsMax: number;
  /** Ids that one statement of a warm-up loads: as many as surely take well under a second. */
  readonly warmBatchSize: number;
  /** The id of which `key` made this text; undefined for a text of another form, as an older version may have left. */
  idOf(key: string): Id | undefined;
  /** Reads all `ids` with one statement; `values` in their order, as JSON text, null where there is no such thing. */
  load(database: Database, ids: readonly Id[]): Promise<LoadedBatch>;
  /** The ids that are probably read most, best first, at most `limit`: what is warmed when nobody has read anything yet. */
  rank(database: Database, limit: number): Promise<Id[]>;
};
