/** Writes a small cloud assembly by hand, with tiny functions, for tests of the local runner. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

type FixtureFunction = {
  /** The bundle's source; it exports `handler`. */
  readonly code: string;
  readonly timeoutSeconds?: number;
  readonly reservedConcurrency?: number;
  readonly environment?: Readonly<Record<string, string>>;
};

export type Fixture = {
  readonly functions: Readonly<Record<string, FixtureFunction>>;
  /** Further resources of the template, by logical id. */
  readonly resources: Readonly<Record<string, object>>;
};

export function writeAssembly(dir: string, { functions, resources }: Fixture): void {
  mkdirSync(dir, { recursive: true });
  const entries = Object.entries(functions);
  for (const [name, { code }] of entries) writeBundle(join(dir, `asset.${name}`), code);
  const Resources = {
    ...Object.fromEntries(entries.map(([name, fixture]) => [name, toResource(name, fixture)])),
    ...resources,
  };
  writeJson(dir, 'stack.template.json', { Resources });
  writeJson(dir, 'stack.assets.json', {
    files: Object.fromEntries(entries.map(([name]) => [name, toAsset(name)])),
  });
  writeJson(dir, 'manifest.json', {
    artifacts: {
      fixture: { type: 'aws:cloudformation:stack', properties: { templateFile: 'stack.template.json' } },
      'fixture.assets': { type: 'cdk:asset-manifest', properties: { file: 'stack.assets.json' } },
    },
  });
}

function writeBundle(dir: string, code: string): void {
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'index.mjs'), code);
}

function writeJson(dir: string, file: string, content: object): void {
  writeFileSync(join(dir, file), JSON.stringify(content));
}

function toAsset(name: string): object {
  return { source: { path: `asset.${name}` }, destinations: { here: { objectKey: `${name}.zip` } } };
}

function toResource(name: string, fixture: FixtureFunction): object {
  return {
    Type: 'AWS::Lambda::Function',
    Metadata: { 'prewarm:function': name },
    Properties: {
      Code: { S3Bucket: 'assets', S3Key: { 'Fn::Sub': `${name}.zip` } },
      Handler: 'index.handler',
      Timeout: fixture.timeoutSeconds ?? 10,
      MemorySize: 128,
      ...(fixture.reservedConcurrency && { ReservedConcurrentExecutions: fixture.reservedConcurrency }),
      Environment: { Variables: fixture.environment ?? {} },
    },
  };
}

export type FixtureRoute = {
  /** One segment, below the root: `echo`, `{id}`. Its parent is another resource's logical id. */
  readonly part: string;
  readonly parent?: string;
  readonly method?: string;
  readonly target?: string;
  /** Whether it is the target's alias that is called. */
  readonly isAlias?: boolean;
  readonly isProtected?: boolean;
  readonly integration?: object;
  readonly timeoutMs?: number;
  /** Further properties of the method. */
  readonly properties?: object;
};

/** The resource and the method of each route, by name. */
export function routeResources(routes: Readonly<Record<string, FixtureRoute>>): Record<string, object> {
  return Object.assign({}, ...Object.entries(routes).map(([name, route]) => toRoute(name, route)));
}

function toRoute(name: string, route: FixtureRoute): Record<string, object> {
  const parent = route.parent ? { Ref: route.parent } : { 'Fn::GetAtt': ['Api', 'RootResourceId'] };
  const resource = {
    Type: 'AWS::ApiGateway::Resource',
    Properties: { ParentId: parent, PathPart: route.part },
  };
  if (!route.target && !route.integration) return { [name]: resource };
  return { [name]: resource, [`${name}Method`]: toMethod(name, route) };
}

function toMethod(name: string, route: FixtureRoute): object {
  return {
    Type: 'AWS::ApiGateway::Method',
    Properties: {
      ResourceId: { Ref: name },
      HttpMethod: route.method ?? 'GET',
      ...(route.isProtected
        ? { AuthorizationType: 'CUSTOM', AuthorizerId: { Ref: 'Authorizer' }, ApiKeyRequired: true }
        : { AuthorizationType: 'NONE' }),
      Integration: route.integration ?? {
        Type: 'AWS_PROXY',
        Uri: functionUri(route.target ?? '', route.isAlias),
        ...(route.timeoutMs && { TimeoutInMillis: route.timeoutMs }),
      },
      ...route.properties,
    },
  };
}

/** A version of a function and the alias `live` that leads to it, named after the function: `echoVersion`, `echoLive`. */
export function aliasResources(name: string): Record<string, object> {
  const FunctionName = { Ref: name };
  const FunctionVersion = { 'Fn::GetAtt': [`${name}Version`, 'Version'] };
  return {
    [`${name}Version`]: { Type: 'AWS::Lambda::Version', Properties: { FunctionName } },
    [`${name}Live`]: {
      Type: 'AWS::Lambda::Alias',
      Properties: { FunctionName, FunctionVersion, Name: 'live' },
    },
  };
}

/** Of a function, or of its alias. Written as CDK writes it. */
export function functionUri(name: string, isAlias = false): object {
  const arn = isAlias ? { Ref: `${name}Live` } : { 'Fn::GetAtt': [name, 'Arn'] };
  const region = { 'Fn::Select': [3, { 'Fn::Split': [':', arn] }] };
  return {
    'Fn::Join': [
      '',
      ['arn:aws:apigateway:', region, ':lambda:path/2015-03-31/functions/', arn, '/invocations'],
    ],
  };
}
