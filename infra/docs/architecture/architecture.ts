/** The pictures of the architecture, by name, and their places in a page. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib';
import cdkJson from '../../../cdk.json' with { type: 'json' };
import { createStacks } from '../../stacks/index.ts';
import { prodStage } from '../../stages/prod.ts';
import { openingsDiagram } from './openings-diagram.ts';
import { orderDiagram } from './order-diagram.ts';
import { serviceDiagram } from './service-diagram.ts';
import { stacksDiagram } from './stacks-diagram.ts';
import type { StackTemplate } from './template-graph.ts';

type Pictures = Readonly<Record<string, string>>;

/** Of production, which has everything. Throws when the stage has no stack for the service. */
export function drawArchitecture(): Pictures {
  const stacks = synthesise();
  const service = stacks.find(({ name }) => name === 'prewarm-prod');
  if (!service) throw new Error('Production has no stack prewarm-prod');
  return {
    service: serviceDiagram(service),
    order: orderDiagram(service),
    stacks: stacksDiagram(stacks),
    openings: openingsDiagram(stacks),
  };
}

function synthesise(): StackTemplate[] {
  const outdir = mkdtempSync(join(tmpdir(), 'prewarm-architecture-'));
  try {
    return synthesiseInto(outdir);
  } finally {
    rmSync(outdir, { recursive: true });
  }
}

function synthesiseInto(outdir: string): StackTemplate[] {
  const app = new App({ outdir, context: { ...cdkJson.context, 'aws:cdk:bundling-stacks': [] } });
  createStacks(app, prodStage, { releaseId: 'release' });
  return app.synth().stacks.map(({ stackName, template }) => ({
    name: stackName,
    resources: template.Resources,
    outputs: Object.fromEntries(
      Object.entries((template.Outputs ?? {}) as Record<string, { Value: unknown }>).map(
        ([id, { Value }]) => [id, Value],
      ),
    ),
  }));
}

/** Replaces what stands between `<!-- picture NAME -->` and `<!-- end -->`. Throws when a picture has no place. */
export function insertPictures(page: string, pictures: Pictures): string {
  return Object.entries(pictures).reduce((text, [name, picture]) => {
    const place = new RegExp(`(<!-- picture ${name} -->\\n)[\\s\\S]*?(<!-- end -->)`);
    if (!place.test(text)) throw new Error(`The page has no place for the picture "${name}"`);
    return text.replace(place, (_, begin: string, end: string) => `${begin}${picture}\n${end}`);
  }, page);
}
