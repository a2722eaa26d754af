/**
 * The stage `local`, deployed by the real CDK command line to an AWS emulator and called over HTTP: CloudFormation's order,
 * custom resources, roles, the authorizer, EventBridge. What the emulator does not do is told and asserted at the end, with
 * the test of the local runner that covers it; a newer emulator that does it makes that test fail, and the test can move up.
 */
import { cpSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ControlServer, startControlServer } from '../../infra/local/control-server.ts';
import {
  type Identity,
  loadOrCreateIdentity,
  signToken,
  type TokenClaims,
} from '../../infra/local/identity.ts';
import { claimRun, type Run } from '../../infra/local/processes/run.ts';
import { seed } from '../../infra/local/sample-users/seed.ts';
import type { WarmupReport } from '../../shared/warming/report.ts';
import { type ApiCall, callApi, REFUSED_TOKENS } from '../support/api-call.ts';
import { type IsolatedServers, isolatedServers } from '../support/servers.ts';
import { administer, withDatabase } from '../support/test-servers.ts';
import { logicalIdOf, logicalIdOfType, readTemplate, stackName, usageKeyOf } from './assembly.ts';
import { type AwsApi, awsApi, emulatorAccount, emulatorRegion } from './aws-api.ts';
import { type Cdk, createCdk, type Deployed } from './cdk.ts';
import { type Emulator, startEmulator } from './emulator.ts';

const LOCK = 'cache:warmup:lock';
const REPORTS = 'prewarm:{warmup}:reports';
const ALL_SCOPES = 'users:read cache:admin';
const TRACE_ID = /^[0-9a-f-]{36}$/;
const WARMED_WITHIN_MS = 20_000;
/** The schedule's minute, and a run that takes its time: 10 s on two idle cores. */
const SCHEDULED_WITHIN_MS = 120_000;

const project = fileURLToPath(new URL('../..', import.meta.url));
/** Of an emulator that somebody else runs nobody knows what it does not do. */
const hasOwnEmulator = !process.env['AWS_ENDPOINT_URL'];

let run: Run;
let servers: IsolatedServers;
let databaseUrl: string;
let control: ControlServer;
let identity: Identity;
let emulator: Emulator;
let aws: AwsApi;
let cdk: Cdk;
let redis: Redis;
let database: pg.Client;
let deployed: Deployed;

beforeAll(async () => {
  run = await claimRun({ stateDir: mkdtempSync(join(inject('servers').stateDir, 'emulator-')) });
  servers = await isolatedServers({ seeded: false });
  databaseUrl = await createEmptyDatabase();
  identity = await loadOrCreateIdentity(run.stateDir);
  control = await startControlServer({ jwks: identity.jwks });
  emulator = await startEmulator(run, (step) => process.stderr.write(`${step}\n`));
  aws = awsApi(emulator.endpoint);
  cdk = createCdk({ emulator, run, context: describeContext() });
  redis = new Redis(servers.redisUrl);
  database = new pg.Client({ connectionString: databaseUrl });
  await database.connect();
});

/** The servers' own folder, in which all of this is, is removed when they stop. */
afterAll(async () => {
  await emulator?.stop();
  await control?.close();
  redis?.disconnect();
  await database?.end();
  await servers?.dispose();
  run?.release();
});

/** Dropped, by its name, when the servers stop. */
async function createEmptyDatabase(): Promise<string> {
  const { adminDatabaseUrl, runId } = inject('servers');
  const name = `prewarm_test_${runId}_emulator`;
  await administer(adminDatabaseUrl, (client) => client.query(`CREATE DATABASE ${name}`));
  return withDatabase(adminDatabaseUrl, name);
}

function describeContext() {
  const { redisUrl, pushgatewayUrl } = servers;
  return { redisUrl, databaseUrl, pushgatewayUrl, jwksUri: control.jwksUri, warmEveryMinutes: '1' };
}

type Call = Omit<ApiCall, 'bearer'> & {
  readonly token?: string | null;
  readonly claims?: TokenClaims;
  /** Of the client whose API key is sent; null sends none. */
  readonly keyOf?: string | null;
};

