/**
 * The requirement's retry: one second for each try, and up to three more tries after 1, 2 and 4 seconds. Own code: the waits of
 * cockatiel's (4.0) go on for their seconds after the run's signal was aborted, and p-retry has no limit for one try.
 */
import { OperationTimeoutError, RetriesExhaustedError } from '../errors.ts';

type RetryPolicy = {
  /** How long one try may take. */
  readonly timeoutMs: number;
  /** The waits before the second try and those after it; as many retries as there are waits. */
  readonly delaysMs: readonly number[];
  /** Each wait is longer by a random share of itself up to this: those who failed together must not come back together. */
  readonly jitter: number;
};

export const WARMUP_RETRY: RetryPolicy = { timeoutMs: 1_000, delaysMs: [1_000, 2_000, 4_000], jitter: 0.1 };

/** Which try this is, from 1; `signal` is aborted when its time is over. */
export type Attempt = { readonly number: number; readonly signal: AbortSignal };

/**
 * Runs `operation` until it succeeds. Throws `RetriesExhaustedError` (the last failure as its cause) after the last
 * try, and `signal`'s reason as soon as that is aborted, also in the middle of a wait. `retriesMax` says how many more
 * tries a failure is worth, where that is fewer than the policy has.
 */
export async function retry<T>(
  name: string,
  operation: (attempt: Attempt) => Promise<T>,
  signal: AbortSignal,
  policy: RetryPolicy = WARMUP_RETRY,
  retriesMax: (error: unknown) => number | Promise<number> = () => policy.delaysMs.length,
): Promise<T> {
  for (let number = 1; ; number++) {
    signal.throwIfAborted();
    try {
      return await withTimeout(name, policy.timeoutMs, signal, (trySignal) =>
        operation({ number, signal: trySignal }),
      );
    } catch (cause) {
      signal.throwIfAborted();
      const delayMs = policy.delaysMs[number - 1];
      if (delayMs === undefined || number > (await retriesMax(cause)))
        throw new RetriesExhaustedError(name, number, { cause });
      await waitFor(delayMs * (1 + Math.random() * policy.jitter), signal);
    }
  }
}

/** Runs `operation` for at most `timeoutMs`; throws `OperationTimeoutError`, or the reason of `signal`, without waiting for it. */
async function withTimeout<T>(
  name: string,
  timeoutMs: number,
  signal: AbortSignal,
  operation: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(new OperationTimeoutError(name, timeoutMs)), timeoutMs);
  const either = AbortSignal.any([signal, over.signal]);
  const ended = Promise.withResolvers<never>();
  const onAbort = () => ended.reject(either.reason);
  either.addEventListener('abort', onAbort);
  try {
    return await Promise.race([operation(either), ended.promise]);
  } finally {
    clearTimeout(timer);
    // A signal that is listened to is kept for ever, and with it what the operation answered.
    either.removeEventListener('abort', onAbort);
  }
}

function waitFor(delayMs: number, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      over.abort();
      resolve();
    }, delayMs);
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        reject(signal.reason);
      },
      { once: true, signal: over.signal },
    );
  });
}
