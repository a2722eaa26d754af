/** The behaviour of infra/local/containers/pool.ts. */
import { describe, expect, it } from 'vitest';
import { Pool } from '../../../../../infra/local/containers/pool.ts';

describe('a pool', () => {
  it('passes what is given back to who waits longest', async () => {
    const pool = new Pool(['only'], 2);
    const order: string[] = [];
    await pool.take(1000);
    const second = pool.take(1000).then((item) => order.push(`second: ${item}`));
    const third = pool.take(1000).then((item) => order.push(`third: ${item}`));

    pool.giveBack('only');
    await second;
    pool.giveBack('only');
    await third;

    expect(order).toEqual(['second: only', 'third: only']);
    expect(pool.used).toBe(1);
  });

  it('refuses at once when too many wait', async () => {
    const pool = new Pool(['only'], 0);
    await pool.take(1000);

    expect(await pool.take(1000)).toBeUndefined();
  });

  it('refuses after the limit, and gives nothing to who has left', async () => {
    const pool = new Pool(['only'], 1);
    await pool.take(5);

    expect(await pool.take(5)).toBeUndefined();
    pool.giveBack('only');
    expect(pool.used).toBe(0);
  });

  it('gives what was used last, unless it is to be the last one', async () => {
    const pool = new Pool(['cold', 'warm'], 0);
    pool.giveBack((await pool.take(5)) ?? '');
    expect(await pool.take(5)).toBe('warm');
    pool.giveBack('warm', true);

    expect([await pool.take(5), await pool.take(5)]).toEqual(['cold', 'warm']);
  });
});