async function call(path: string, { token, claims, keyOf, headers, ...rest }: Call = {}) {
  const bearer = token === undefined ? await signToken(identity, { scope: ALL_SCOPES, ...claims }) : token;
  const client = keyOf === undefined ? (claims?.client ?? 'default') : keyOf;
  return callApi(`${apiUrl()}${path}`, {
    ...rest,
    bearer,
    headers: { ...usageKeyHeader(client), ...headers },
  });
}

/** The address of the output is a name of AWS; every emulator knows the API under this path. */
function apiUrl(): string {
  const id = /\/\/([^.]+)\.execute-api\./.exec(deployed.outputs['ApiUrl'] ?? '')?.[1];
  return `${emulator.endpoint}/restapis/${id}/live/_user_request_`;
}

/** Needed for as long as ministack takes keys from callers only (see the last part). */
function usageKeyHeader(client: string | null): Record<string, string> {
  return client === null ? {} : { 'x-api-key': usageKeyOf(readTemplate(deployed.assemblyDir), client) };
}

/** Newest first. */
async function readReports(): Promise<WarmupReport[]> {
  return (await redis.zrevrange(REPORTS, 0, -1)).map((text) => JSON.parse(text) as WarmupReport);
}

async function reportOf(traceId: string | undefined): Promise<WarmupReport | undefined> {
  return (await readReports()).find((report) => report.traceId === traceId);
}

/** A warm-up by hand is refused while one runs. */
async function untilNothingIsWarmed(): Promise<void> {
  await expect.poll(() => redis.get(LOCK), { timeout: WARMED_WITHIN_MS }).toBeNull();
}

async function physicalId(logicalId: string): Promise<string> {
  const parameters = { StackName: stackName, LogicalResourceId: logicalId };
  const xml = await aws.query('cloudformation', 'DescribeStackResources', parameters);
  return /<PhysicalResourceId>([^<]+)</.exec(xml)?.[1] ?? `no resource for ${logicalId}`;
}

function functionNameOf(folder: string): Promise<string> {
  return physicalId(logicalIdOf(readTemplate(deployed.assemblyDir), folder));
}

/** Off while nothing waits for it: its runs would hold the lock while other tests want it. */
async function switchSchedule(action: 'EnableRule' | 'DisableRule'): Promise<void> {
  const rule = await physicalId(logicalIdOfType(readTemplate(deployed.assemblyDir), 'AWS::Events::Rule'));
  await aws.json({ service: 'events', action: `AWSEvents.${action}` }, { Name: rule });
}

describe('deployments', () => {
  it('have an account to go to: it is bootstrapped', async () => {
    await cdk.bootstrap();
    // The bucket for assets refuses plain HTTP, which is all that is spoken here.
    const bucket = `cdk-hnb659fds-assets-${emulatorAccount}-${emulatorRegion}`;
    await aws.call('s3', { path: `/${bucket}?policy`, method: 'DELETE' });
  });

  it('migrate an empty database before anything else, and warm what is there, which is nothing', async () => {
    deployed = await cdk.deploy();
    await switchSchedule('DisableRule');

    const { rows } = await database.query('SELECT name FROM prewarm_migrations ORDER BY name');
    expect(rows.map(({ name }) => name)).toEqual(readdirSync(join(project, 'shared/postgres/migrations')));
    await expect
      .poll(async () => (await readReports())[0], { timeout: WARMED_WITHIN_MS })
      .toMatchObject({ trigger: 'deploy', status: 'success', warmed: 0 });
  });

  it('warm the cache also when nothing has changed in the code, under the traceId of their output', async () => {
    const [before] = await readReports();
    const { count } = await seedUsers();
    deployed = await cdk.deploy();

    const traceId = deployed.outputs['WarmupTraceId'];
    expect(traceId).not.toBe(before?.traceId);
    await expect
      .poll(() => reportOf(traceId), { timeout: WARMED_WITHIN_MS })
      .toMatchObject({ trigger: 'deploy', status: 'success', warmed: expect.any(Number), failed: 0 });
    expect((await reportOf(traceId))?.warmed).toBeGreaterThanOrEqual(Math.min(count, 20_000));
  });
});

