/** A folder of a test's own, and what watches over the processes that work in it: they end with the test, with the file whose hook started them, or when the test's process dies. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { inject } from 'vitest';
import { claimRun } from '../../infra/local/processes/run.ts';
import type { StartContext } from '../../infra/local/servers/start-context.ts';
import { atEnd } from './at-end.ts';
import './global-setup.ts'; // the type of what it provides

export type OwnFolder = {
  readonly context: StartContext;
  readonly path: string;
  /** Ends what still runs in it, and removes it. Can be called twice. */
  remove(): void;
};

let claimed = 0;

export async function claimFolder(kind: string, end = atEnd): Promise<OwnFolder> {
  const path = join(inject('servers').stateDir, `${kind}-${process.pid}-${++claimed}`);
  const run = await claimRun({ stateDir: path });
  let isRemoved = false;
  const remove = () => {
    if (isRemoved) return;
    isRemoved = true;
    run.kill();
    run.release();
    rmSync(path, { recursive: true, force: true });
  };
  end(remove);
  return { context: { run, signal: new AbortController().signal, report: () => {} }, path, remove };
}
