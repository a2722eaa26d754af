/** A PostgreSQL or a Pushgateway process of a test's own; the reaper ends it when the test's process dies. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inject, onTestFinished } from 'vitest';
import { claimRun } from '../../infra/local/processes/run.ts';
import { findFreePort } from '../../infra/local/servers/ports.ts';
import { startPostgres } from '../../infra/local/servers/postgres.ts';
import { startPushgateway } from '../../infra/local/servers/pushgateway.ts';
import type { StartContext } from '../../infra/local/servers/start-context.ts';

type OwnContext = {
  readonly context: StartContext;
  readonly port: number;
  readonly stateDir: string;
  release(): void;
};

async function claimContext(name: string): Promise<OwnContext> {
  const port = await findFreePort();
  const stateDir = join(inject('servers').stateDir, `${name}-${process.pid}-${port}`);
  const run = await claimRun({ stateDir });
  const release = () => {
    run.release();
    rmSync(stateDir, { recursive: true, force: true });
  };
  return {
    context: { run, signal: new AbortController().signal, report: () => {} },
    port,
    stateDir,
    release,
  };
}

/** Until the test is finished; `undo`s are done in the order of their last one first. */
async function ownContext(name: string): Promise<OwnContext> {
  const own = await claimContext(name);
  onTestFinished(own.release);
  return own;
}

/** With roles of its own: those of the tests' server are shared by all its databases. The URL is a superuser's. */
export async function startOwnPostgres(): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const { context, port, release } = await claimContext('postgres');
  const server = await startPostgres(context, port);
  return {
    url: server.url,
    async stop() {
      await server.process.stop();
      release();
    },
  };
}

/** The URL of one that the rest of the run does not push to. */
export async function startOwnPushgateway(): Promise<string> {
  const { context, port } = await ownContext('pushgateway');
  const server = await startPushgateway(context, port);
  onTestFinished(() => server.process.stop());
  return server.url;
}

/** The URL of an empty one that is in recovery, as a standby is: it has the rows of when it was the primary. */
export async function startStandby(): Promise<string> {
  const { context, port, stateDir } = await ownContext('postgres');
  const primary = await startPostgres(context, port);
  await primary.process.stop();
  writeFileSync(join(stateDir, 'postgres', 'standby.signal'), '');
  const standby = await startPostgres(context, port);
  onTestFinished(() => standby.process.stop());
  return standby.url;
}
