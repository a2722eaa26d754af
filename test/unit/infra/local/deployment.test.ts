/** The behaviour of infra/local/deployment.ts, with a stage that does what the test says. */
import { expect, it } from 'vitest';
import { deploy } from '../../../../infra/local/deployment.ts';
import type { LocalStage } from '../../../../infra/local/stage.ts';
import { createTerminal } from '../../../../infra/local/terminal.ts';

type Listener = Parameters<LocalStage['onInvocation']>[0];

/** A stage with one custom resource, whose function is in `folder`; the warm-up then ends as `done` says. */
function fakeStage(folder: string, create: () => Promise<void>, done: object = {}) {
  const listeners = new Set<Listener>();
  const stage: LocalStage = {
    url: '',
    async deploy(around) {
      await around?.(folder, create);
      for (const listener of listeners)
        listener({
          functionName: 'w',
          folder: 'warmer',
          payload: { trigger: 'deploy' },
          durationMs: 1,
          ...done,
        });
    },
    onInvocation(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    stop: async () => {},
  };
  return { stage, listeners };
}

function start(stage: LocalStage, isExternal: boolean) {
  const written: string[] = [];
  const terminal = createTerminal({ write: (text: string) => written.push(text) });
  const deployed = deploy({
    stage,
    terminal,
    databaseUrl: 'postgres://127.0.0.1:1/none',
    isExternal,
    seeds: true,
  });
  return { written, deployed };
}

it.each([
  [true, 'Name an empty database in DATABASE_URL, or one that Prewarm migrated.'],
  [false, 'Or begin again: npm start -- --fresh makes new data.'],
])('a migration that fails says what to do (DATABASE_URL: %s)', async (isExternal, wayOut) => {
  const reason = 'Migration 0001_users.sql: relation "users" already exists';
  const { stage } = fakeStage('migrate', () => Promise.reject(new Error(reason)));
  const { deployed, written } = start(stage, isExternal);

  await expect(deployed).rejects.toThrow(`The database could not be migrated: ${reason}. ${wayOut}`);
  expect(written).toEqual([]);
});

it('a warm-up that fails is told, is no step that was done, and nobody listens on', async () => {
  const { stage, listeners } = fakeStage('deployment-hook', async () => {}, { error: 'no connection' });
  const { deployed, written } = start(stage, false);

  expect(await deployed).toBe('The warm-up failed: no connection');
  expect(written).toEqual([expect.stringMatching(/^✓ Deployment hook/)]);
  expect(listeners.size).toBe(0);
});

it('a warm-up that warmed is a step that was done', async () => {
  const result = {
    traceId: 't',
    trigger: 'deploy',
    status: 'partial',
    durationMs: 1,
    steps: [],
    planned: 2,
    warmed: 1,
  };
  const { stage } = fakeStage('deployment-hook', async () => {}, { result });
  const { deployed, written } = start(stage, false);

  expect(await deployed).toContain('1 of 2 keys warmed');
  expect(written.at(-1)).toMatch(/^✓ Warm-up/);
});
