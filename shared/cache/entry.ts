/** The form of a cached value: a header of fixed width, then the JSON text as it goes to the caller, never parsed on the way. */

/**
 * `value`: there is one; `absent`: the database was asked and has none; `tombstone`: invalidated, so nothing that was
 * read before may be stored.
 */
type EntryKind = 'value' | 'absent' | 'tombstone';

export type Entry = {
  readonly kind: EntryKind;
  /** When its database read began (or when it was invalidated), by the database's clock, in µs. */
  readonly readAtUs: number;
  /** Wall-clock times in ms since 1970: a container that was frozen must not believe an old value fresh. */
  readonly freshUntilMs: number;
  readonly staleUntilMs: number;
  /** The value's JSON text; null unless the kind is `value`. */
  readonly json: string | null;
};

/** Begins what is in an entry's place while it is loaded. No entry begins so: 16 digits would follow. */
export const LEASE_PREFIX = 'l:';

/** What is in an entry's place while somebody loads it: the token of a lease. */
export type LeaseMark = {
  readonly kind: 'lease';
  readonly entryKey: string;
  readonly token: string;
  /** Put there by the very request that found the place empty. */
  readonly isOurs: boolean;
};

export function isEntry(found: Entry | LeaseMark | undefined): found is Entry {
  return found !== undefined && found.kind !== 'lease';
}

const LETTERS: Readonly<Record<EntryKind, string>> = { value: 'v', absent: 'a', tombstone: 't' };
const KINDS: ReadonlyMap<string, EntryKind> = new Map(
  Object.entries(LETTERS).map(([kind, letter]) => [letter, kind as EntryKind]),
);

/** kind 1, readAtUs 16, freshUntilMs 13, staleUntilMs 13, length of the text 8. The Lua script reads the first two. */
const READ_AT = 1;
const FRESH_UNTIL = 17;
const STALE_UNTIL = 30;
const LENGTH = 43;
const TEXT = 51;

function digits(value: number, width: number): string {
  return String(value).padStart(width, '0');
}

export function encodeEntry(entry: Entry): string {
  const text = entry.json ?? '';
  return (
    LETTERS[entry.kind] +
    digits(entry.readAtUs, 16) +
    digits(entry.freshUntilMs, 13) +
    digits(entry.staleUntilMs, 13) +
    digits(text.length, 8) +
    text
  );
}

/** The entry, or undefined for text that is none: of an older form, cut short, or written by somebody else. */
export function decodeEntry(encoded: string): Entry | undefined {
  const kind = KINDS.get(encoded.charAt(0));
  const readAtUs = numberAt(encoded, READ_AT, FRESH_UNTIL);
  const freshUntilMs = numberAt(encoded, FRESH_UNTIL, STALE_UNTIL);
  const staleUntilMs = numberAt(encoded, STALE_UNTIL, LENGTH);
  const length = numberAt(encoded, LENGTH, TEXT);
  // NaN differs from every length, so a header that holds no numbers fails here as well.
  if (kind === undefined || encoded.length - TEXT !== length) return undefined;
  if (!(readAtUs > 0) || !(freshUntilMs <= staleUntilMs)) return undefined;
  return { kind, readAtUs, freshUntilMs, staleUntilMs, json: kind === 'value' ? encoded.slice(TEXT) : null };
}

/** The first characters of an entry, up to the end of `freshUntilMs`. */
export const FRESH_HEAD = STALE_UNTIL;

/** Until when a value is fresh, read from the head of its text; undefined where that is none of a value. */
export function freshUntilOf(head: string): number | undefined {
  const freshUntilMs = numberAt(head, FRESH_UNTIL, STALE_UNTIL);
  return KINDS.get(head.charAt(0)) === 'value' && freshUntilMs > 0 ? freshUntilMs : undefined;
}

/** NaN where there are no numbers. A loop over the digits is faster once it is compiled, and five times slower until then. */
function numberAt(encoded: string, start: number, end: number): number {
  return Number(encoded.slice(start, end));
}
