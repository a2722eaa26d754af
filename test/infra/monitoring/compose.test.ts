/** The compose file: Compose takes it, it opens nothing to the network, and it runs what is deployed. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { runCommand } from '../../../infra/local/processes/command.ts';
import { findProgram } from '../../../infra/local/servers/postgres-user.ts';
import { images } from '../../../infra/monitoring/images.ts';
import { claimTestRun, isDebian12, type TestRun, unpack } from './debian-tools.ts';
import { projectDir } from './monitoring-tools.ts';

type Service = {
  readonly image: string;
  readonly profiles?: string[];
  readonly ports?: string[];
  readonly volumes?: string[];
  readonly network_mode?: string;
  readonly environment?: Record<string, string>;
  readonly mem_limit?: string;
  readonly restart?: string;
  readonly healthcheck?: { test: string[]; retries: number };
};

const file = join(projectDir, 'docker-compose.localstack.yml');
const compose: { services: Record<string, Service>; volumes: Record<string, null> } = parse(
  readFileSync(file, 'utf8'),
  { merge: true },
);
const services = Object.entries(compose.services);

describe('the compose file', () => {
  it('has the emulators by their profiles, and the rest always', () => {
    const profiles = services.map(([name, { profiles: own = [] }]) => [name, own]);

    expect(Object.fromEntries(profiles)).toEqual({
      valkey: [],
      postgres: [],
      pushgateway: [],
      prometheus: [],
      alertmanager: [],
      grafana: [],
      ministack: ['ministack'],
      localstack: ['localstack'],
    });
  });

  it('runs the images that are deployed', () => {
    for (const [name, image] of Object.entries(images)) expect(compose.services[name]?.image).toBe(image);
  });
});

describe.each(services)('the service %s', (_, service) => {
  it('is of an exact version', () => {
    expect(service.image).toMatch(/:v?\d+\.\d+\.\d+(-alpine)?$|:\d+\.\d+-alpine$/);
  });

  it('listens on loopback only', () => {
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
    if (service.network_mode === 'host')
      expect(service.environment).toMatchObject({ BIND_HOST: '127.0.0.1', IOT_MTLS_ENABLED: '0' });
  });

  it('says when it is ready, has a bound, and does not come back by itself', () => {
    expect(service.healthcheck?.test.length).toBeGreaterThan(1);
    expect(service.mem_limit).toMatch(/^\d+[mg]$/);
    expect(service.restart).toBe('no');
  });

  it('mounts what is there: files of the project, read only, and named volumes', () => {
    for (const mount of service.volumes ?? []) {
      const [source = '', , mode] = mount.split(':');
      if (source.startsWith('./')) {
        expect(existsSync(join(projectDir, source))).toBe(true);
        expect(mode).toBe('ro');
      } else if (source !== '/var/run/docker.sock') expect(Object.keys(compose.volumes)).toContain(source);
    }
  });
});

/** Compose 1.29 of Debian 12 is a Python program, and these are what it imports. */
const pythonDir = 'usr/lib/python3/dist-packages';
const pythonPackages = {
  'docker-compose': 'compose',
  'python3-attr': 'attr',
  'python3-cached-property': 'cached_property.py',
  'python3-certifi': 'certifi',
  'python3-chardet': 'chardet',
  'python3-distro': 'distro',
  'python3-docker': 'docker',
  'python3-dockerpty': 'dockerpty',
  'python3-docopt': 'docopt.py',
  'python3-dotenv': 'dotenv',
  'python3-idna': 'idna',
  'python3-jsonschema': 'jsonschema',
  'python3-pyrsistent': 'pyrsistent',
  'python3-requests': 'requests',
  'python3-six': 'six.py',
  'python3-texttable': 'texttable.py',
  'python3-urllib3': 'urllib3',
  'python3-websocket': 'websocket',
  'python3-yaml': 'yaml',
};

const python = findProgram('python3', process.env['PATH'] ?? '');
const canRunCompose = isDebian12 && python !== undefined;
const orWhyNot = canRunCompose ? '' : ' (skipped: needs Debian 12, to unpack it from, and python3)';

describe.skipIf(!canRunCompose)(`Compose${orWhyNot}`, () => {
  let run: TestRun;
  let pythonPath: string;

  beforeAll(async () => {
    run = await claimTestRun('compose');
    const wanted = Object.entries(pythonPackages).map(([name, path]) => ({
      package: name,
      file: `${pythonDir}/${path}`,
    }));
    const unpacked = await unpack(run, wanted);
    pythonPath = unpacked.map(({ home }) => join(home, pythonDir)).join(':');
  }, 120_000);
  afterAll(() => run.end());

  function callCompose(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
    return runCommand(python ?? '', ['-m', 'compose', '-f', file, ...args], {
      timeoutMs: 15_000,
      env: { PATH: process.env['PATH'], PYTHONPATH: pythonPath, ...env },
      watcher: run,
    });
  }

  it.each(['ministack', 'localstack'])('takes the profile %s', async (profile) => {
    const shown = parse(await callCompose(['--profile', profile, 'config']));

    expect(Object.keys(shown.services).sort()).toEqual(services.map(([name]) => name).sort());
  });

  it('hands on the keys of the environment, and needs none', async () => {
    const without = parse(await callCompose(['config'])).services;
    const keys = { LOCALSTACK_AUTH_TOKEN: 'token', SLACK_URL: 'https://hooks.slack.example.com/x' };
    const given = parse(await callCompose(['config'], keys)).services;

    expect(without.alertmanager.environment.SLACK_URL).toBe('none');
    expect(given.alertmanager.environment.SLACK_URL).toBe(keys.SLACK_URL);
    expect(given.localstack.environment.LOCALSTACK_AUTH_TOKEN).toBe('token');
  });
});
