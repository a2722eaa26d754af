/** What the cache must know of a dataset: how its ids become keys, how its values are loaded, and how long they keep. */

/** The values of some ids, read by one statement. */
export type LoadedBatch = {
  /** When the database began to read, by its own clock, in µs since 1970: what orders all writes of an entry. */
  readonly readAtUs: number;
  /** The JSON text of each id asked for, in their order; null where there is no such thing. */
  readonly values: readonly (string | null)[];
};

/** How long values keep. Fresh ones are answered as they are, later ones only while a newer one cannot be had. */
type Timing = {
  /** Fresh for so long after a read put it there. */
  readonly freshMs: number;
  /** Fresh for so long after a warm-up put it there: longer than two intervals of the schedule. */
  readonly warmFreshMs: number;
  /** Usable for so long after it was fresh, while one caller refreshes it or the database is away. */
  readonly graceMs: number;
  /** How long "there is no such thing" is believed. */
  readonly absentMs: number;
  /** The longest stay in a container's memory. */
  readonly memoryMs: number;
};

export type Source<Id> = {
  readonly name: string;
  /** Changes when the JSON text of a value changes its form: entries of another version are not seen. */
  readonly schemaVersion: number;
  readonly timing: Timing;
  /**
   * The datasets of which its values are made, by name: an invalidation or a clear of one of them clears all of this one,
   * which then costs one load for each key that is read again. @default none
   */
  readonly derivedFrom?: readonly string[];
  /**
   * Whether callers can make up keys that have a value, as texts to search for. What readers load of such a dataset enters
   * Redis with its second request, and takes a bounded share of it. @default false
   */
  readonly takesAnyKey?: boolean;
  /** Entries that a container keeps in its memory. */
  readonly memoryEntriesMax: number;
  /** The id as text; equal ids give equal texts. */
  key(id: Id): string;
  /** Reads all `ids` with one statement. Throws when the database cannot answer. */
  load(ids: readonly Id[]): Promise<LoadedBatch>;
};
