/** The requirement's retry: a limit for each try, growing waits, an end. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { OperationTimeoutError, RetriesExhaustedError } from '../../../../shared/errors.ts';
import { retry, WARMUP_RETRY } from '../../../../shared/warming/retry.ts';

const never = new AbortController().signal;
const exact = { ...WARMUP_RETRY, jitter: 0 };

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('retry', () => {
  it('answers the result of the first try that succeeds', async () => {
    const operation = vi.fn(async ({ number }: { number: number }) => {
      if (number < 3) throw new Error('not yet');
      return number;
    });
    const result = retry('op', operation, never, exact);
    await vi.advanceTimersByTimeAsync(3_000);
    await expect(result).resolves.toBe(3);
  });

  it('tries at once and then 1, 2 and 4 s after the failure before, and gives up with the last cause', async () => {
    const triedAtMs: number[] = [];
    const startedAtMs = Date.now();
    const result = retry(
      'op',
      async () => {
        triedAtMs.push(Date.now() - startedAtMs);
        throw new Error('always');
      },
      never,
      exact,
    );
    const failure = expect(result).rejects.toMatchObject({
      constructor: RetriesExhaustedError,
      attempts: 4,
      cause: { message: 'always' },
    });
    await vi.advanceTimersByTimeAsync(8_000);
    await failure;
    expect(triedAtMs).toEqual([0, 1_000, 3_000, 7_000]);
  });

  it('ends a try after one second and tells the operation to stop', async () => {
    const stopped: unknown[] = [];
    const result = retry(
      'slow',
      ({ signal }) => {
        signal.addEventListener('abort', () => stopped.push(signal.reason));
        return new Promise(() => {});
      },
      never,
      exact,
    );
    const failure = expect(result).rejects.toMatchObject({ cause: { constructor: OperationTimeoutError } });
    await vi.advanceTimersByTimeAsync(4 * 1_000 + 7_000);
    await failure;
    expect(stopped).toHaveLength(4);
    expect(stopped[0]).toBeInstanceOf(OperationTimeoutError);
  });

  it('stops in the middle of a wait when it is aborted, with the reason given', async () => {
    const controller = new AbortController();
    const reason = new Error('lock lost');
    const operation = vi.fn(async () => {
      throw new Error('always');
    });
    const failure = expect(retry('op', operation, controller.signal, exact)).rejects.toBe(reason);
    await vi.advanceTimersByTimeAsync(500);
    controller.abort(reason);
    await vi.advanceTimersByTimeAsync(0);
    await failure;
    expect(operation).toHaveBeenCalledTimes(1);
  });

  it('lengthens waits by a random share, never shortens them', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(1);
    const triedAtMs: number[] = [];
    const startedAtMs = Date.now();
    const failure = expect(
      retry(
        'op',
        async () => {
          triedAtMs.push(Date.now() - startedAtMs);
          throw new Error('always');
        },
        never,
      ),
    ).rejects.toThrow();
    await vi.advanceTimersByTimeAsync(9_000);
    await failure;
    expect(triedAtMs).toEqual([0, 1_100, 3_300, 7_700]);
  });
});
