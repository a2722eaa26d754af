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

it.concurrent.each(['dev', 'prod'])('the stage %s passes every rule without an account', async (stage) => {
  expect(await synthesise(stage, stage)).toContain('nodejs24.x');
});

it.concurrent('the default stage is local, and two syntheses have two releases', async () => {
  const releaseOf = (template: string) => /"ReleaseId": "([^"]+)"/.exec(template)?.[1];

  const first = releaseOf(await synthesise('first'));

  expect(first).toBeDefined();
  expect(releaseOf(await synthesise('second'))).not.toBe(first);
});

it.concurrent('the stage local can be deployed to an emulator only', async () => {
  await synthesise('account');
  const manifest = JSON.parse(readFileSync(join(dir, 'account', 'manifest.json'), 'utf8'));
  expect(manifest.artifacts['prewarm-local'].environment).toBe('aws://000000000000/us-east-1');
});

it.concurrent('an unknown stage is an error that names the known ones', async () => {
  await expect(synthesise('unknown', 'staging')).rejects.toThrow(
    'There is no stage "staging": pass --context stage=local|dev|prod|adopted',
  );
});