async function seedUsers(): Promise<{ count: number }> {
  await seed(databaseUrl);
  const { rows } = await database.query('SELECT count(*)::int AS count FROM users');
  return rows[0];
}

describe('reads', () => {
  it('of a top user are answered by the cache from the first one on', async () => {
    const { rows } = await database.query('SELECT id FROM users ORDER BY follower_count DESC, id LIMIT 1');
    const { status, headers, json } = await call(`/users/${rows[0].id}`);
    expect({ status, id: json.id }).toEqual({ status: 200, id: Number(rows[0].id) });
    expect(headers.get('x-cache')).toMatch(/^(hydrated|l1|l2)$/);
    expect(headers.get('x-trace-id')).toMatch(TRACE_ID);
    expect(headers.get('cache-control')).toBe('no-store');
  });

  it('of a user whom nobody reads come from Postgres once and then from a cache', async () => {
    const { rows } = await database.query('SELECT id FROM users ORDER BY follower_count, id LIMIT 1');
    const layers: (string | null)[] = [];
    for (let read = 0; read < 3; read++) {
      layers.push((await call(`/users/${rows[0].id}`)).headers.get('x-cache'));
    }
    expect(layers).toEqual(['miss', expect.stringMatching(/^l[12]$/), expect.stringMatching(/^l[12]$/)]);
  });

  it('of several users keep their order and name those that do not exist', async () => {
    const { json } = await call('/users?ids=3,30000,1');
    expect(json.items.map((user: { id: number }) => user.id)).toEqual([3, 1]);
    expect(json.missing).toEqual([30_000]);
  });

  it('by search go from page to page', async () => {
    const first = await call('/users/search?q=ann&limit=3');
    const second = await call(`/users/search?q=ann&limit=3&cursor=${first.json.nextCursor}`);
    const ids = [...first.json.items, ...second.json.items].map((user: { id: number }) => user.id);
    expect(new Set(ids).size).toBe(6);
  });

  it.each([
    ['/users/30000', 404],
    ['/users/abc', 400],
    ['/users/search?q=x', 400],
  ])('of %s are answered with a problem of status %d', async (path, status) => {
    const answer = await call(path);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.json).toMatchObject({ status, traceId: answer.headers.get('x-trace-id') });
  });

  it('of an unknown path are answered 404, as the gateway response says', async () => {
    const answer = await call('/nothing');
    expect(answer.status).toBe(404);
    expect(answer.json).toMatchObject({ status: 404, title: 'Not Found' });
  });
});

describe('without the right token', () => {
  it.each(REFUSED_TOKENS)('%s is answered 401, and told how to authenticate', async (_, options) => {
    const answer = await call('/users/1', options);
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toContain('Bearer');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.json).toMatchObject({ status: 401, traceId: expect.stringMatching(TRACE_ID) });
  });

  it('a token without the scope is answered 403 by the function', async () => {
    const reader = await call('/admin/status', { claims: { scope: 'users:read' } });
    expect(reader.status).toBe(403);
    expect(reader.json.detail).toContain('cache:admin');
    expect((await call('/users/1', { claims: { scope: 'cache:admin' } })).status).toBe(403);
  });

  it('the health is told all the same', async () => {
    const { status, json } = await call('/health', { token: null, keyOf: null });
    expect({ status, json }).toEqual({ status: 200, json: { status: 'ok', redis: true, postgres: true } });
  });
});

describe('the schedule', () => {
  it('starts a warm-up every minute when the stage says so', async () => {
    await switchSchedule('EnableRule');
    await expect
      .poll(async () => (await readReports())[0], { timeout: SCHEDULED_WITHIN_MS, interval: 500 })
      .toMatchObject({ trigger: 'schedule', warmed: expect.any(Number) });
    await switchSchedule('DisableRule');
    expect((await readReports())[0]?.warmed).toBeGreaterThan(0);
  });
});

