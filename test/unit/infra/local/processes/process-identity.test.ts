/** A process is its pid and its start time: what is read from /proc, and what counts as alive. */
import { describe, expect, it } from 'vitest';
import {
  identifySelf,
  isAlive,
  parseProcStat,
} from '../../../../../infra/local/processes/process-identity.ts';

const stat = (name: string, state: string) =>
  `42 (${name}) ${state} 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 200`;

describe('parseProcStat', () => {
  it('takes the start time, whatever the name of the process holds', () => {
    expect(parseProcStat(stat('node', 'S'))).toBe('987654');
    expect(parseProcStat(stat('a) S 1 (b c', 'R'))).toBe('987654');
  });

  it('counts a zombie as gone', () => {
    expect(parseProcStat(stat('redis-server', 'Z'))).toBeUndefined();
  });
});

describe('isAlive', () => {
  it('knows this process, and no other one with its pid', () => {
    const self = identifySelf();
    expect(self).toMatch(new RegExp(`^${process.pid}_\\w+$`));
    expect(isAlive(self)).toBe(true);
    expect(isAlive(`${process.pid}_another`)).toBe(false);
  });
});
