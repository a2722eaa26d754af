/** The running API over HTTP, as `npm start` serves it: real bundles, authorizer, limits, Redis, PostgreSQL, Pushgateway. */
import { mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTemplate } from '../../infra/assembly/template.ts';
import { loadOrCreateIdentity, signToken, type TokenClaims } from '../../infra/local/identity.ts';
import type { WarmupReport } from '../../shared/warming/report.ts';
import { type ApiCall, callApi, REFUSED_TOKENS } from '../support/api-call.ts';
import { type RunningStage, startLocalStage } from '../support/local-stage.ts';

const LOCK = 'cache:warmup:lock';

let stage: RunningStage;

beforeAll(async () => {
  stage = await startLocalStage('api-');
});

afterAll(() => stage?.stop());

type Call = Omit<ApiCall, 'bearer'> & { readonly token?: string | null; readonly claims?: TokenClaims };

async function call(path: string, { token, claims, ...rest }: Call = {}) {
  const bearer = token === undefined ? await stage.tokenOf(claims) : token;
  return callApi(`${stage.url}${path}`, { ...rest, bearer });
}

async function topUserId(): Promise<number> {
  const { rows } = await stage.database.query(
    'SELECT id FROM users ORDER BY follower_count DESC, id LIMIT 1',
  );
  return Number(rows[0].id);
}

const TRACE_ID = /^[0-9a-f-]{36}$/;

it('the start prints lines with a token that the API takes, for an hour', async () => {
  const [, token = ''] = /Authorization: Bearer ([\w.-]+)/.exec(stage.runner.output()) ?? [];
  const { iat = 0, exp = 0 } = decodeJwt(token);

  expect(exp - iat).toBe(3600);
  expect((await call('/admin/status', { token })).status).toBe(200);
});