describe('admins', () => {
  const oncall = (sub: string): TokenClaims => ({ client: 'oncall', sub });

  it('see the last warm-ups, the totals and Redis', async () => {
    const { status, json } = await call('/admin/status', { claims: oncall('status') });
    expect(status).toBe(200);
    expect(json.redis).toMatchObject({ available: true });
    expect(json.warmup.lastReports.map(({ trigger }: WarmupReport) => trigger)).toEqual(
      expect.arrayContaining(['deploy', 'schedule']),
    );
  });

  it('start a warm-up and get its report when they wait for it', async () => {
    await untilNothingIsWarmed();
    const { status, headers, json } = await call('/admin/warm-up', {
      method: 'POST',
      claims: oncall('waits'),
      headers: { prefer: 'wait=20' },
    });
    expect(status).toBe(200);
    expect(json).toMatchObject({ trigger: 'manual', status: 'success', traceId: headers.get('x-trace-id') });
  });

  it('start a warm-up and go on, with the traceId under which it runs', async () => {
    await untilNothingIsWarmed();
    const { status, json } = await call('/admin/warm-up', { method: 'POST', claims: oncall('goes on') });
    expect(status).toBe(202);
    await expect
      .poll(() => reportOf(json.traceId), { timeout: WARMED_WITHIN_MS })
      .toMatchObject({ trigger: 'manual', status: 'success' });
  });

  it('clear the cache: what was cached before is not answered a second later', async () => {
    await call('/users/77');
    await database.query("UPDATE users SET display_name = 'Changed' WHERE id = 77");
    expect((await call('/admin/clear', { method: 'POST', claims: oncall('clears') })).status).toBe(200);
    await expect
      .poll(async () => (await call('/users/77')).json.displayName, { timeout: 1_000 })
      .toBe('Changed');
  });

  it('are limited exactly by the function, per subject', async () => {
    const statuses: number[] = [];
    for (let calls = 0; calls < 3; calls++) {
      const answer = await call('/admin/clear', { method: 'POST', claims: { client: 'ci', sub: 'hasty' } });
      statuses.push(answer.status);
    }
    expect(statuses).toEqual([200, 200, 429]);
  });
});

describe('monitoring', () => {
  it("has the requirement's metrics in the Pushgateway", async () => {
    const metrics = [
      'cache_warmup_duration_seconds',
      'cache_warmup_status',
      'cache_hits_total',
      'cache_misses_total',
      'cache_keys_warmed',
      'redis_memory_usage_bytes',
    ].map((name) => expect.stringMatching(new RegExp(`^${name}\\{[^}]*\\} \\d`, 'm')));
    const scrape = async () => {
      await call('/users/1'); // what was counted travels with later reads, at most every 15 s
      return (await fetch(`${servers.pushgatewayUrl}/metrics`)).text();
    };
    for (const metric of metrics) {
      await expect.poll(scrape, { timeout: 20_000, interval: 500 }).toEqual(metric);
    }
  });

  it('finds one JSON object with a traceId on every line that the functions have logged', async () => {
    for (const folder of ['read', 'warmer', 'migrate', 'deployment-hook']) {
      const lines = await readLog(folder);
      expect(lines.length, folder).toBeGreaterThan(0);
      for (const line of lines) expect(JSON.parse(line)).toMatchObject({ traceId: expect.any(String) });
    }
  });
});

type LogEvents = { readonly events: readonly { readonly message: string }[] };

/** What a function has written to its own log group, without the lines of the platform. */
async function readLog(folder: string): Promise<string[]> {
  const { LoggingConfig } = await configurationOf(folder);
  const { events } = await aws.json<LogEvents>(
    { service: 'logs', action: 'Logs_20140328.FilterLogEvents' },
    { logGroupName: LoggingConfig.LogGroup },
  );
  return events
    .map(({ message }) => message.trim())
    .filter((line) => !/^(START|END|REPORT) RequestId: /.test(line));
}

