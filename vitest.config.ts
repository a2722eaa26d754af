/** How the tests run: `npm test` leaves out the files that are long or need tools, `npm run test:all` (`--mode all`) runs all of them. */
import { defineConfig } from 'vitest/config';

/** How many random schedules are tried, where SCHEDULES does not say: 10,000 of all, in two files. */
const SCHEDULES = { test: '1000', all: '5000' };

export default defineConfig(({ mode }) => {
  const isAll = mode === 'all';
  const files = (folder: string) => `${folder}/**/${isAll ? '*' : '!(*.long)'}.test.ts`;
  const templates = [files('test/infra')];
  const units = [files('test/unit')];
  return {
    test: {
      globalSetup: ['test/support/global-setup.ts'],
      pool: 'forks',
      // Most tests wait for a timer or for another process: more of them than there are processors.
      maxWorkers: 4,
      projects: [
        {
          extends: true,
          test: { name: 'product', include: [files('test')], exclude: [...templates, ...units] },
        },
        // A process for each file would take most of their time; what a test of these changes, it puts back.
        { extends: true, test: { name: 'units', include: units, isolate: false } },
        // Each worker synthesises the stages once, for all its files: fewer workers do it less often.
        {
          extends: true,
          test: {
            name: 'templates',
            include: templates,
            isolate: false,
            maxWorkers: 2,
            sequence: { groupOrder: 1 },
          },
        },
      ],
      // Bounds against hanging, not expectations: many times what a test takes on a machine with nothing else to do.
      testTimeout: 120_000,
      hookTimeout: 120_000,
      expect: { poll: { timeout: 60_000 } },
      env: {
        // Expected failures are logged by the code under test; LOG_LEVEL=info shows the lines.
        LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'silent',
        SCHEDULES: process.env['SCHEDULES'] ?? SCHEDULES[isAll ? 'all' : 'test'],
      },
      setupFiles: ['test/support/each-file.ts'],
    },
  };
});
