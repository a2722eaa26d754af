/** A stack with the REST API, three routes and a function that is never called: for tests of what the API's constructs synthesise. */
import { App, Stack, Validations } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import {
  Alias,
  InlineCode,
  type IVersion,
  Function as LambdaFunction,
  Runtime,
} from 'aws-cdk-lib/aws-lambda';
import { AwsSolutionsChecks } from 'cdk-nag';
import cdkJson from '../../cdk.json' with { type: 'json' };
import { RestApi, type RestApiProps } from '../../infra/constructs/rest-api.ts';

type ApiSettings = Pick<RestApiProps, 'domain' | 'firewall'>;

/** Throws what the rules find. */
export function synthesiseApi(settings: ApiSettings = {}): { api: RestApi; template: Template } {
  const app = new App({ context: cdkJson.context });
  const stack = new Stack(app, 'test-api', { description: 'The API of a test' });
  const target = createFunction(stack, 'Target');
  const api = new RestApi(stack, 'Api', {
    ...settings,
    authorizer: createFunction(stack, 'Authorizer'),
    logRetention: 7,
    readThrottle: { ratePerSecond: 100, burst: 200 },
    searchThrottle: { ratePerSecond: 10, burst: 20 },
  });
  api.addOpenRoute('GET', '/health', target);
  api.addProtectedRoute('GET', '/search', createAlias(stack), { requiredQuery: ['q'] });
  api.addProtectedRoute('POST', '/clear', target, { takesJson: true });
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  return { api, template: Template.fromStack(stack) };
}

function createFunction(stack: Stack, id: string): LambdaFunction {
  return new LambdaFunction(stack, id, {
    code: new InlineCode('exports.handler = async () => {};'),
    handler: 'index.handler',
    runtime: Runtime.NODEJS_24_X,
    role: new Role(stack, `${id}Role`, { assumedBy: new ServicePrincipal('lambda.amazonaws.com') }),
  });
}

function createAlias(stack: Stack): Alias {
  const version = createFunction(stack, 'Aliased').currentVersion as IVersion; // its optional role may be undefined, which the interface's may not
  return new Alias(stack, 'Live', { aliasName: 'live', version });
}

/** The one resource of a type, with its properties. */
export function onlyOne(template: Template, type: string): Record<string, unknown> {
  const found = Object.values(template.findResources(type));
  if (found.length !== 1) throw new Error(`There are ${found.length} of ${type}`);
  return found[0]?.['Properties'];
}
