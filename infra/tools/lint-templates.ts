/** `npm run lint:templates`: synthesises every stage and checks its templates with cfn-lint; any finding is a failure. */
import { execFileSync } from 'node:child_process';
import { globSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import cdkJson from '../../cdk.json' with { type: 'json' };
import { draftOf, removeDeadDrafts } from '../local/drafts.ts';
import { stageNames } from '../stages/index.ts';
import { preparePythonTool } from './python-tools.ts';

const PROGRAM = 'import sys; from cfnlint.runner import main; sys.exit(main())';
/** W3005 is not asked for: CDK names dependencies that a reference implies as well; twice is no harm. */
const ARGS = '--non-zero-exit-code informational --format parseable --ignore-checks W3005 --template'.split(
  ' ',
);
const TIMEOUT_MS = 120_000;

const projectDir = fileURLToPath(new URL('../..', import.meta.url));
const { PATH } = process.env;

try {
  await lintAll();
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}

async function lintAll(): Promise<void> {
  const python = await preparePythonTool('cfn-lint', { report: say });
  removeDeadDrafts(join(projectDir, '.prewarm'));
  const dir = draftOf(join(projectDir, '.prewarm', 'linted'));
  mkdirSync(dir, { recursive: true });
  try {
    for (const stage of stageNames) synthesise(stage, dir);
    const templates = globSync('**/*.template.json', { cwd: dir });
    // In a folder of its own, and with it as HOME, so that no settings of the machine count.
    const options = { cwd: dir, env: { PATH, HOME: dir } };
    run(`cfn-lint of ${templates.length} templates`, python, ['-c', PROGRAM, ...ARGS, ...templates], options);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Without an account and without bundles: a template does not depend on what is in them. */
function synthesise(stage: string, dir: string): void {
  const context = { ...cdkJson.context, 'aws:cdk:bundling-stacks': [], stage };
  const env = {
    PATH,
    HOME: dir, // CDK keeps a cache there
    TMPDIR: dir,
    CDK_CONTEXT_JSON: JSON.stringify(context),
    CDK_OUTDIR: join(dir, stage),
    CDK_VALIDATION: 'false', // the tests synthesise with CDK's own rules
  };
  run(`Synthesis of ${stage}`, process.execPath, ['infra/main.ts'], { cwd: projectDir, env });
}

type RunOptions = { readonly cwd: string; readonly env: NodeJS.ProcessEnv };

/** What the command says is shown as it comes. */
function run(what: string, command: string, args: readonly string[], options: RunOptions): void {
  const startedAt = performance.now();
  try {
    execFileSync(command, args, { ...options, stdio: ['ignore', 'inherit', 'inherit'], timeout: TIMEOUT_MS });
  } catch (cause) {
    throw new Error(`${what} has findings, or could not be done: see above.`, { cause });
  }
  say(`${what}: ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
