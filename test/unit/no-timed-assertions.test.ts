/** No test asserts how long this machine takes, or is tried again when it fails: looked for in the text of all tests. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const files = readdirSync('test', { recursive: true, encoding: 'utf8' }).filter((name) =>
  /\.(test|emulator)\.ts$/.test(name),
);

/** An upper bound on something that is named as a time that passed, and a reading of a clock inside of an assertion. */
const TIMED = [
  /expect\([^;]*(?:took|elapsed|lasted|passed|cost)\w*Ms[^;]*\)\s*\.toBeLess/,
  /expect\([^;]*(?:performance|Date)\.now\(\)[^;]*\)\s*\.toBe(?:Less|CloseTo)/,
];
const RETRIED = /\bretry: *\d/;

const linesOf = (name: string, isWrong: (line: string) => boolean) =>
  readFileSync(`test/${name}`, 'utf8')
    .split('\n')
    .flatMap((line, index) => (isWrong(line) ? [`test/${name}:${index + 1}: ${line.trim()}`] : []));

const isTimed = (line: string) => TIMED.some((pattern) => pattern.test(line));

it('an upper bound on how long something took is in no test', () => {
  const bound = (measured: string) => `expect(${measured}).toBeLessThan(LIMIT);`;
  expect(['tookMs', 'performance.now() - beganAtMs', 'rows.length'].map(bound).map(isTimed)).toEqual([
    true,
    true,
    false,
  ]);
  expect(files.flatMap((name) => linesOf(name, isTimed))).toEqual([]);
});

it('no test is tried again when it fails', () => {
  expect(files.length).toBeGreaterThan(90);
  expect(files.flatMap((name) => linesOf(name, (line) => RETRIED.test(line)))).toEqual([]);
});
