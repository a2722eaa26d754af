/** The behaviour of infra/local/processes/run-record.ts: of any starts at once, one gets the folder. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import {
  type RunRecord,
  readRun,
  readTurn,
  releaseTurn,
  takeTurn,
} from '../../../../../infra/local/processes/run-record.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'prewarm-run-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

function recordOf(name: string): RunRecord {
  return { runner: { pid: 1, startTime: name }, processes: [] };
}

it('of two that follow the same dead run, the first one gets the folder, and keeps its record', () => {
  takeTurn(dir, readTurn(dir), recordOf('dead'));
  const [a, b] = [readTurn(dir), readTurn(dir)];
  takeTurn(dir, a, recordOf('A'));

  expect(() => takeTurn(dir, b, recordOf('B'))).toThrow('Another Prewarm is just starting');
  expect(readRun(dir)).toEqual(recordOf('A'));
});

it('one that looked long ago does not get the folder, even when its number is free again', () => {
  const b = readTurn(dir);
  releaseTurn(dir, takeTurn(dir, readTurn(dir), recordOf('A')));
  takeTurn(dir, readTurn(dir), recordOf('C'));

  expect(() => takeTurn(dir, b, recordOf('B'))).toThrow('Another Prewarm is just starting');
  expect(readRun(dir)).toEqual(recordOf('C'));
  expect(readdirSync(dir)).toEqual(['run.2.json']);
});

it('a released folder has no run, and the next one follows', () => {
  const own = takeTurn(dir, readTurn(dir), recordOf('A'));
  releaseTurn(dir, own);

  expect(readRun(dir)).toBeUndefined();
  expect(takeTurn(dir, readTurn(dir), recordOf('B'))).toBe(own + 1);
});
