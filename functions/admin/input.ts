/** What admins may send: what is to be cleared, and how long they wait for a warm-up. */
import * as z from 'zod/mini';
import { EXPECTED_USER_ID } from '../../shared/datasets/users.ts';
import { InvalidInputError } from '../../shared/errors.ts';
import { parse } from '../../shared/http/input.ts';

const IDS_MAX = 100;
const WAIT_SECONDS_MAX = 20;

const EXPECTED_IDS = `a list of 1 to ${IDS_MAX} user ids`;

/** Made for each call, of which there are two a minute. */
const clearBody = (names: readonly string[]) =>
  z.strictObject(
    {
      dataset: z.optional(z.enum(names, `one of ${names.map((name) => `"${name}"`).join(', ')}`)),
      ids: z.optional(
        z
          .array(z.int(EXPECTED_USER_ID).check(z.positive(EXPECTED_USER_ID)), EXPECTED_IDS)
          .check(z.minLength(1, EXPECTED_IDS), z.maxLength(IDS_MAX, EXPECTED_IDS)),
      ),
    },
    'a JSON object with "dataset", "ids" or neither',
  );

export type ClearBody = z.infer<ReturnType<typeof clearBody>>;

/** `names` are those of the datasets. Throws `InvalidInputError` that names the field and what was expected of it. */
export function parseClearBody(body: string | null, names: readonly string[]): ClearBody {
  return parse('body', () => clearBody(names), body === null || body === '' ? {} : parseJson(body));
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