describe('the assembly that was deployed', () => {
  const template = () => readTemplate(join(stage.stateDir, 'cdk.out'));

  it('has a real bundle for each function, with source map, and its addresses', () => {
    const folders = ['admin', 'authorizer', 'deployment-hook', 'migrate', 'read', 'search', 'warmer'];

    expect(
      template()
        .functions.map(({ folder }) => folder)
        .sort(),
    ).toEqual(folders);
    for (const { codeDir } of template().functions) {
      expect(readdirSync(codeDir)).toEqual(expect.arrayContaining(['index.mjs', 'index.mjs.map']));
    }
    expect(template().functions.find(({ folder }) => folder === 'read')?.environment).toMatchObject({
      REDIS_URL: expect.stringMatching(/^redis:\/\/prewarm:[\w-]{32}@127\.0\.0\.1:\d+$/),
      PUSHGATEWAY_URL: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
    });
  });

  it('is closed to other users, who would find addresses with passwords in it', () => {
    expect(statSync(join(stage.stateDir, 'cdk.out')).mode & 0o077).toBe(0);
  });

  it.each([
    ['read', 'prewarm_reader'],
    ['search', 'prewarm_reader'],
    ['admin', 'prewarm_reader'],
    ['warmer', 'prewarm_warmer'],
    ['migrate', 'prewarm'],
  ])('has %s sign in to the database as %s', (folder, user) => {
    const environment = template().functions.find((each) => each.folder === folder)?.environment ?? {};
    expect(new URL(environment['DATABASE_URL'] ?? '').username).toBe(user);
    expect('DATABASE_LOGINS' in environment).toBe(folder === 'migrate');
  });

  it('has its passwords in files that nobody else may read', () => {
    const names = readdirSync(stage.stateDir).filter((name) => name.endsWith('.password'));

    expect(names.sort()).toEqual(
      ['postgres', 'prewarm_reader', 'prewarm_warmer', 'redis'].map((owner) => `${owner}.password`),
    );
    for (const name of [...names, 'redis/users.acl'])
      expect(statSync(join(stage.stateDir, name)).mode & 0o777, name).toBe(0o600);
  });

  it('carries the migrations beside the function that applies them', () => {
    const migrate = template().functions.find(({ folder }) => folder === 'migrate');

    expect(readdirSync(join(migrate?.codeDir ?? '', 'migrations'))).not.toEqual([]);
  });

  it('leaves the SDK to the runtime and every CDK module out', () => {
    for (const { codeDir } of template().functions) {
      const code = readFileSync(join(codeDir, 'index.mjs'), 'utf8');
      expect(code).not.toMatch(/node_modules\/(@aws-sdk|aws-cdk-lib|constructs)\//);
    }
  });

  it('runs on this machine but for alarms, and what comes after a failed asynchronous invocation', () => {
    const kinds = new Set(template().unsupported.map((what) => what.replace(/^\w+ /, '')));
    expect([...kinds].sort()).toEqual([
      '(AWS::CloudWatch::Alarm)',
      '(AWS::Events::Rule): dead letters',
      '(AWS::Lambda::EventInvokeConfig): destinations, maximum event age',
      '(AWS::Logs::MetricFilter)',
      '(AWS::SNS::Topic)',
      '(AWS::SNS::TopicPolicy)',
      '(AWS::SQS::Queue)',
    ]);
    expect(template().api.routes.filter(({ integration }) => integration.kind === 'unsupported')).toEqual([]);
    expect(template().schedules).toMatchObject([
      { expression: 'rate(30 minutes)', input: { trigger: 'schedule' } },
    ]);
  });

  it('migrates before it runs the deployment hook', () => {
    expect(template().customResources.map(({ type }) => type)).toEqual([
      'Custom::PrewarmMigrations',
      'Custom::PrewarmDeploymentHook',
    ]);
  });
});

describe('after the deployment', () => {
  it('a top user is warm at the first read', async () => {
    const id = await topUserId();
    const { status, headers, json } = await call(`/users/${id}`);
    expect(status).toBe(200);
    expect(json).toMatchObject({ id, username: expect.any(String) });
    expect(headers.get('x-cache')).toMatch(/^(hydrated|l1|l2)$/);
    expect(headers.get('x-trace-id')).toMatch(TRACE_ID);
    expect(headers.get('cache-control')).toBe('no-store');
  });

  it("the terminal shows the warm-up's report and three lines that work as pasted", async () => {
    expect(stage.runner.output()).toMatch(/Warm-up success {3}trigger deploy {3}traceId [0-9a-f-]{36}/);
    for (const step of ['database-connection', 'top-users', 'user-search']) {
      expect(stage.runner.output()).toMatch(new RegExp(`${step} +success +\\d+ ms +1`));
    }
    const { execFileSync } = await import('node:child_process');
    const lines = stage.runner
      .output()
      .split('\n')
      .filter((line) => line.startsWith('curl '));
    expect(lines).toHaveLength(3);
    for (const line of lines) {
      expect(execFileSync('sh', ['-c', `${line} -s`], { encoding: 'utf8' })).toContain('HTTP/1.1 200');
    }
  });
});

describe('reads', () => {
  it('of one user come from Postgres once and then from a cache', async () => {
    const { rows } = await stage.database.query('SELECT id FROM users ORDER BY follower_count, id LIMIT 1');
    const layers: (string | null)[] = [];
    for (let read = 0; read < 3; read++) {
      layers.push((await call(`/users/${rows[0].id}`)).headers.get('x-cache'));
    }
    expect(layers).toEqual(['miss', expect.stringMatching(/^l[12]$/), expect.stringMatching(/^l[12]$/)]);
  });

  it('of several users keep their order and name those that do not exist', async () => {
    const { status, json } = await call('/users?ids=3,30000,1');
    expect(status).toBe(200);
    expect(json.items.map((user: { id: number }) => user.id)).toEqual([3, 1]);
    expect(json.missing).toEqual([30_000]);
  });

  it('by search go from page to page', async () => {
    const first = await call('/users/search?q=ann&limit=3');
    const second = await call(`/users/search?q=ann&limit=3&cursor=${first.json.nextCursor}`);
    expect(first.json.items).toHaveLength(3);
    const ids = [...first.json.items, ...second.json.items].map((user: { id: number }) => user.id);
    expect(new Set(ids).size).toBe(6);
  });

  it.each([
    ['/users/30000', 404, {}],
    ['/users/abc', 400, { errors: [{ field: 'id', expected: expect.stringContaining('integer') }] }],
    ['/users?ids=', 400, { detail: 'Missing required request parameters: [ids]' }],
    ['/users/search?q=x', 400, { errors: [{ field: 'q' }] }],
    ['/users/search?q=ann&limit=1000', 400, { errors: [{ field: 'limit' }] }],
    ['/users/search?q=ann&cursor=2147483648-1', 400, { errors: [{ field: 'cursor' }] }],
    ['/nothing', 404, {}],
  ])('of %s are answered with a problem of status %d', async (path, status, facts) => {
    const answer = await call(path);
    expect(answer.status).toBe(status);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.json).toMatchObject({
      status,
      title: expect.any(String),
      detail: expect.any(String),
      traceId: answer.headers.get('x-amzn-requestid'),
      ...facts,
    });
  });
});

