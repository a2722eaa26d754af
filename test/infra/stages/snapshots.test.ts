/**
 * Every stack of production as one file: what a change does to a deployment is seen in its diff. After a change that is
 * meant: `npx vitest run test/infra/stages/snapshots.test.ts --update`.
 */
import { expect, it } from 'vitest';
import { type StackTemplate, stageNamed, synthesiseStage } from '../../support/synthesis.ts';

/** Differ with the place of the checkout and with every change of code, which the tests of the code are about. */
const CHANGING: readonly (readonly [RegExp, string])[] = [
  [/\b[0-9a-f]{64}\b/g, '<hash>'],
  [/(CurrentVersion[0-9A-F]{8})[0-9a-f]{32}/g, '$1<hash>'],
  [/(ApiDeployment[0-9A-F]{8})[0-9a-f]{32}/g, '$1<hash>'],
];

function mask(template: StackTemplate): string {
  const { Resources, Outputs } = template;
  const shown = Object.entries(Resources).map(([id, { Metadata, ...resource }]) => [id, resource]);
  const text = JSON.stringify({ Resources: Object.fromEntries(shown), Outputs }, null, 1);
  return `${CHANGING.reduce((masked, [form, mark]) => masked.replace(form, mark), text)}\n`;
}

const stacks = [...synthesiseStage(stageNamed('prod'))];

it('production has these stacks', () => {
  expect(stacks.map(([name]) => name).sort()).toEqual([
    'prewarm-prod',
    'prewarm-prod-data',
    'prewarm-prod-identity',
    'prewarm-prod-monitoring',
    'prewarm-prod-network',
  ]);
});

it.each(stacks)('%s is what it was', async (name, template) => {
  await expect(mask(template)).toMatchFileSnapshot(`snapshots/${name}.json`);
});
