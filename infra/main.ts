/** Entry of the CDK app: chooses the stage from the context and creates its stacks. Nothing else reads the context. */
import { randomUUID } from 'node:crypto';
import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { ServiceStack } from './stacks/service-stack.ts';
import {
  devStage,
  type JwtConfig,
  localStage,
  prodStage,
  type StageConfig,
  stageNames,
} from './stage-config.ts';

const app = new App();
const config = chooseStage();

new ServiceStack(app, `prewarm-${config.stage}`, { config, releaseId: releaseId() });
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
app.synth();

function chooseStage(): StageConfig {
  const stage = text('stage', 'local');
  switch (stage) {
    case 'local':
      return localStage(localContext());
    case 'dev':
      return devStage({ jwt: jwtContext(stage) });
    case 'prod':
      return prodStage({ jwt: jwtContext(stage) });
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

/** Any OIDC issuer: Cognito's is `https://cognito-idp.<region>.amazonaws.com/<pool id>`. */
function jwtContext(stage: string): JwtConfig {
  const issuer = text('jwtIssuer', `https://login.${stage}.example.com`);
  const jwksUri = text('jwksUri', `${issuer}/.well-known/jwks.json`);
  return { issuer, audience: text('jwtAudience', 'prewarm-api'), jwksUri };
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
