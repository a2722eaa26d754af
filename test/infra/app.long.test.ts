/** The CDK app as the command line runs it: every stage synthesises without an account, and a wrong one is named. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, it } from 'vitest';
import cdkJson from '../../cdk.json' with { type: 'json' };

const run = promisify(execFile);
const dir = mkdtempSync(join(tmpdir(), 'prewarm-app-'));

afterAll(() => rmSync(dir, { recursive: true }));

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

/** Each synthesis is a process of its own, as for the command line. */
const LONG = { timeout: 60_000 };

it('a deployed stage passes every rule without an account', LONG, async () => {
  expect(await synthesise('prod', 'prod')).toContain('nodejs24.x');
});

it(
  'the default stage is local, for an emulator only, and two syntheses have two releases',
  LONG,
  async () => {
    const releaseOf = (template: string) => /"ReleaseId": "([^"]+)"/.exec(template)?.[1];

    const first = releaseOf(await synthesise('first'));

    expect(first).toBeDefined();
    expect(releaseOf(await synthesise('second'))).not.toBe(first);
    const manifest = JSON.parse(readFileSync(join(dir, 'first', 'manifest.json'), 'utf8'));
    expect(manifest.artifacts['prewarm-local'].environment).toBe('aws://000000000000/us-east-1');
  },
);

it('an unknown stage is an error that names the known ones', LONG, async () => {
  await expect(synthesise('unknown', 'staging')).rejects.toThrow(
    'There is no stage "staging": pass --context stage=local|dev|prod|adopted',
  );
});
