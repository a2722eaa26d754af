/** All templates of a stage, synthesised in this process with every check that a deployment has, and without bundling. */
import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import cdkJson from '../../cdk.json' with { type: 'json' };
import { createStacks } from '../../infra/stacks/index.ts';
import type { StageConfig } from '../../infra/stage-config.ts';
import { findStage } from '../../infra/stages/index.ts';

export type Template = {
  readonly Resources: Readonly<Record<string, TemplateResource>>;
  readonly Outputs?: Readonly<Record<string, { readonly Value: unknown }>>;
};

export type TemplateResource = {
  readonly Type: string;
  readonly Properties?: Readonly<Record<string, unknown>>;
  readonly Metadata?: Readonly<Record<string, unknown>>;
  readonly DeletionPolicy?: string;
};

export const stageNames = ['local', 'dev', 'prod', 'adopted'] as const;

export function stageNamed(name: string): StageConfig {
  return findStage(name, {
    redisUrl: 'redis://127.0.0.1:6379',
    databaseUrl: 'postgres://127.0.0.1:5432/prewarm',
    pushgatewayUrl: 'http://127.0.0.1:9091',
    jwksUri: 'http://127.0.0.1:3001/.well-known/jwks.json',
  });
}

/** By the stacks' names. Throws when a check finds something that nobody acknowledged. */
export function synthesiseStage(config: StageConfig): ReadonlyMap<string, Template> {
  const context = { ...cdkJson.context, 'aws:cdk:bundling-stacks': [], 'aws:cdk:enable-path-metadata': true };
  const app = new App({ context });
  createStacks(app, config, 'release-1');
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  const { stacks } = app.synth();
  return new Map(stacks.map(({ stackName, template }) => [stackName, template as Template]));
}