describe('without the right token', () => {
  it.each(REFUSED_TOKENS)('%s is answered 401', async (_, options) => {
    const answer = await call('/users/1', options);
    expect(answer.status).toBe(401);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.headers.get('www-authenticate')).toContain('Bearer');
    expect(answer.json.traceId).toMatch(TRACE_ID);
  });

  it('a token signed by somebody else is answered 401', async () => {
    const stranger = await loadOrCreateIdentity(mkdtempSync(join(stage.stateDir, 'stranger-')));
    const token = await signToken(stranger, { scope: 'users:read cache:admin' });
    expect((await call('/users/1', { token })).status).toBe(401);
  });

  it('a token without the scope is answered 403', async () => {
    const reader = await call('/admin/status', { claims: { scope: 'users:read', client: 'console' } });
    expect(reader.status).toBe(403);
    expect(reader.json.detail).toContain('cache:admin');
    expect((await call('/users/1', { claims: { scope: 'cache:admin' } })).status).toBe(403);
  });

  it('the health is told all the same', async () => {
    const { status, json } = await call('/health', { token: null });
    expect({ status, json }).toEqual({ status: 200, json: { status: 'ok', redis: true, postgres: true } });
  });
});

describe('admins', () => {
  const oncall = { client: 'oncall', sub: 'admin-1' };

  it('see the last warm-ups, the totals and Redis', async () => {
    const { status, json } = await call('/admin/status', { claims: oncall });
    expect(status).toBe(200);
    expect(json.redis).toMatchObject({ available: true, memoryUsedBytes: expect.any(Number) });
    expect(json.warmup.lastReports[0]).toMatchObject({ trigger: 'deploy', status: 'success' });
    const names = json.datasets.map(({ name }: { name: string }) => name);
    expect(names).toEqual(expect.arrayContaining(['users', 'user-search']));
  });

  it('start a warm-up and get its report when they wait for it', async () => {
    const { status, headers, json } = await call('/admin/warm-up', {
      method: 'POST',
      claims: oncall,
      headers: { prefer: 'wait=20' },
    });
    expect(status).toBe(200);
    const report = json as WarmupReport;
    expect(report).toMatchObject({
      trigger: 'manual',
      status: 'success',
      traceId: headers.get('x-trace-id'),
    });
    expect(report.planned).toBe(report.warmed + report.skipped + report.failed);
  });

  it('start a warm-up and go on, with the traceId under which it runs', async () => {
    const { status, headers, json } = await call('/admin/warm-up', { method: 'POST', claims: oncall });
    expect(status).toBe(202);
    expect(json).toEqual({ status: 'started', traceId: headers.get('x-trace-id') });
    await expect
      .poll(async () => stage.redis.zrevrange('prewarm:{warmup}:reports', 0, 0))
      .toEqual([expect.stringContaining(json.traceId)]);
  });

  it('are told who holds the lock while a warm-up runs', async () => {
    await expect.poll(() => stage.redis.get(LOCK)).toBeNull();
    await stage.redis.set(LOCK, 'somebody-else', 'EX', 30);
    const { status, json } = await call('/admin/warm-up', {
      method: 'POST',
      claims: { client: 'console', sub: 'admin-2' },
    });
    await stage.redis.del(LOCK);
    expect(status).toBe(409);
    expect(json.holderTraceId).toBe('somebody-else');
  });

  it('clear the cache: what was cached before gives way to what Postgres has', async () => {
    await call('/users/77');
    await stage.database.query("UPDATE users SET display_name = 'Changed' WHERE id = 77");
    const cleared = await call('/admin/clear', { method: 'POST', claims: oncall });
    expect(cleared.status).toBe(200);
    const named = cleared.json.cleared.map(({ dataset }: { dataset: string }) => dataset);
    expect(named).toEqual(expect.arrayContaining(['users', 'user-search']));
    await expect.poll(async () => (await call('/users/77')).json.displayName).toBe('Changed');
  });

  it('clear one user: what was cached before gives way to what Postgres has', async () => {
    await call('/users/78');
    await stage.database.query("UPDATE users SET display_name = 'Changed' WHERE id = 78");
    const cleared = await call('/admin/clear', { method: 'POST', claims: oncall, body: { ids: [78] } });
    expect(cleared.json.cleared).toEqual(
      expect.arrayContaining([
        { dataset: 'users', ids: [78] },
        { dataset: 'user-search', derivedFrom: 'users' },
      ]),
    );
    await expect.poll(async () => (await call('/users/78')).json.displayName).toBe('Changed');
  });
});

