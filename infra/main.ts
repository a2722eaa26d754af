/** Entry of the CDK app: chooses the stage from the context and creates its stacks. Nothing else reads the context. */
import { randomUUID } from 'node:crypto';
import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { createStacks, type Github } from './stacks/index.ts';
import { findStage } from './stages/index.ts';

const app = new App();
const config = findStage(text('stage', 'local'), localContext());
createStacks(app, config, {
  releaseId: releaseId(),
  github: github(),
  ignoreRolloutAlarms: optionalText('rolloutAlarms') === 'ignored',
});
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
app.synth();

/** The defaults are the servers' usual ports, so that the stage can be synthesised without any server. */
function localContext() {
  return {
    redisUrl: text('redisUrl', 'redis://127.0.0.1:6379'),
    databaseUrl: text('databaseUrl', 'postgres://prewarm:prewarm@127.0.0.1:5432/prewarm'),
    readerDatabaseUrl: optionalText('readerDatabaseUrl'),
    warmerDatabaseUrl: optionalText('warmerDatabaseUrl'),
    pushgatewayUrl: text('pushgatewayUrl', 'http://127.0.0.1:9091'),
    jwksUri: text('jwksUri', 'http://127.0.0.1:3001/.well-known/jwks.json'),
    warmEveryMinutes: minutes('warmEveryMinutes', 30),
  };
}

/** Differs at every synthesis, which is what makes the deployment hook run on every deploy. */
function releaseId(): string {
  return text('releaseId', `${new Date().toISOString()}-${randomUUID().slice(0, 8)}`);
}

function github(): Github | undefined {
  const repository = optionalText('githubRepository');
  const providerArn = optionalText('githubProviderArn');
  return repository === undefined ? undefined : { repository, ...(providerArn && { providerArn }) };
}

function text(name: string, byDefault: string): string {
  return optionalText(name) ?? byDefault;
}

function optionalText(name: string): string | undefined {
  const value: unknown = app.node.tryGetContext(name);
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value === '') throw new Error(`The context "${name}" must be a text`);
  return value;
}

/** The command line hands everything over as text. */
function minutes(name: string, byDefault: number): number {
  const value = Number(app.node.tryGetContext(name) ?? byDefault);
  if (!Number.isInteger(value) || value < 1) {
    throw new Error(`The context "${name}" must be a whole number of minutes, at least 1`);
  }
  return value;
}
