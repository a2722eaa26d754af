/** The behaviour of infra/local/containers/slots.ts. */
import { describe, expect, it } from 'vitest';
import { createSlots } from '../../../../../infra/local/containers/slots.ts';

describe('slots', () => {
  it('pass from who releases to who waits longest', async () => {
    const slots = createSlots({ count: 1, maxWaiting: 2 });
    const order: string[] = [];
    await slots.acquire(1000);
    const second = slots.acquire(1000).then(() => order.push('second'));
    const third = slots.acquire(1000).then(() => order.push('third'));

    slots.release();
    await second;
    slots.release();
    await third;

    expect(order).toEqual(['second', 'third']);
    expect(slots.used).toBe(1);
  });

  it('refuse at once when too many wait', async () => {
    const slots = createSlots({ count: 1, maxWaiting: 0 });
    await slots.acquire(1000);

    expect(await slots.acquire(1000)).toBe(false);
  });

  it('refuse after the limit, and give the slot to nobody who has left', async () => {
    const slots = createSlots({ count: 1, maxWaiting: 1 });
    await slots.acquire(5);

    expect(await slots.acquire(5)).toBe(false);
    slots.release();
    expect(slots.used).toBe(0);
  });
});