describe('limits', () => {
  const limitHeaders = ['retry-after', 'ratelimit', 'ratelimit-policy'];

  async function statuses(times: number, path: string, options: Call) {
    const answers = [];
    for (let count = 0; count < times; count++) answers.push(await call(path, options));
    return answers;
  }

  it.each([
    ['GET', '/admin/status', 5],
    ['POST', '/admin/warm-up', 2],
    ['POST', '/admin/clear', 2],
  ])('%s %s is allowed %d times a minute', async (method, path, limit) => {
    const answers = await statuses(limit + 1, path, { method, claims: { client: 'ci', sub: 'limited' } });
    expect(answers.slice(0, limit).map(({ status }) => status)).not.toContain(429);
    const last = answers.at(-1);
    expect(last?.status).toBe(429);
    expect(last?.headers.get('content-type')).toBe('application/problem+json');
    for (const name of limitHeaders) expect(last?.headers.get(name), name).toBeTruthy();
  });

  it('are not touched by who may not call what they limit', async () => {
    const unknown = { client: 'nobody-knows-me' };
    const reader = { ...unknown, sub: 'reader', scope: 'users:read' };
    const refused = await statuses(5, '/admin/clear', { method: 'POST', claims: reader });
    expect(refused.map(({ status }) => status)).toEqual([403, 403, 403, 403, 403]);
    expect(refused[0]?.headers.get('www-authenticate')).toContain('insufficient_scope');
    expect(refused[0]?.json).toMatchObject({ status: 403, traceId: expect.stringMatching(TRACE_ID) });
    const admin = { ...unknown, sub: 'admin-of-an-unknown-client', scope: 'cache:admin' };
    expect((await call('/admin/clear', { method: 'POST', claims: admin })).status).toBe(200);
  });

  it('count exactly for a subject, whichever client it uses', async () => {
    const sub = 'two-clients';
    const first = await statuses(3, '/admin/status', { claims: { client: 'console', sub } });
    const second = await statuses(3, '/admin/status', { claims: { client: 'oncall', sub } });
    expect([...first, ...second].map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 429]);
    expect(second.at(-1)?.headers.get('ratelimit-policy')).toBe('"status";q=5;w=60');
    expect(second.at(-1)?.headers.get('ratelimit')).toMatch(/^"status";r=0;t=\d+$/);
  });
});

describe('monitoring', () => {
  it("has the requirement's metrics in the Pushgateway", async () => {
    const address = /^Pushgateway +(\S+)$/m.exec(stage.runner.output())?.[1] ?? '';
    const metrics = [
      'cache_warmup_duration_seconds',
      'cache_warmup_status',
      'cache_hits_total',
      'cache_misses_total',
      'cache_keys_warmed',
      'redis_memory_usage_bytes',
    ].map((name) => expect.stringMatching(new RegExp(`^${name}\\{[^}]*\\} \\d`, 'm')));
    const scrape = async () => {
      // What was counted travels with later reads, at most every 15 s.
      await call('/users/1');
      return (await fetch(address)).text();
    };
    for (const metric of metrics) {
      await expect.poll(scrape, { interval: 500 }).toEqual(metric);
    }
  });

  it('finds one JSON object with a traceId on every line of the log', () => {
    const lines = readFileSync(join(stage.stateDir, 'functions.log'), 'utf8').trim().split('\n');
    expect(lines.length).toBeGreaterThan(5);
    for (const line of lines) {
      expect(JSON.parse(line)).toMatchObject({ time: expect.any(String), traceId: expect.any(String) });
    }
  });

  it('finds in it nothing that Redis or Postgres has refused', () => {
    const lines = readFileSync(join(stage.stateDir, 'functions.log'), 'utf8');
    expect(lines).not.toMatch(/NOPERM|permission denied/);
  });
});
