/** The real Prometheus and Alertmanager with the files that are deployed, and the scripts by the shell of the images. */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import {
  type ServerProcess,
  startProcess,
  waitUntilReady,
} from '../../../infra/local/processes/processes.ts';
import { findFreePort } from '../../../infra/local/servers/ports.ts';
import { canRunTools, findTools, monitoringDir, orWhyNot, type Tools } from './monitoring-tools.ts';
import { claimTestRun, type TestRun } from './test-run.ts';

type Credentials = Record<string, string>;

const slack = { SLACK_URL: 'https://hooks.slack.example.com/services/secret' };
const pagerDuty = { PAGERDUTY_ROUTING_KEY: 'secret' };
const email = {
  SMTP_SMARTHOST: 'smtp.example.org:587',
  SMTP_USERNAME: `it's "AKIA" & co. | \\1`,
  SMTP_PASSWORD: 'secret',
  EMAIL_FROM: 'prewarm@example.org',
  EMAIL_TO: 'oncall@example.org',
};

/** Bounds against hanging: the machine may be busy. */
const readyMs = 60_000;
const answerMs = 10_000;

describe.skipIf(!canRunTools)(`the monitoring${orWhyNot}`, () => {
  let run: TestRun;
  let tools: Tools;
  /** A copy, whose intervals are a test's. */
  let configDir: string;

  beforeAll(async () => {
    run = await claimTestRun('monitoring');
    tools = await findTools(run);
    configDir = join(run.stateDir, 'config');
    cpSync(join(monitoringDir, 'config'), configDir, { recursive: true });
  });
  afterAll(() => run.end());

  function edit(file: string, ...changes: [string, string][]): void {
    const path = join(configDir, file);
    const text = readFileSync(path, 'utf8');
    for (const [from] of changes) expect(text).toContain(from);
    writeFileSync(
      path,
      changes.reduce((edited, [from, to]) => edited.replaceAll(from, to), text),
    );
  }

  async function start(name: string, command: string, args: string[], env: Credentials = {}, port = 0) {
    const server = startProcess(run, { name, command, args, env: { ...tools.env, ...env } });
    await waitUntilReady(server, () => get(`http://127.0.0.1:${port}/-/ready`), { deadlineMs: readyMs });
    return server;
  }

  describe('Alertmanager’s start', () => {
    /** Alertmanager itself is replaced by a program that keeps what it was given: the configuration is what is looked at. */
    async function startWith(env: Credentials): Promise<{ config: string; told: string }> {
      const folder = join(run.stateDir, `alertmanager-${Math.random()}`);
      mkdirSync(join(folder, 'tmp'), { recursive: true });
      writeFileSync(join(folder, 'alertmanager'), '#!/bin/sh\nenv\n', { mode: 0o755 });
      const told = await tools.run('sh', [join(configDir, 'alertmanager/start.sh')], {
        ...env,
        PATH: `${folder}:${tools.env['PATH']}`,
        TMPDIR: join(folder, 'tmp'),
      });
      const [own] = readdirSync(join(folder, 'tmp'));
      return { config: join(folder, 'tmp', own ?? '', 'alertmanager.yml'), told };
    }

    it.each([
      ['no credentials', {}, []],
      ['credentials that are not filled in', { SLACK_URL: 'none', PAGERDUTY_ROUTING_KEY: '' }, []],
      ['Slack', slack, ['slack']],
      ['PagerDuty', pagerDuty, ['pagerduty']],
      ['mail', email, ['email']],
      ['mail without a sender', { ...email, EMAIL_FROM: 'none' }, []],
      ['all of them', { ...slack, ...pagerDuty, ...email }, ['slack', 'email', 'pagerduty']],
    ])(
      'with %s makes a configuration that Alertmanager takes, with these receivers only',
      async (_, env, kinds) => {
        const { config } = await startWith(env);
        const text = readFileSync(config, 'utf8');

        expect(await tools.run('amtool', ['check-config', config])).toContain('SUCCESS');
        expect([...text.matchAll(/(\w+)_configs:/g)].map(([, kind]) => kind)).toEqual(kinds);
      },
    );

    it('keeps keys out of the configuration and of the environment, in files for itself only', async () => {
      const { config, told } = await startWith({ ...slack, ...pagerDuty, ...email });
      const files = readdirSync(join(config, '..'));

      expect(readFileSync(config, 'utf8')).not.toContain('secret');
      expect(told).not.toContain('secret');
      expect(files.sort()).toEqual([
        'alertmanager.yml',
        'pagerduty-routing-key',
        'slack-url',
        'smtp-password',
      ]);
      expect(readFileSync(join(config, '../slack-url'), 'utf8')).toBe(slack.SLACK_URL);
    });

    it('takes addresses as they are, whatever signs are in them', async () => {
      const { config } = await startWith(email);

      const shown = await tools.run('amtool', ['config', 'routes', 'show', `--config.file=${config}`]);

      expect(shown).toContain('receiver: team');
      expect(readFileSync(config, 'utf8')).toContain(`auth_username: 'it''s "AKIA" & co. | \\1'`);
    });

    it.each([
      ['critical', 'on-call,team'],
      ['warning', 'team'],
    ])('routes what is %s to %s', async (severity, receivers) => {
      const { config } = await startWith({});

      const routed = await tools.run('amtool', [
        ...['config', 'routes', 'test', `--config.file=${config}`],
        `severity=${severity}`,
      ]);

      expect(routed.trim()).toBe(receivers);
    });
  });

  describe('Alertmanager', () => {
    let hook: Server;
    let messages: Promise<string>;
    let server: ServerProcess;

    beforeAll(async () => {
      const received = Promise.withResolvers<string>();
      messages = received.promise;
      hook = createServer(async (request, response) => {
        let body = '';
        for await (const chunk of request) body += chunk;
        response.end('ok');
        received.resolve(body);
      });
      await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
    });
    afterAll(async () => {
      await server?.stop();
      await new Promise((resolve) => hook.close(resolve));
    });

    it('tells Slack of an alert, with its stage and its entry in the runbook', async () => {
      edit('alertmanager/alertmanager.yml', ['group_wait: 30s', 'group_wait: 0s']);
      const port = await findFreePort();
      const data = join(run.stateDir, 'alertmanager-data');
      server = await start(
        'Alertmanager',
        join(run.stateDir, 'programs/sh'),
        [
          join(configDir, 'alertmanager/start.sh'),
          `--storage.path=${data}`,
          `--web.listen-address=127.0.0.1:${port}`,
          '--cluster.listen-address=',
        ],
        { SLACK_URL: `http://127.0.0.1:${(hook.address() as AddressInfo).port}/hook`, TMPDIR: run.stateDir },
        port,
      );

      const alert = {
        labels: { alertname: 'PrewarmWarmUpMissing', severity: 'critical', stage: 'prod' },
        annotations: { summary: 'No warm-up.', runbook_url: 'docs/runbook.md#prewarmwarmupmissing' },
      };
      await fetch(`http://127.0.0.1:${port}/api/v2/alerts`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify([alert]),
      });

      expect(await messages).toContain('[firing] PrewarmWarmUpMissing (prod)');
      expect(await messages).toContain('No warm-up. docs/runbook.md#prewarmwarmupmissing');
    });
  });

  describe('Prometheus', () => {
    const job = `prewarm-test-${process.pid}`;
    let url: string;
    /** Nobody's: what the rules make of the tests' metrics is told to no one. */
    let alertmanager: string;
    let server: ServerProcess;

    beforeAll(async () => {
      const { pushgatewayUrl } = inject('servers');
      await fetch(new URL(`/metrics/job/${job}`, pushgatewayUrl), {
        method: 'PUT',
        body: 'cache_warmup_status 1\n',
      });
      alertmanager = `127.0.0.1:${await findFreePort()}`;
      edit(
        'prometheus/prometheus.yml',
        ['127.0.0.1:9093', alertmanager],
        ['127.0.0.1:9091', new URL(pushgatewayUrl).host],
        ['_interval: 15s', '_interval: 1s'],
      );
      const port = await findFreePort();
      url = `http://127.0.0.1:${port}`;
      server = await start(
        'Prometheus',
        join(run.stateDir, 'programs/prometheus'),
        [
          `--config.file=${join(configDir, 'prometheus/prometheus.yml')}`,
          `--storage.tsdb.path=${join(run.stateDir, 'history')}`,
          '--storage.tsdb.retention.time=30d',
          '--storage.tsdb.retention.size=2GB',
          `--web.listen-address=127.0.0.1:${port}`,
        ],
        { STAGE: 'test' },
        port,
      );
    });
    afterAll(async () => {
      await server?.stop();
      await fetch(new URL(`/metrics/job/${job}`, inject('servers').pushgatewayUrl), { method: 'DELETE' });
    });

    const query = async (expr: string) =>
      JSON.parse(await get(`${url}/api/v1/query?${new URLSearchParams({ query: expr })}`));

    it('reads from the Pushgateway what was pushed, under the job that it was pushed with', async () => {
      await expect
        .poll(async () => (await query(`cache_warmup_status{job="${job}"}`)).data.result.length)
        .toBe(1);
    });

    it('knows where Alertmanager is', async () => {
      const { data } = JSON.parse(await get(`${url}/api/v1/alertmanagers`));

      expect(data.activeAlertmanagers).toEqual([{ url: `http://${alertmanager}/api/v2/alerts` }]);
    });

    it('understands every query of the dashboard', async () => {
      const text = readFileSync(join(configDir, 'grafana/dashboards/prewarm.json'), 'utf8');
      const { panels } = JSON.parse(text) as { panels: { targets: { expr: string }[] }[] };
      const queries = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));

      for (const expr of queries)
        expect(await query(expr.replaceAll('$__rate_interval', '1m'))).toMatchObject({ status: 'success' });
    });
  });

  describe('a history', () => {
    const setAside = (data: string) => tools.run('sh', [join(configDir, 'prometheus/set-aside.sh'), data]);

    /** As Prometheus leaves it when it is killed: with a log of what is not yet in a block. */
    async function writeHistory(name: string): Promise<string> {
      const data = join(run.stateDir, name);
      const port = await findFreePort();
      const config = join(run.stateDir, 'empty.yml');
      writeFileSync(config, 'scrape_configs: []\n');
      const server = await start(
        name,
        join(run.stateDir, 'programs/prometheus'),
        [`--config.file=${config}`, `--storage.tsdb.path=${data}`, `--web.listen-address=127.0.0.1:${port}`],
        {},
        port,
      );
      process.kill(server.pid, 'SIGKILL');
      await server.exited;
      rmSync(join(data, 'lock'), { force: true });
      return data;
    }

    it('is left alone when Prometheus can open it, and when there is none', async () => {
      const data = await writeHistory('readable');
      const before = readdirSync(data);

      await setAside(data);
      await setAside(join(run.stateDir, 'no-such-folder'));

      expect(readdirSync(data)).toEqual(before);
    });

    it('is moved aside when Prometheus cannot open it, and Prometheus starts', async () => {
      const data = await writeHistory('unreadable');
      writeFileSync(join(data, 'wal/00000009'), 'not the next segment');
      const open = async () => {
        const port = await findFreePort();
        const args = [
          `--config.file=${join(run.stateDir, 'empty.yml')}`,
          `--storage.tsdb.path=${data}`,
          `--web.listen-address=127.0.0.1:${port}`,
        ];
        const server = await start('opened', join(run.stateDir, 'programs/prometheus'), args, {}, port);
        await server.stop();
      };
      await expect(open()).rejects.toThrow();

      await setAside(data);

      expect(readdirSync(data)).toEqual(['unreadable']);
      expect(readdirSync(join(data, 'unreadable'))).toContain('wal');
      await open();
    });
  });
});

async function get(url: string): Promise<string> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(answerMs) });
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`);
  return answer.text();
}
