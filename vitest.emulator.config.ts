/** How `npm run test:emulator` runs: one step after the other, each told with its time, up to the first that fails. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/emulator/**/*.emulator.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    setupFiles: ['test/support/each-file.ts'],
    pool: 'forks',
    env: { LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'silent' },
    // Deployments and the schedule's minute; whatever waits has a shorter bound of its own.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 60_000 } },
    bail: 1,
    fileParallelism: false,
    reporters: ['verbose'],
  },
});
