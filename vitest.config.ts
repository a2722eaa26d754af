/** How the tests run: real servers are started once, and every file gets databases of its own. */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    pool: 'forks',
    testTimeout: 20_000,
    hookTimeout: 60_000,
    // How soon something happens is what some tests are about, and say; the others wait for a busy machine.
    expect: { poll: { timeout: 5_000 } },
    // Expected failures are logged by the code under test; LOG_LEVEL=info shows the lines.
    env: { LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'silent' },
    setupFiles: ['test/support/quiet-logs.ts'],
  },
});
