/** A deployment on this machine: migrations, sample users, deployment hook and the warm-up that it starts, each told as a step. */
import type { WarmupReport } from '../../shared/warming/report.ts';
import { formatReport } from '../smoke-test/warmup.ts';
import { seed } from './sample-users/seed.ts';
import type { LocalStage } from './stage.ts';
import { describeError, FRESH_DATA, StartError } from './start-error.ts';
import type { Terminal } from './terminal.ts';
import { within } from './time-limit.ts';

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
export async function deploy(options: DeploymentOptions): Promise<string> {
  const { stage, terminal, databaseUrl, isExternal, seeds } = options;
  const warmup = listenForWarmup(stage);
  try {
    await stage.deploy(async (folder, create) => {
      if (folder !== 'migrate')
        return await terminal.run('Deployment hook, which waits for the warm-up', create);
      await terminal.run('Migrations', () => create().catch((error) => failMigration(error, isExternal)));
      if (seeds) await terminal.run('Sample users', () => seed(databaseUrl));
    });
    // Only what warmed something is a step that was done.
    const late = `The warm-up has not reported within ${WARMUP_WAIT_MS / 1000} s; the functions' log says why.`;
    const step = () =>
      within(WARMUP_WAIT_MS, warmup.warmed, () => {
        throw new Error(late);
      });
    return await terminal.run('Warm-up', step).catch((cold: Error) => cold.message);
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

/** Begins before the deployment, which starts the warm-up and does not wait for it. Rejects, with what to tell, when it warmed nothing. */
function listenForWarmup(stage: LocalStage): { warmed: Promise<string>; stop(): void } {
  const { promise: warmed, resolve, reject } = Promise.withResolvers<string>();
  warmed.catch(() => {}); // it may fail before anybody waits for it
  const stop = stage.onInvocation(({ folder, payload, result, error }) => {
    const { trigger } = (payload ?? {}) as { trigger?: string };
    if (folder !== 'warmer' || trigger !== 'deploy') return;
    if (error !== undefined) return reject(new Error(`The warm-up failed: ${error}`));
    const report = result as WarmupReport;
    if (report.status === 'success' || report.status === 'partial') resolve(formatReport(report));
    else reject(new Error(formatReport(report)));
  });
  return { warmed, stop };
}
