/** How the tests run: `npm test` leaves out the files that are long or need tools, `npm run test:all` (`--mode all`) runs all of them. */
import { defineConfig } from 'vitest/config';

/** Told to the tests in SCHEDULES, where nobody has set it: how many random schedules are tried. */
const SCHEDULES = { test: '1000', all: '10000' };

export default defineConfig(({ mode }) => {
  const isAll = mode === 'all';
  return {
    test: {
      include: isAll ? ['test/**/*.test.ts'] : ['test/**/!(*.long).test.ts'],
      globalSetup: ['test/support/global-setup.ts'],
      pool: 'forks',
      // Most tests wait for a timer or for another process: more of them than there are processors.
      maxWorkers: 4,
      // Bounds against hanging, not expectations: many times what a test takes on a machine with nothing else to do.
      testTimeout: 120_000,
      hookTimeout: 120_000,
      expect: { poll: { timeout: 60_000 } },
      env: {
        // Expected failures are logged by the code under test; LOG_LEVEL=info shows the lines.
        LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'silent',
        SCHEDULES: process.env['SCHEDULES'] ?? SCHEDULES[isAll ? 'all' : 'test'],
      },
      setupFiles: ['test/support/quiet-logs.ts'],
    },
  };
});
