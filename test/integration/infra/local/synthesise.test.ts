/** The synthesis that `npm start` does: the whole app with its real bundles, read back as the local runner reads it. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { synthesise } from '../../../../infra/local/synthesise.ts';
import { type LocalTemplate, readTemplate } from '../../../../infra/local/template/template.ts';

// In the project, as the real folder is: the functions' SDK is found from there.
const stateDir = fileURLToPath(new URL('../../../../.prewarm', import.meta.url));
mkdirSync(stateDir, { recursive: true });
const dir = mkdtempSync(join(stateDir, 'synthesise-'));
const outDir = join(dir, 'cdk.out');
const addresses = {
  redisUrl: 'redis://127.0.0.1:6390',
  databaseUrl: 'postgres://127.0.0.1:5490/prewarm',
  pushgatewayUrl: 'http://127.0.0.1:9490',
  jwksUri: 'http://127.0.0.1:3490/jwks',
};
let template: LocalTemplate;

beforeAll(async () => {
  await synthesise({ addresses, outDir });
  template = readTemplate(outDir);
}, 120_000);

afterAll(() => rmSync(dir, { recursive: true }));

describe('the synthesised local stage', () => {
  it('has a real bundle for each function, with source map, and its addresses', () => {
    const folders = ['admin', 'authorizer', 'deployment-hook', 'migrate', 'read', 'warmer'];

    expect(template.functions.map(({ folder }) => folder).sort()).toEqual(folders);
    for (const { codeDir } of template.functions) {
      expect(readdirSync(codeDir)).toEqual(expect.arrayContaining(['index.mjs', 'index.mjs.map']));
    }
    expect(template.functions.find(({ folder }) => folder === 'read')?.environment).toMatchObject({
      REDIS_URL: addresses.redisUrl,
      DATABASE_URL: addresses.databaseUrl,
      PUSHGATEWAY_URL: addresses.pushgatewayUrl,
    });
  });

  it('carries the migrations beside the function that applies them', () => {
    const migrate = template.functions.find(({ folder }) => folder === 'migrate');

    expect(readdirSync(join(migrate?.codeDir ?? '', 'migrations'))).not.toEqual([]);
  });

  it('leaves the SDK to the runtime and every CDK module out', () => {
    for (const { codeDir } of template.functions) {
      const code = readFileSync(join(codeDir, 'index.mjs'), 'utf8');
      expect(code).not.toMatch(/node_modules\/(@aws-sdk|aws-cdk-lib|constructs)\//);
    }
  });

  it('runs on this machine but for alarms, and what comes after a failed asynchronous invocation', () => {
    const kinds = new Set(template.unsupported.map((what) => what.replace(/^\w+ /, '')));
    expect([...kinds].sort()).toEqual([
      '(AWS::CloudWatch::Alarm)',
      '(AWS::Events::Rule): dead letters',
      '(AWS::Lambda::EventInvokeConfig): destinations, maximum event age',
      '(AWS::Logs::MetricFilter)',
      '(AWS::SNS::Topic)',
      '(AWS::SNS::TopicPolicy)',
      '(AWS::SQS::Queue)',
    ]);
    expect(template.api.routes.filter(({ integration }) => integration.kind === 'unsupported')).toEqual([]);
    expect(template.schedules).toMatchObject([
      { expression: 'rate(30 minutes)', input: { trigger: 'schedule' } },
    ]);
  });

  it('migrates before it runs the deployment hook', () => {
    expect(template.customResources.map(({ type }) => type)).toEqual([
      'Custom::PrewarmMigrations',
      'Custom::PrewarmDeploymentHook',
    ]);
  });
});

describe('a synthesis that fails', () => {
  it('says in one line where the log is, which has the cause', async () => {
    const failed = synthesise({ addresses: { ...addresses, redisUrl: '' }, outDir });

    await expect(failed).rejects.toThrow(/^The CDK app could not be synthesised; [^\n]*cdk\.out\.log$/);
    expect(readFileSync(`${outDir}.log`, 'utf8')).toContain('The context "redisUrl" must be a text');
  });

  it('by being aborted leaves the previous assembly as it was and no draft', async () => {
    await expect(synthesise({ addresses, outDir, signal: AbortSignal.abort() })).rejects.toThrow();

    expect(existsSync(join(outDir, 'manifest.json'))).toBe(true);
    expect(readdirSync(dir).sort()).toEqual(['cdk.out', 'cdk.out.log']);
  });
});
