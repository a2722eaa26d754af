/** The rules, read by the real Prometheus: it takes them, and the alerts fire when they must. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { canRunTools, findTools, monitoringDir, orWhyNot, type Tools } from './monitoring-tools.ts';
import { claimTestRun, type TestRun } from './test-run.ts';

const configFile = join(monitoringDir, 'config/prometheus/prometheus.yml');

function countRules(): number {
  const text = readFileSync(join(monitoringDir, 'config/prometheus/prewarm.rules.yml'), 'utf8');
  return parse(text).groups.flatMap(({ rules }: { rules: unknown[] }) => rules).length;
}

describe.skipIf(!canRunTools)(`promtool${orWhyNot}`, () => {
  let run: TestRun;
  let tools: Tools;

  beforeAll(async () => {
    run = await claimTestRun('promtool');
    tools = await findTools(run);
  });
  afterAll(() => run.end());

  it('finds nothing wrong with the configuration and its rules', async () => {
    const told = await tools.run('promtool', ['check', 'config', configFile]);

    expect(told).toContain(`SUCCESS: ${countRules()} rules found`);
  });

  it('sees every alert fire when it must, and only then', async () => {
    const told = await tools.run('promtool', [
      'test',
      'rules',
      join(monitoringDir, 'prewarm.rules.test.yml'),
    ]);

    expect(told).toContain('SUCCESS');
  });
});
