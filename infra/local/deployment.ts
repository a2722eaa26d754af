/** A deployment on this machine: migrations, sample users, deployment hook and the warm-up that it starts, each told as a step. */
import type { WarmupReport } from '../../shared/warming/report.ts';
import { formatReport } from '../smoke-test/warmup.ts';
import { seed } from './sample-users/seed.ts';
import { FRESH_DATA } from './servers/postgres-data.ts';
import type { LocalStage } from './stage.ts';
import { describeError, StartError } from './start-error.ts';
import type { Terminal } from './terminal.ts';

type DeploymentOptions = {
  readonly stage: LocalStage;
  readonly terminal: Terminal;
  readonly databaseUrl: string;
  /** Whether the database is one that DATABASE_URL names. */
  readonly isExternal: boolean;
  /** Whether the sample users are added, if there is no user. */
  readonly seeds: boolean;
};

const WARMUP_WAIT_MS = 20_000;

/** Resolves to what is to be told of the first warm-up. One that fails is told, and no reason not to serve. */
export async function deploy({
  stage,
  terminal,
  databaseUrl,
  isExternal,
  seeds,
}: DeploymentOptions): Promise<string> {
  const warmup = listenForWarmup(stage);
  try {
    await stage.deploy(async (folder, create) => {
      if (folder !== 'migrate')
        return await terminal.run('Deployment hook, which waits for the warm-up', create);
      await terminal.run('Migrations', () => create().catch((error) => failMigration(error, isExternal)));
      if (seeds) await terminal.run('Sample users', () => seed(databaseUrl));
    });
    return await showWarmup(terminal, warmup.outcome);
  } finally {
    warmup.stop();
  }
}

function failMigration(error: unknown, isExternal: boolean): never {
  const wayOut = isExternal
    ? 'Name an empty database in DATABASE_URL, or one that Prewarm migrated.'
    : `Or begin again: ${FRESH_DATA}`;
  throw new StartError(
    `The database could not be migrated: ${describeError(error).replace(/\.?$/, '.')} ${wayOut}`,
  );
}

type WarmupOutcome = { readonly isWarm: boolean; readonly text: string };

/** Only what warmed something is a step that was done. */
async function showWarmup(terminal: Terminal, outcome: Promise<WarmupOutcome>): Promise<string> {
  try {
    return await terminal.run('Warm-up', async () => {
      const { isWarm, text } = await orLate(outcome);
      if (!isWarm) throw new ColdError(text);
      return text;
    });
  } catch (error) {
    if (error instanceof ColdError) return error.message;
    throw error;
  }
}

class ColdError extends Error {
  override readonly name = 'ColdError';
}

/** Begins before the deployment, which starts the warm-up and does not wait for it. */
function listenForWarmup(stage: LocalStage): { outcome: Promise<WarmupOutcome>; stop(): void } {
  const { promise: outcome, resolve } = Promise.withResolvers<WarmupOutcome>();
  const stop = stage.onInvocation(({ folder, payload, result, error }) => {
    const { trigger } = (payload ?? {}) as { trigger?: string };
    if (folder === 'warmer' && trigger === 'deploy') resolve(describeWarmup(result as WarmupReport, error));
  });
  return { outcome, stop };
}

async function orLate(outcome: Promise<WarmupOutcome>): Promise<WarmupOutcome> {
  const text = `The warm-up has not reported within ${WARMUP_WAIT_MS / 1000} s; the functions' log says why.`;
  const { promise: late, resolve } = Promise.withResolvers<WarmupOutcome>();
  const timer = setTimeout(() => resolve({ isWarm: false, text }), WARMUP_WAIT_MS);
  return await Promise.race([outcome, late]).finally(() => clearTimeout(timer));
}

function describeWarmup(report: WarmupReport, error: string | undefined): WarmupOutcome {
  if (error !== undefined) return { isWarm: false, text: `The warm-up failed: ${error}` };
  return { isWarm: report.status === 'success' || report.status === 'partial', text: formatReport(report) };
}
