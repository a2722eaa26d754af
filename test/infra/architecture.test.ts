/** The pictures of docs/architecture.md have the names and the connections of the templates of production. */
import { readFileSync } from 'node:fs';
import type { Stack } from 'aws-cdk-lib';
import { describe, expect, it } from 'vitest';
import { readApi } from '../../infra/assembly/api-spec.ts';
import { dependencies, referencesIn } from '../../infra/assembly/dependency-order.ts';
import { createStacks } from '../../infra/stacks/index.ts';
import { nameMetadataKey } from '../../infra/stage-config.ts';
import { prodStage } from '../../infra/stages/prod.ts';
import { RenderedStacks } from '../support/rendered-stacks.ts';
import { synthesiseStage, type TemplateResource } from '../support/synthesis.ts';

const page = readFileSync('docs/architecture.md', 'utf8');
const templates = synthesiseStage(prodStage);
const service = templates.get('prewarm-prod')?.Resources ?? {};
const everything = [...templates.values()].flatMap(({ Resources }) => Object.values(Resources));

/** The nodes by their ids, and each arrow as `from --> to: label`, of the picture under a heading. */
function pictureUnder(heading: string) {
  const [, picture = ''] = page.split(`\n## ${heading}\n`)[1]?.split('```') ?? [];
  const box = /([\w-]+)[[(]+"(.*?)"[\])]+/g;
  const nodes = new Map([...picture.matchAll(box)].map(([, id = '', label = '']) => [id, label]));
  const lines = picture.replaceAll(box, '$1').matchAll(/^ {2}(.+?) (?:-- "(.*)" )?--> (.+)$/gm);
  const arrows = [...lines].flatMap(([, from = '', label, to = '']) =>
    from.split(' & ').flatMap((a) => to.split(' & ').map((b) => `${a} --> ${b}${label ? `: ${label}` : ''}`)),
  );
  return { nodes, arrows: arrows.sort() };
}

function idsOf(type: string): string[] {
  return Object.keys(service).filter((id) => service[id]?.Type === type);
}

/** By the folder that people know a function by; of another resource undefined. */
function folderOf(id: string): string | undefined {
  return service[id]?.Metadata?.[nameMetadataKey] as string | undefined;
}

describe('the service', () => {
  const { nodes, arrows } = pictureUnder('The service');
  const folders = idsOf('AWS::Lambda::Function').map((id) => folderOf(id) ?? '');

  it('has the functions of the template, by their folders', () => {
    const drawn = [...nodes].filter(([, label]) => label.endsWith(' function')).map(([id]) => id);
    expect(drawn.sort()).toEqual(folders.sort());
    expect(drawn.map((id) => nodes.get(id))).toEqual(drawn.map((id) => `${id} function`));
  });

  it('has an arrow to each server of which a function is told, and no others', () => {
    const servers = {
      REDIS_URL: 'redis',
      DATABASE_URL: 'postgres',
      PUSHGATEWAY_URL: 'pushgateway',
      JWT_JWKS_URI: 'issuer',
    };
    const told = idsOf('AWS::Lambda::Function').flatMap((id) => {
      const environment = service[id]?.Properties?.['Environment'] as { Variables: object };
      return Object.entries(servers).flatMap(([variable, server]) =>
        variable in environment.Variables ? [`${folderOf(id)} --> ${server}`] : [],
      );
    });
    const drawn = arrows.filter((arrow) => Object.values(servers).includes(arrow.split(' --> ')[1] ?? ''));
    expect(drawn).toEqual(told.sort());
  });

  it('has the routes of each function on its arrow', () => {
    const { routes } = readApi({ stackName: 'prod', resources: service, parameters: {} });
    const targets = new Map(idsOf('AWS::Lambda::Function').map((id) => [`prod-${id}`, folderOf(id) ?? '']));
    const byFolder = Map.groupBy(routes, ({ integration }) =>
      integration.kind === 'lambda' ? targets.get(integration.functionName) : integration.what,
    );
    const expected = [...byFolder].map(
      ([folder, own]) =>
        `api --> ${folder}: ${own
          .map(({ method, path }) => `${method} ${path}`)
          .sort()
          .join('<br>')}`,
    );
    expect(arrows.filter((arrow) => arrow.includes(' /'))).toEqual(expected.sort());
  });

  it('has who starts a function: the schedule, the deployment, and functions that may invoke it', () => {
    const expressions = idsOf('AWS::Events::Rule').map(
      (id) => service[id]?.Properties?.['ScheduleExpression'],
    );
    const custom = Object.values(service).filter(({ Type }) => Type.startsWith('Custom::Prewarm'));
    const invoking = idsOf('AWS::IAM::Policy').filter((id) =>
      JSON.stringify(service[id]?.Properties).includes('"lambda:InvokeFunction"'),
    );
    const roles = invoking
      .flatMap((id) => dependencies(service[id] as TemplateResource))
      .filter((id) => service[id]?.Type === 'AWS::IAM::Role');
    const invokers = idsOf('AWS::Lambda::Function').filter((id) =>
      roles.some((role) => referencesIn(service[id]?.Properties?.['Role']).includes(role)),
    );
    expect(arrows.filter((arrow) => /^(schedule|deployment) |: starts$/.test(arrow))).toEqual(
      [
        ...expressions.map((expression) => `schedule --> warmer: ${expression}`),
        ...custom.map(
          ({ Properties }) => `deployment --> ${referencesIn(Properties?.['ServiceToken']).map(folderOf)}`,
        ),
        ...invokers.map((id) => `${folderOf(id)} --> warmer: starts`),
      ].sort(),
    );
  });
});

