/** The CDK app as the command line runs it: a deployed stage and the default one synthesise without an account. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import cdkJson from '../../cdk.json' with { type: 'json' };

const run = promisify(execFile);
const dir = mkdtempSync(join(tmpdir(), 'prewarm-app-'));

afterAll(() => rmSync(dir, { recursive: true }));

/** In a process of its own, as for the command line. */
async function synthesise(outDir: string, stage?: string): Promise<string> {
  const context = { ...cdkJson.context, 'aws:cdk:bundling-stacks': [], ...(stage && { stage }) };
  const env = {
    PATH: process.env['PATH'],
    CDK_CONTEXT_JSON: JSON.stringify(context),
    CDK_OUTDIR: join(dir, outDir),
  };
  await run(process.execPath, ['infra/main.ts'], { env });
  return readFileSync(join(dir, outDir, `prewarm-${stage ?? 'local'}.template.json`), 'utf8');
}

let first: string;

beforeAll(async () => {
  first = await synthesise('first');
});

it('a deployed stage passes every rule without an account', async () => {
  expect(await synthesise('prod', 'prod')).toContain('nodejs24.x');
});

it('the default stage is local, for an emulator only', () => {
  const manifest = JSON.parse(readFileSync(join(dir, 'first', 'manifest.json'), 'utf8'));
  expect(manifest.artifacts['prewarm-local'].environment).toBe('aws://000000000000/us-east-1');
});

it('two syntheses have two releases', async () => {
  const releaseOf = (template: string) => /"ReleaseId": "([^"]+)"/.exec(template)?.[1];
  expect(releaseOf(first)).toBeDefined();
  expect(releaseOf(await synthesise('second'))).not.toBe(releaseOf(first));
});
