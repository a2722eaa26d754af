/** The form of everything that callers send: one schema for each input, whose message says what was expected. */
import * as z from 'zod/mini';
import { datasets } from '../datasets/index.ts';
import { normaliseQuery, SEARCH_PAGE_DEFAULT, type UserSearch } from '../datasets/user-search.ts';
import { InvalidInputError } from '../errors.ts';

const IDS_MAX = 100;
const QUERY_LENGTH_MIN = 2;
const QUERY_LENGTH_MAX = 64;
const PAGE_MAX = 50;
const WAIT_SECONDS_MAX = 20;

const EXPECTED_ID = 'an integer from 1 to 9007199254740991';
const EXPECTED_LIMIT = `an integer from 1 to ${PAGE_MAX}`;
const EXPECTED_QUERY = `a text of ${QUERY_LENGTH_MIN} to ${QUERY_LENGTH_MAX} characters`;

/** Made by its first use: building all of them takes 3 ms of a cold start, and most containers need one or two. */
function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** Digits only: no sign, no leading zero, no exponent, so that one id has one form. */
const integerText = (expected: string, highest: number) =>
  z.pipe(
    z.string(expected).check(z.regex(/^[1-9][0-9]{0,15}$/, expected)),
    z.transform((text, context) => {
      const value = Number(text);
      if (value <= highest) return value;
      context.issues.push({ code: 'custom', message: expected, input: text });
      return z.NEVER;
    }),
  );

const userId = once(() => integerText(EXPECTED_ID, Number.MAX_SAFE_INTEGER));

const userIds = once(() =>
  z.pipe(
    z.string(`1 to ${IDS_MAX} ids, separated by commas`),
    z.pipe(
      z.transform((text: string) => text.split(',')),
      z
        .array(userId())
        .check(z.minLength(1), z.maxLength(IDS_MAX, `1 to ${IDS_MAX} ids, separated by commas`)),
    ),
  ),
);

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
    limit: z._default(z.optional(integerText(EXPECTED_LIMIT, PAGE_MAX)), SEARCH_PAGE_DEFAULT),
    cursor: z.optional(z.string().check(z.refine(isCursor, 'the "nextCursor" of the page before'))),
  }),
);

const EXPECTED_DATASET = `one of ${Object.values(datasets)
  .map(({ name }) => `"${name}"`)
  .join(', ')}`;

const clearBody = once(() =>
  z.strictObject(
    {
      dataset: z.optional(
        z.enum(
          Object.values(datasets).map(({ name }) => name),
          EXPECTED_DATASET,
        ),
      ),
      ids: z.optional(
        z
          .array(z.int(EXPECTED_ID).check(z.positive(EXPECTED_ID)), `a list of 1 to ${IDS_MAX} user ids`)
          .check(
            z.minLength(1, `a list of 1 to ${IDS_MAX} user ids`),
            z.maxLength(IDS_MAX, `a list of 1 to ${IDS_MAX} user ids`),
          ),
      ),
    },
    'a JSON object with "dataset", "ids" or neither',
  ),
);

export type ClearBody = z.infer<ReturnType<typeof clearBody>>;

/** Throws `InvalidInputError` that names the field and what was expected of it. */
function parse<Schema extends z.ZodMiniType>(
  field: string,
  schema: () => Schema,
  value: unknown,
): z.output<Schema> {
  const result = schema().safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const path = issue?.path.join('.') ?? '';
  throw new InvalidInputError(
    path === '' ? field : field === '' ? path : `${field}.${path}`,
    issue?.message ?? '',
  );
}

export function parseUserId(text: string | undefined): number {
  return parse('id', userId, text);
}

export function parseUserIds(text: string | undefined): number[] {
  return parse('ids', userIds, text);
}

export function parseSearch(parameters: Readonly<Record<string, string | undefined>>): UserSearch {
  const { q, limit, cursor } = parse('', searchParameters, parameters);
  if (cursor === undefined) return { query: q, limit, after: null };
  const [followerCount, id] = cursor.split('-').map(Number) as [number, number];
  return { query: q, limit, after: { followerCount, id } };
}

export function parseClearBody(body: string | null): ClearBody {
  return parse('body', clearBody, body === null || body === '' ? {} : parseJson(body));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidInputError('body', 'JSON');
  }
}

/** How many seconds the caller asks to wait for the outcome (`Prefer: wait=20`), at most 20; 0 without the wish. RFC 7240 lets us ignore what we cannot read. */
export function parseWaitSeconds(prefer: string | undefined): number {
  const asked = /(?:^|[,;\s])wait=(\d{1,4})(?:$|[,;\s])/.exec(prefer ?? '')?.[1];
  return Math.min(Number(asked ?? 0), WAIT_SECONDS_MAX);
}
