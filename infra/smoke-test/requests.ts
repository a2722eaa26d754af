/** Requests of the smoke test: each with an end, and tried again where a moment later may be better. */
import { setTimeout as sleep } from 'node:timers/promises';
import { SmokeError } from './smoke-error.ts';

export type Answer = {
  readonly status: number;
  readonly headers: Headers;
  /** Undefined when the body is no JSON. */
  readonly json: unknown;
};

/** An API just deployed may start its first containers: a cold one answers within this, and is not the last try. */
const TIMEOUT_MS = 15_000;
const TRIES_MAX = 3;
const PAUSE_MS = 2_000;
/** A limit of so many calls a minute lets the next one through after a minute at most. */
const RETRY_AFTER_SECONDS_MAX = 65;
const RETRIED_STATUSES: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** Answers what came, whatever its status. @throws SmokeError that says `next` when nothing came, three times */
export async function request(
  url: string,
  init: RequestInit = {},
  next = 'Compare the address with the output ApiUrl of the deployed stack.',
): Promise<Answer> {
  for (let tries = 1; ; tries++) {
    const outcome = await attempt(url, init);
    const isLast = tries === TRIES_MAX;
    if (!(outcome instanceof Error)) {
      if (isLast || !RETRIED_STATUSES.has(outcome.status)) return outcome;
    } else if (isLast) throw unreachable(url, outcome, next);
    await sleep(outcome instanceof Error ? PAUSE_MS : pauseAfter(outcome));
  }
}

async function attempt(url: string, init: RequestInit): Promise<Answer | Error> {
  try {
    const { status, headers, ...answer } = await exchange(url, init);
    return { status, headers, json: parse(answer.text) };
  } catch (error) {
    return error as Error;
  }
}

async function exchange(url: string, init: RequestInit) {
  const answer = await fetch(url, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function pauseAfter({ headers }: Answer): number {
  const seconds = Number(headers.get('retry-after'));
  if (!(seconds > 0)) return PAUSE_MS;
  return Math.min(seconds, RETRY_AFTER_SECONDS_MAX) * 1_000;
}

function unreachable(url: string, error: Error, next: string): SmokeError {
  const { cause } = error;
  const why = cause instanceof Error && 'code' in cause ? `${cause.code}` : error.message;
  return new SmokeError(`${new URL(url).origin} does not answer (${why})`, next, { cause: error });
}