type Configuration = { readonly LoggingConfig: { readonly LogGroup: string }; readonly Role: string };

async function configurationOf(folder: string): Promise<Configuration> {
  const path = `/2015-03-31/functions/${await functionNameOf(folder)}/configuration`;
  return JSON.parse(await aws.call('lambda', { path }));
}

describe('a deployment that goes wrong', () => {
  /** Under which IAM refuses what the stack allows. */
  async function denyInvocations(roleName: string): Promise<void> {
    const statement = { Effect: 'Deny', Action: 'lambda:InvokeFunction', Resource: '*' };
    await aws.query('iam', 'PutRolePolicy', {
      RoleName: roleName,
      PolicyName: 'refused',
      PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [statement] }),
    });
  }

  it.runIf(hasOwnEmulator)('because its hook may not start the warmer, is done all the same', async () => {
    const roleName = (await configurationOf('deployment-hook')).Role.split('/').at(-1) ?? '';
    await denyInvocations(roleName);
    const before = await readReports();

    deployed = await cdk.deploy();

    await aws.query('iam', 'DeleteRolePolicy', { RoleName: roleName, PolicyName: 'refused' });
    const log = await readLog('deployment-hook');
    expect(log.at(-1)).toContain('could not start a warm-up');
    expect((await readReports()).map(({ traceId }) => traceId)).toEqual(before.map(({ traceId }) => traceId));
    expect((await call('/users/1')).status).toBe(200);
  });

  it('because a migration fails, is stopped, and leaves the database and the API as they were', async () => {
    const before = { database: await describeDatabase(), functions: await listCode() };

    await expect(cdk.deploy({ projectDir: copyProjectWithBrokenMigration() })).rejects.toThrow(
      '9999_broken.sql',
    );

    expect(await describeDatabase()).toEqual(before.database);
    expect(await listCode()).toEqual(before.functions);
    expect(await stackStatus()).toBe('UPDATE_ROLLBACK_COMPLETE');
    expect((await call('/users/1')).status).toBe(200);
    expect((await call('/admin/status', { claims: { sub: 'after' } })).status).toBe(200);
  });
});

/** A good migration before the broken one: nothing of it may stay. */
function copyProjectWithBrokenMigration(): string {
  const copy = join(run.stateDir, 'broken');
  for (const name of ['infra', 'functions', 'shared', 'cdk.json']) {
    cpSync(join(project, name), join(copy, name), { recursive: true });
  }
  const migrations = join(copy, 'shared/postgres/migrations');
  writeFileSync(join(migrations, '9998_good.sql'), 'CREATE TABLE left_behind (id integer);');
  writeFileSync(join(migrations, '9999_broken.sql'), 'ALTER TABLE no_such_table ADD COLUMN late integer;');
  return copy;
}

async function describeDatabase(): Promise<unknown[]> {
  const tables = await database.query(
    "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2",
  );
  const migrations = await database.query('SELECT name, checksum FROM prewarm_migrations ORDER BY name');
  return [...tables.rows, ...migrations.rows];
}

type FunctionCode = { readonly FunctionName: string; readonly CodeSha256: string };

async function listFunctions(): Promise<FunctionCode[]> {
  const { Functions } = JSON.parse(await aws.call('lambda', { path: '/2015-03-31/functions/' }));
  return (Functions as FunctionCode[]).filter(({ FunctionName }) => FunctionName.startsWith(stackName));
}

async function listCode(): Promise<string[]> {
  return (await listFunctions())
    .map(({ FunctionName, CodeSha256 }) => `${FunctionName} ${CodeSha256}`)
    .sort();
}

async function stackStatus(): Promise<string | undefined> {
  const xml = await aws.query('cloudformation', 'DescribeStacks', { StackName: stackName });
  return /<StackStatus>([^<]+)</.exec(xml)?.[1];
}

