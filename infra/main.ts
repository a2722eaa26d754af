/** Entry of the CDK app: chooses the stage from the context and creates its stacks. Nothing else reads the context. */
import { randomUUID } from 'node:crypto';
import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { ServiceStack } from './stacks/service-stack.ts';
import { devStage, localStage, prodStage, type StageConfig, stageNames } from './stage-config.ts';

const app = new App();
const config = chooseStage();

new ServiceStack(app, `prewarm-${config.stage}`, {
  config,
  releaseId: releaseId(),
  // The account of emulators: with the credentials of a real one, the CLI refuses to deploy this machine's addresses.
  ...(config.stage === 'local' && { env: { account: '000000000000', region: 'us-east-1' } }),
});
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
app.synth();

function chooseStage(): StageConfig {
  const stage = text('stage', 'local');
  switch (stage) {
    case 'local':
      return localStage(localContext());
    case 'dev':
      return devStage;
    case 'prod':
      return prodStage;
    default:
      throw new Error(`There is no stage "${stage}": pass --context stage=${stageNames.join('|')}`);
  }
}

/** The defaults are the servers' usual ports, so that the stage can be synthesised without any server. */
function localContext() {
  return {
    redisUrl: text('redisUrl', 'redis://127.0.0.1:6379'),
    databaseUrl: text('databaseUrl', 'postgres://prewarm:prewarm@127.0.0.1:5432/prewarm'),
    pushgatewayUrl: text('pushgatewayUrl', 'http://127.0.0.1:9091'),
    jwksUri: text('jwksUri', 'http://127.0.0.1:3001/.well-known/jwks.json'),
  };
}

/** Differs at every synthesis, which is what makes the deployment hook run on every deploy. */
function releaseId(): string {
  return text('releaseId', `${new Date().toISOString()}-${randomUUID().slice(0, 8)}`);
}

function text(name: string, byDefault: string): string {
  const value: unknown = app.node.tryGetContext(name) ?? byDefault;
  if (typeof value !== 'string' || value === '') throw new Error(`The context "${name}" must be a text`);
  return value;
}
