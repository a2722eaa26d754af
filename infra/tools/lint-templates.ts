/** `npm run lint:templates`: synthesises every stage and checks its templates with cfn-lint; any finding is a failure. */
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { draftOf, removeDeadDrafts } from '../local/drafts.ts';
import { describeError, StartError } from '../local/start-error.ts';
import { listenForStop } from '../local/stop-request.ts';
import { stageNames } from '../stages/index.ts';
import { collectOutput } from './collect-output.ts';
import { preparePythonTool } from './python-tools.ts';

/** Rules that are not asked, each with its reason. */
const IGNORED_RULES: Readonly<Record<string, string>> = {
  W3005: 'CDK names dependencies that a reference implies as well; twice is no harm.',
};

const SYNTHESIS_TIMEOUT_MS = 120_000;
const LINT_TIMEOUT_MS = 120_000;

const projectDir = fileURLToPath(new URL('../..', import.meta.url));
const outDir = join(projectDir, '.prewarm', 'linted');

const stop = listenForStop(() => process.exit(1));
try {
  await lintAll();
} catch (error) {
  process.stderr.write(`${describeError(error)}\n`);
  process.exitCode = 1;
}

async function lintAll(): Promise<void> {
  const python = await preparePythonTool('cfn-lint', { report: say, signal: stop.signal });
  const dir = draftOf(outDir);
  removeDeadDrafts(join(projectDir, '.prewarm'));
  mkdirSync(dir, { recursive: true });
  try {
    const templates: string[] = [];
    for (const stage of stageNames)
      templates.push(...(await timed(`Synthesis of ${stage}`, () => synthesise(stage, dir))));
    await timed(`cfn-lint of ${templates.length} templates`, () => lint(python, dir, templates));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Without an account and without bundles: a template does not depend on what is in them. */
async function synthesise(stage: string, dir: string): Promise<string[]> {
  const { context } = JSON.parse(readFileSync(join(projectDir, 'cdk.json'), 'utf8')) as { context: object };
  const env = {
    PATH: process.env['PATH'],
    HOME: dir, // CDK keeps a cache there
    TMPDIR: dir,
    CDK_CONTEXT_JSON: JSON.stringify({ ...context, 'aws:cdk:bundling-stacks': [], stage }),
    CDK_OUTDIR: join(dir, stage),
    CDK_VALIDATION: 'false', // the tests synthesise with CDK's own rules
  };
  await run(process.execPath, ['infra/main.ts'], { cwd: projectDir, env, timeoutMs: SYNTHESIS_TIMEOUT_MS });
  const names = readdirSync(join(dir, stage), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.template.json')).map((name) => join(dir, stage, name));
}

/** In a folder of its own, and with it as HOME, so that no settings of the machine count. */
async function lint(python: string, dir: string, templates: readonly string[]): Promise<void> {
  const args = ['--non-zero-exit-code', 'informational', '--format', 'parseable'];
  const program = 'import sys; from cfnlint.runner import main; sys.exit(main())';
  const ignored = ['--ignore-checks', ...Object.keys(IGNORED_RULES)];
  await run(python, ['-c', program, ...args, ...ignored, '--template', ...templates], {
    cwd: dir,
    env: { PATH: process.env['PATH'], HOME: dir },
    timeoutMs: LINT_TIMEOUT_MS,
  });
}

type RunOptions = { readonly cwd: string; readonly env: NodeJS.ProcessEnv; readonly timeoutMs: number };

/** What a command that fails has said is shown. */
async function run(command: string, args: readonly string[], options: RunOptions): Promise<void> {
  const { exitCode, output } = await collectOutput(command, args, { ...options, signal: stop.signal });
  if (exitCode === 0) return;
  say(output.trim());
  throw new StartError('The templates have findings, or could not be made: see above.');
}

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const result = await work();
  say(`${what}: ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  return result;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