/** Elsewhere an event may wait for the five minutes that the stack allows it. */
describe.runIf(hasOwnEmulator)('a warm-up that cannot start', () => {
  it('ends in the queue for a person to look at', async () => {
    const warmer = await functionNameOf('warmer');
    const queueUrl = await physicalId(logicalIdOfType(readTemplate(deployed.assemblyDir), 'AWS::SQS::Queue'));
    await untilNothingIsWarmed();
    await limitConcurrency(warmer, 0);

    const { status } = await call('/admin/warm-up', { method: 'POST', claims: { sub: 'in vain' } });

    expect(status).toBe(202);
    await expect.poll(() => countMessages(queueUrl), { timeout: 10_000 }).toBe(1);
    await limitConcurrency(warmer, 2);
  });
});

async function limitConcurrency(functionName: string, containers: number): Promise<void> {
  await aws.call('lambda', {
    path: `/2017-10-31/functions/${functionName}/concurrency`,
    method: 'PUT',
    body: JSON.stringify({ ReservedConcurrentExecutions: containers }),
  });
}

async function countMessages(queueUrl: string): Promise<number> {
  const { Attributes } = await aws.json<{ Attributes: Record<string, string> }>(
    { service: 'sqs', action: 'AmazonSQS.GetQueueAttributes' },
    { QueueUrl: queueUrl, AttributeNames: ['ApproximateNumberOfMessages'] },
  );
  return Number(Attributes['ApproximateNumberOfMessages']);
}

describe.runIf(hasOwnEmulator)('ministack does not', () => {
  it('take the usage key from the authorizer: callers need x-api-key (covered by e2e/api, "limits")', async () => {
    expect((await call('/users/1', { keyOf: null })).status).toBe(403);
  });

  it('enforce a usage plan’s limits of a method (covered by e2e/api, "limits")', async () => {
    const statuses: number[] = [];
    for (const sub of ['one', 'two', 'three']) {
      const answer = await call('/admin/clear', { method: 'POST', claims: { client: 'console', sub } });
      statuses.push(answer.status);
    }
    expect(statuses).toEqual([200, 200, 200]); // API Gateway allows a client two
  });

  it('write access logs (their format is asserted by infra/rest-api)', async () => {
    const { logGroups } = await aws.json<{ logGroups: { logGroupName: string; storedBytes: number }[] }>(
      { service: 'logs', action: 'Logs_20140328.DescribeLogGroups' },
      {},
    );
    const accessLogs = logGroups.filter(({ logGroupName }) => logGroupName.includes('AccessLogs'));
    expect(accessLogs.map(({ storedBytes }) => storedBytes)).toEqual([0]);
  });

  it('take alarms over several metrics, which the suite leaves out (they are asserted by infra/service-stack)', async () => {
    await aws.query('cloudformation', 'CreateStack', {
      StackName: 'alarm-probe',
      TemplateBody: JSON.stringify({ Resources: { Alarm: alarmOverMetrics } }),
    });
    await expect
      .poll(() => aws.query('cloudformation', 'DescribeStackEvents', { StackName: 'alarm-probe' }))
      .toContain('(metric math) is not supported');
  });
});

const alarmOverMetrics = {
  Type: 'AWS::CloudWatch::Alarm',
  Properties: {
    ComparisonOperator: 'GreaterThanThreshold',
    EvaluationPeriods: 1,
    Threshold: 1,
    Metrics: [{ Id: 'one', Expression: '1' }],
  },
};

describe('the end', () => {
  it('is a stack that is gone with its functions, its schedule and its API', async () => {
    const url = apiUrl();
    await cdk.destroy();

    expect(await listFunctions()).toEqual([]);
    const { Rules } = await aws.json<{ Rules: object[] }>(
      { service: 'events', action: 'AWSEvents.ListRules' },
      {},
    );
    expect(Rules).toEqual([]);
    expect((await fetch(`${url}/health`)).status).toBe(404);
  });

  it('leaves the data where it is', async () => {
    const { rows } = await database.query('SELECT count(*)::int AS count FROM users');
    expect(rows[0].count).toBeGreaterThan(0);
  });
});