describe('a deployment, in order', () => {
  const { nodes, arrows } = pictureUnder('A deployment, in order');
  const steps: Readonly<Record<string, readonly string[]>> = {
    migrations: idsOf('Custom::PrewarmMigrations'),
    warmer: idsOf('AWS::Lambda::Function').filter((id) => folderOf(id) === 'warmer'),
    hook: idsOf('Custom::PrewarmDeploymentHook'),
    aliases: idsOf('AWS::Lambda::Alias'),
    api: idsOf('AWS::ApiGateway::Stage'),
  };

  it('has one step after the other, from the migrations to the API', () => {
    const [first, ...others] = Object.keys(steps);
    expect([...nodes.keys()]).toEqual(Object.keys(steps));
    expect(arrows).toEqual(others.map((step, before) => `${[first, ...others][before]} --> ${step}`).sort());
  });

  it.each(arrows)('%s: CloudFormation waits for the one before', (arrow) => {
    const [earlier = [], later = []] = arrow.split(' --> ').map((step) => steps[step]);
    expect(earlier).not.toEqual([]);
    expect(later).not.toEqual([]);
    for (const id of later) expect([...waitedForBy(id)]).toEqual(expect.arrayContaining([...earlier]));
  });
});

/** What is created before a resource, directly or through others. */
function waitedForBy(id: string, found = new Set<string>()): Set<string> {
  for (const other of dependencies(service[id] ?? { Type: '' })) {
    if (found.has(other)) continue;
    found.add(other);
    waitedForBy(other, found);
  }
  return found;
}

describe('the stacks', () => {
  const { nodes, arrows } = pictureUnder('The stacks');
  /** What people call the resources that tell one stack from another; the others serve these. */
  const nouns = {
    'EC2::VPC': 'VPC',
    'EC2::Subnet': 'subnets',
    'EC2::VPCEndpoint': 'endpoints',
    'ElastiCache::ReplicationGroup': 'Redis (Valkey)',
    'RDS::DBCluster': 'Aurora cluster',
    'RDS::DBInstance': 'database instances',
    'RDS::DBProxy': 'RDS Proxy',
    'Cognito::UserPool': 'user pool',
    'Cognito::UserPoolClient': 'machine clients',
    'ECS::Service': 'Fargate service',
    'EFS::FileSystem': 'file system',
    'ApiGateway::RestApi': 'REST API',
    'Lambda::Function': 'functions',
    'Events::Rule': 'schedule',
    'WAFv2::WebACL': 'firewall',
    'CloudWatch::Alarm': 'alarms',
  };

  it.each([...templates])('%s has what stands in its box', (name, { Resources }) => {
    const contents = Object.entries(nouns).flatMap(([type, noun]) => {
      const { length } = Object.values(Resources).filter(({ Type }) => Type === `AWS::${type}`);
      return length > 1 ? [`${length} ${noun}`] : length === 1 ? [noun] : [];
    });
    expect(nodes.get(name)).toBe([`<b>${name}</b>`, ...contents].join('<br>'));
  });

  it('use outputs of others where an arrow is', () => {
    const uses = [...templates].flatMap(([name, { Resources }]) => {
      const outputs = JSON.stringify(Resources).matchAll(/"Fn::GetStackOutput":\{"StackName":"(.*?)"/g);
      return [...outputs].map(([, from]) => `${from} --> ${name}`);
    });
    expect(arrows).toEqual([...new Set(uses)].sort());
    expect([...nodes.keys()].sort()).toEqual([...templates.keys()].sort());
  });

  it('have a noun for everything that an alarm watches', () => {
    const watched = everything.flatMap((resource) =>
      resource.Type === 'AWS::CloudWatch::Alarm'
        ? [...JSON.stringify(resource).matchAll(/"Namespace":"(.*?)"/g)].map(([, namespace]) => namespace)
        : [],
    );
    const drawn = new Set(Object.keys(nouns).map((type) => `AWS/${type.replace(/::.*/, '')}`));
    // Dead letters are in the picture of the service, and what Prewarm and its task measure of themselves is no resource.
    const others = ['AWS/SQS', 'ECS/ContainerInsights', 'Prewarm'];
    expect(
      watched.filter((namespace) => !drawn.has(namespace ?? '') && !others.includes(namespace ?? '')),
    ).toEqual([]);
    expect(pictureUnder('The service').nodes.get('queue')).toBe('Dead letters');
  });
});

it('who may connect to whom: all rules that let anything in, by the groups of the templates', () => {
  const { nodes, arrows } = pictureUnder('Who may connect to whom');
  const stacks = new RenderedStacks((app) => createStacks(app, prodStage, { releaseId: 'release-1' }));
  const all = [...templates.keys()].map((stackName) => ({ stackName }) as Stack);
  const groups = all.flatMap((stack) =>
    Object.keys(stacks.resources(stack, 'AWS::EC2::SecurityGroup')).map((id) => [id, stack.stackName]),
  );
  const rules = all
    .flatMap((stack) => stacks.openings(stack))
    .map((rule) => {
      const [, from, to, port] = /^(.+) → (.+):(.+)$/.exec(rule) ?? [];
      return `${from} --> ${to}: ${Number(port) > 0 ? `TCP ${port}` : 'its own port'}`;
    });
  expect(arrows).toEqual(rules.sort());
  expect([...nodes].map(([id, label]) => [id, /<i>(.*)<\/i>/.exec(label)?.[1]]).sort()).toEqual(
    groups.sort(),
  );
});
