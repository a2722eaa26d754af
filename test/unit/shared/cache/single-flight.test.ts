/** Who shares a piece of work, and who does not any more. */
import { beforeEach, expect, it, vi } from 'vitest';
import { SingleFlight } from '../../../../shared/cache/load-once.ts';

let flights: SingleFlight<string>;
const begun: PromiseWithResolvers<string>[] = [];
const work = () => {
  begun.push(Promise.withResolvers());
  return (begun.at(-1) as PromiseWithResolvers<string>).promise;
};

beforeEach(() => {
  begun.length = 0;
  flights = new SingleFlight(1_000);
});

it('all who ask for a key meanwhile share one result, and one failure', async () => {
  const asked = [flights.run('a', work), flights.run('a', work), flights.run('b', work)];
  expect(begun).toHaveLength(2);
  begun[0]?.resolve('first');
  begun[1]?.reject(new Error('second'));
  expect(await Promise.allSettled(asked)).toMatchObject([
    { value: 'first' },
    { value: 'first' },
    { reason: { message: 'second' } },
  ]);
  expect(flights.get('a')).toBeUndefined();
});

it('what was forgotten is begun anew, and its end does not end what followed', async () => {
  const first = flights.run('a', work);
  flights.forget('a');
  const second = flights.run('a', work);
  begun[0]?.resolve('old');
  await first;
  expect(flights.get('a')).toBe(second);
  begun[1]?.resolve('new');
  expect(await second).toBe('new');
});

it('nobody joins work that began too long ago by the wall clock: the process may have been frozen', () => {
  const now = vi.spyOn(Date, 'now').mockReturnValue(1_000_000);
  flights.run('a', work);
  now.mockReturnValue(1_000_999);
  expect(flights.get('a')).toBeDefined();
  now.mockReturnValue(1_001_000);
  expect(flights.get('a')).toBeUndefined();
  now.mockRestore();
});
