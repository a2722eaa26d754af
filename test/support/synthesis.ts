/** Synthesises stacks in this process with every check that a deployment has, and without bundling. */
import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import cdkJson from '../../cdk.json' with { type: 'json' };
import { createStacks } from '../../infra/stacks/index.ts';
import type { StageConfig } from '../../infra/stage-config.ts';
import { findStage } from '../../infra/stages/index.ts';

export type TemplateResource = {
  readonly Type: string;
  readonly Properties?: Readonly<Record<string, unknown>>;
  readonly Metadata?: Readonly<Record<string, unknown>>;
};

export type StackTemplate = {
  readonly Resources: Readonly<Record<string, TemplateResource>>;
  readonly Outputs?: Readonly<Record<string, { readonly Value: unknown }>>;
};

/** By the stacks' names. Throws when a check finds something that nobody acknowledged. */
export function synthesise(create: (app: App) => void): ReadonlyMap<string, StackTemplate> {
  const context = {
    ...cdkJson.context,
    'aws:cdk:bundling-stacks': [],
    'aws:cdk:enable-path-metadata': true,
  };
  const app = new App({ context });
  create(app);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return new Map(app.synth().stacks.map(({ stackName, template }) => [stackName, template as StackTemplate]));
}

const stages = new Map<string, ReadonlyMap<string, StackTemplate>>();

/** The same templates for the same settings: files of one worker share them, so nobody may change them. */
export function synthesiseStage(config: StageConfig): ReadonlyMap<string, StackTemplate> {
  const settings = JSON.stringify(config);
  const templates =
    stages.get(settings) ?? synthesise((app) => createStacks(app, config, { releaseId: 'release-1' }));
  stages.set(settings, templates);
  return templates;
}

export function stageNamed(name: string): StageConfig {
  return findStage(name, {
    redisUrl: 'redis://127.0.0.1:6379',
    databaseUrl: 'postgres://127.0.0.1:5432/prewarm',
    pushgatewayUrl: 'http://127.0.0.1:9091',
    jwksUri: 'http://127.0.0.1:3001/.well-known/jwks.json',
  });
}
