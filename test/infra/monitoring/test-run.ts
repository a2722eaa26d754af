/** The record of the processes that a test file starts, so that they end with it. */
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { inject } from 'vitest';
import { claimRun, type Run } from '../../../infra/local/processes/run.ts';
import '../../support/global-setup.ts'; // the type of what it provides

export type TestRun = Run & { end(): void };

export async function claimTestRun(name: string): Promise<TestRun> {
  const stateDir = join(inject('servers').stateDir, `${name}-${process.pid}`);
  mkdirSync(dirname(stateDir), { recursive: true });
  const run = await claimRun({ stateDir });
  return {
    ...run,
    end() {
      run.kill();
      run.release();
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
}
