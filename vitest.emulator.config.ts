/** How `npm run test:emulator` runs: one step after the other, each told with its time, up to the first that fails. */
import { defineConfig } from 'vitest/config';
import base from './vitest.config.ts';

export default defineConfig({
  test: {
    ...base.test,
    include: ['test/emulator/**/*.emulator.ts'],
    // Deployments and the schedule's minute; whatever waits has a shorter bound of its own.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    bail: 1,
    fileParallelism: false,
    reporters: ['verbose'],
  },
});
