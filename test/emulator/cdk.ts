/** The CDK command line against the emulator: the real one, with a home, credentials and output folders of its own. */
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Run } from '../../infra/local/processes/run.ts';
import { leaveOutRefused, stackName } from './assembly.ts';
import { emulatorAccount, emulatorCredentials, emulatorRegion } from './aws-api.ts';
import { collectOutput } from './collect-output.ts';
import { type Emulator, pathWithThisNode } from './emulator.ts';

export type Cdk = {
  bootstrap(): Promise<void>;
  /** Synthesises anew and deploys. Rejects with what the command line said. */
  deploy(options?: DeployOptions): Promise<Deployed>;
  destroy(): Promise<void>;
};

type DeployOptions = {
  /** @default - this project */
  readonly projectDir?: string;
};

export type Deployed = {
  readonly assemblyDir: string;
  readonly outputs: Readonly<Record<string, string>>;
};

type CdkOptions = {
  readonly emulator: Emulator;
  readonly run: Run;
  readonly context: Readonly<Record<string, string>>;
};

/** Several times what each takes on two cores, 4 to 10 s. */
const TIMEOUT_MS = 120_000;
const LINES_SHOWN = 30;

const project = fileURLToPath(new URL('../..', import.meta.url));
const program = join(dirname(createRequire(import.meta.url).resolve('aws-cdk/package.json')), 'bin', 'cdk');

export function createCdk({ emulator, run, context }: CdkOptions): Cdk {
  const home = join(run.stateDir, 'cdk');
  mkdirSync(join(home, 'tmp'), { recursive: true });
  const execute = (args: readonly string[], cwd = project) =>
    executeCdk(args, { cwd, env: environment(emulator.endpoint, home), run });
  let deployments = 0;
  return {
    // In a folder without an app, because it has nothing to do with one: here it would be synthesised into its usual folder.
    bootstrap: () => execute(['bootstrap', `aws://${emulatorAccount}/${emulatorRegion}`], home),
    async deploy({ projectDir = project } = {}) {
      deployments += 1;
      const assemblyDir = join(home, `assembly-${deployments}`);
      const outputsFile = join(home, `outputs-${deployments}.json`);
      await execute(['synth', '--quiet', '--output', assemblyDir, ...contextArgs(context)], projectDir);
      leaveOutRefused(assemblyDir);
      await execute([
        ...['deploy', stackName, '--app', assemblyDir, '--require-approval', 'never'],
        ...['--outputs-file', outputsFile],
      ]);
      return { assemblyDir, outputs: readOutputs(outputsFile) };
    },
    destroy: () => execute(['destroy', stackName, '--app', join(home, 'assembly-1'), '--force']),
  };
}

function contextArgs(context: Readonly<Record<string, string>>): string[] {
  return Object.entries(context).flatMap(([name, value]) => ['--context', `${name}=${value}`]);
}

/** No credentials, no settings and no caches of the machine; nothing is looked up and nothing is told about this run. */
function environment(endpoint: string, home: string): NodeJS.ProcessEnv {
  return {
    PATH: pathWithThisNode(),
    HOME: home,
    TMPDIR: join(home, 'tmp'),
    CI: 'true', // lines instead of a progress bar
    AWS_ENDPOINT_URL: endpoint,
    AWS_ENDPOINT_URL_S3: endpoint,
    AWS_ACCESS_KEY_ID: emulatorCredentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: emulatorCredentials.secretAccessKey,
    AWS_REGION: emulatorRegion,
    AWS_EC2_METADATA_DISABLED: 'true',
    CDK_VALIDATION: 'false', // half of a synthesis; `npm run synth` and the tests check the template's rules
    CDK_DISABLE_CLI_TELEMETRY: 'true',
    CDK_DISABLE_VERSION_CHECK: 'true',
  };
}

async function executeCdk(
  args: readonly string[],
  { cwd, env, run }: { cwd: string; env: NodeJS.ProcessEnv; run: Run },
): Promise<void> {
  const command = [program, ...args, '--no-notices', '--no-version-reporting'];
  const options = { cwd, env, timeoutMs: TIMEOUT_MS, watcher: run };
  const { exitCode, output } = await collectOutput(process.execPath, command, options);
  if (exitCode === 0) return;
  const said = output.trim().split('\n').slice(-LINES_SHOWN).join('\n');
  throw new Error(`cdk ${args[0]} ended with exit code ${exitCode}:\n${said}`);
}

function readOutputs(file: string): Record<string, string> {
  return (JSON.parse(readFileSync(file, 'utf8')) as Record<string, Record<string, string>>)[stackName] ?? {};
}
