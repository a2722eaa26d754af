/** What a synthesis of `npm start` leaves behind when it fails; what it makes is tested where it runs, in `test/e2e`. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, inject, it } from 'vitest';
import { synthesise } from '../../../../infra/local/synthesise.ts';

const addresses = {
  redisUrl: 'redis://127.0.0.1:6390',
  databaseUrl: 'postgres://127.0.0.1:5490/prewarm',
  pushgatewayUrl: 'http://127.0.0.1:9490',
  jwksUri: 'http://127.0.0.1:3490/jwks',
};

let dir: string;
let outDir: string;
beforeEach(() => {
  dir = mkdtempSync(join(inject('servers').stateDir, 'synthesise-'));
  outDir = join(dir, 'cdk.out');
  mkdirSync(outDir);
  writeFileSync(join(outDir, 'manifest.json'), '{}');
});
afterEach(() => rmSync(dir, { recursive: true }));

it('a synthesis that fails says in one line where the log is, which has the cause', async () => {
  const failed = synthesise({ addresses: { ...addresses, redisUrl: '' }, outDir });

  await expect(failed).rejects.toThrow(/^The CDK app could not be synthesised; [^\n]*cdk\.out\.log$/);
  expect(readFileSync(`${outDir}.log`, 'utf8')).toContain('The context "redisUrl" must be a text');
  expect(existsSync(join(outDir, 'manifest.json'))).toBe(true);
});

it('a synthesis that is aborted leaves the previous assembly as it was and no draft', async () => {
  await expect(synthesise({ addresses, outDir, signal: AbortSignal.abort() })).rejects.toThrow();

  expect(existsSync(join(outDir, 'manifest.json'))).toBe(true);
  expect(readdirSync(dir).sort()).toEqual(['cdk.out', 'cdk.out.log']);
});
