/** A peer that fails: its line in the table, and that nobody else's failure is taken for one. */
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { type EntrantName, isPeer, PREWARM } from '../../bench/contestants/index.ts';
import { Failures } from '../../bench/failures.ts';
import { ContestantClient } from '../../bench/processes/contestant-client.ts';
import { toMarkdown, toText } from '../../bench/report/table.ts';
import { LostProcessError } from '../../support/programs/program.ts';

const program = fileURLToPath(new URL('./fake-contestant-process.ts', import.meta.url));
const kind = { mode: 'get', concurrency: 1, count: 1 } as const;
let client: ContestantClient;

function start(entrant: EntrantName, callTimeoutMs = 60_000): Failures<EntrantName> {
  client = new ContestantClient(entrant, { program, callTimeoutMs });
  return new Failures(isPeer);
}
/** Each is what a contestant can do wrong. */
const reject = () => client.call('burst', { id: '1', waiters: 1, startAtMs: 0 });
const die = () => client.call('sample', kind);
const hang = () => client.call('fill', ['1']);

afterEach(async () => await client.kill());

describe('a peer', () => {
  const row = (failures: Failures<EntrantName>) => failures.row('bentocache', () => ['1.0', '2.0']);

  it('that rejects has a line that says why, and ends', async () => {
    const failures = start('bentocache');
    expect(await client.spare(failures, reject)).toBeUndefined();
    expect(row(failures)).toEqual(['bentocache', 'failed: Error: Command timed out']);
    await client.exited;
  });

  it('whose process dies has a line with its last error', async () => {
    const failures = start('bentocache');
    expect(await client.spare(failures, die)).toBeUndefined();
    expect(row(failures)).toEqual(['bentocache', 'failed: ended with 7: Error: connect ECONNREFUSED']);
  });

  it('that never answers has a line, and ends', async () => {
    const failures = start('bentocache', 300);
    expect(await client.spare(failures, hang)).toBeUndefined();
    expect(row(failures)).toEqual(['bentocache', 'failed: fill took longer than 300 ms']);
    await client.exited;
  });

  it('that does not fail keeps its figures', async () => {
    const failures = start('bentocache');
    expect(await client.spare(failures, () => client.call('calibrate', kind))).toBe(42);
    expect(row(failures)).toEqual(['bentocache', '1.0', '2.0']);
    expect(failures.rows()).toEqual([]);
  });

  it('that says much is cut short, in one line of the table', async () => {
    const failures = start('bentocache');
    const much = async () => Promise.reject(new Error(`a | b${'!'.repeat(500)}\n    at there`));
    await client.spare(failures, much);
    const [line = []] = failures.rows();
    expect(line[1]).toMatch(/^failed: a \| b!+…$/);
    expect(line[1]?.length).toBeLessThan(120);
    const result = { title: '', how: '', columns: ['one', 'two'], rows: [line], verdicts: [], raw: 0 };
    expect(toMarkdown(result)).toContain('| bentocache | failed: a \\| b!');
    expect(toMarkdown(result)).toMatch(/…[ ]\|[ ]+\|$/m);
    expect(toText(result).split('\n')).toContain(`  bentocache   ${line[1]}`);
  });
});

it.each<[string, () => Promise<unknown>]>([
  ['rejects', reject],
  ['ends', die],
])('Prewarm that %s is an error', async (_, fail) => {
  const failures = start(PREWARM);
  await expect(client.spare(failures, fail)).rejects.toThrow(/^Prewarm: /);
  expect(failures.rows()).toEqual([]);
});

it('a floor that never answers is an error', async () => {
  const failures = start('ioredis GET, text', 300);
  await expect(client.spare(failures, hang)).rejects.toBeInstanceOf(LostProcessError);
});

it('a process that has ended fails what it is told then, with how it ended', async () => {
  start('bentocache');
  await expect(die()).rejects.toThrow('ended with 7');
  await expect(reject()).rejects.toThrow('ended with 7');
});
