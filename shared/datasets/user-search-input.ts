/** What callers may search for: the form of each parameter, and the search that they ask for together. */
import * as z from 'zod/mini';
import { once, parse } from '../http/input.ts';
import { normaliseQuery, SEARCH_PAGE_DEFAULT, type UserSearch } from './user-search.ts';

const QUERY_LENGTH_MIN = 2;
const QUERY_LENGTH_MAX = 64;
const PAGE_MAX = 50;

const EXPECTED_LIMIT = `an integer from 1 to ${PAGE_MAX}`;
const EXPECTED_QUERY = `a text of ${QUERY_LENGTH_MIN} to ${QUERY_LENGTH_MAX} characters`;

/** Digits only: no sign, no leading zero, no exponent. */
function isLimit(text: string): boolean {
  return /^[1-9][0-9]{0,15}$/.test(text) && Number(text) <= PAGE_MAX;
}

/** Followers and id of the last user shown; more than an integer of Postgres holds was never a cursor of ours. */
function isCursor(text: string): boolean {
  const [, followers, id] = /^([0-9]{1,10})-([1-9][0-9]{0,15})$/.exec(text) ?? [];
  return Number(followers) <= 2_147_483_647 && Number(id) <= Number.MAX_SAFE_INTEGER;
}

/** Characters as Postgres counts them; it has no text with a 0 or with half a character, so nothing could match. */
function isQuery(text: string): boolean {
  const { length } = [...text];
  return (
    length >= QUERY_LENGTH_MIN && length <= QUERY_LENGTH_MAX && text.isWellFormed() && !text.includes('\0')
  );
}

const searchParameters = once(() =>
  z.object({
    q: z.pipe(
      z.string(EXPECTED_QUERY),
      z.pipe(z.transform(normaliseQuery), z.string().check(z.refine(isQuery, EXPECTED_QUERY))),
    ),
    limit: z._default(
      z.optional(
        z.pipe(z.string(EXPECTED_LIMIT).check(z.refine(isLimit, EXPECTED_LIMIT)), z.transform(Number)),
      ),
      SEARCH_PAGE_DEFAULT,
    ),
    cursor: z.optional(z.string().check(z.refine(isCursor, 'the "nextCursor" of the page before'))),
  }),
);

/** Throws `InvalidInputError` that names the parameter and what was expected of it. */
export function parseSearch(parameters: Readonly<Record<string, string | undefined>>): UserSearch {
  const { q, limit, cursor } = parse('', searchParameters, parameters);
  if (cursor === undefined) return { query: q, limit, after: null };
  const [followerCount, id] = cursor.split('-').map(Number) as [number, number];
  return { query: q, limit, after: { followerCount, id } };
}
