/** The service as a picture, from its template: who starts which function, and what each of them talks to. */

import { referencesIn } from '../../assembly/dependency-order.ts';
import type { Resource } from '../../assembly/intrinsics.ts';
import { nameMetadataKey } from '../../stage-config.ts';
import { type Edge, flowchart, type Node } from './mermaid.ts';
import { idsOf, type StackTemplate } from './template-graph.ts';

/** The variables by which a function is told of a server, and how the server is called in the picture. */
const serversByVariable: Readonly<Record<string, Node>> = {
  REDIS_URL: { id: 'redis', label: 'Redis', shape: 'store' },
  DATABASE_URL: { id: 'postgres', label: 'Postgres', shape: 'store' },
  PUSHGATEWAY_URL: { id: 'pushgateway', label: 'Pushgateway', shape: 'box' },
  JWT_JWKS_URI: { id: 'issuer', label: 'Issuer of the tokens', shape: 'box' },
};

export function serviceDiagram(template: StackTemplate): string {
  const functions = functionNodes(template);
  const edges: Edge[] = [
    { from: 'callers', to: 'api', label: 'JWT' },
    ...routeEdges(template),
    ...authorizerEdges(template),
    ...startEdges(template),
    ...deadLetterEdges(template),
    ...serverEdges(template),
  ];
  const used = new Set(edges.flatMap(({ from, to }) => [from, to]));
  const others: Node[] = [
    { id: 'callers', label: 'Callers and admins', shape: 'round' },
    { id: 'api', label: 'API Gateway', shape: 'box' },
    { id: 'deployment', label: 'Every deployment', shape: 'round' },
    { id: 'schedule', label: 'Schedule', shape: 'round' },
    { id: 'queue', label: 'Dead letters', shape: 'store' },
    ...Object.values(serversByVariable),
  ];
  const nodes = [...functions, ...others].filter(({ id }) => used.has(id));
  return flowchart('LR', nodes, edges);
}

/** Functions are called by their folder, in the picture too. */
function functionNodes(template: StackTemplate): Node[] {
  return idsOf(template, 'AWS::Lambda::Function').map((id) => {
    const folder = folderOf(template, id);
    return { id: folder, label: `${folder} function`, shape: 'box' };
  });
}

/** One arrow for all routes of a function. An alias stands for its function. */
function routeEdges(template: StackTemplate): Edge[] {
  const routes = new Map<string, string[]>();
  for (const id of idsOf(template, 'AWS::ApiGateway::Method')) {
    const { HttpMethod, ResourceId, Integration } = template.resources[id]?.Properties ?? {};
    const [target = ''] = functionsIn(template, (Integration as { Uri?: unknown }).Uri);
    const route = `${String(HttpMethod)} ${pathOf(template, ResourceId)}`;
    routes.set(target, [...(routes.get(target) ?? []), route].sort());
  }
  return [...routes].map(([to, paths]) => ({ from: 'api', to, label: paths.join('<br>') }));
}

function pathOf(template: StackTemplate, reference: unknown): string {
  const [id = ''] = referencesIn(reference);
  const { PathPart, ParentId } = template.resources[id]?.Properties ?? {};
  return PathPart === undefined ? '' : `${pathOf(template, ParentId)}/${String(PathPart)}`;
}

function authorizerEdges(template: StackTemplate): Edge[] {
  return idsOf(template, 'AWS::ApiGateway::Authorizer').flatMap((id) =>
    functionsIn(template, template.resources[id]?.Properties?.['AuthorizerUri']).map((to) => ({
      from: 'api',
      to,
      label: 'who calls?',
    })),
  );
}

/** By a rule, by a custom resource, and by a function whose role may invoke another one. */
function startEdges(template: StackTemplate): Edge[] {
  const { resources } = template;
  const byRules = idsOf(template, 'AWS::Events::Rule').flatMap((id) => {
    const { ScheduleExpression, Targets } = resources[id]?.Properties ?? {};
    const targets = (Targets as readonly { Arn: unknown }[]).flatMap(({ Arn }) => functionsIn(template, Arn));
    return targets.map((to) => ({ from: 'schedule', to, label: String(ScheduleExpression) }));
  });
  const byDeployments = Object.values(resources)
    .filter(({ Type }) => Type.startsWith('Custom::Prewarm'))
    .flatMap((resource) =>
      functionsIn(template, resource.Properties?.['ServiceToken']).map((to) => ({ from: 'deployment', to })),
    );
  return [...byRules, ...byDeployments, ...invocationEdges(template)];
}

type Statement = { readonly Action: string | readonly string[]; readonly Resource: unknown };

function invocationEdges(template: StackTemplate): Edge[] {
  return idsOf(template, 'AWS::IAM::Policy').flatMap((id) => {
    const { PolicyDocument, Roles } = template.resources[id]?.Properties ?? {};
    const statements = (PolicyDocument as { Statement: readonly Statement[] }).Statement;
    const invoked = statements
      .filter(({ Action }) => [Action].flat().includes('lambda:InvokeFunction'))
      .flatMap(({ Resource }) => functionsIn(template, Resource));
    const invokers = rolesToFunctions(template, referencesIn(Roles));
    return invokers.flatMap((from) => invoked.map((to) => ({ from, to, label: 'starts' })));
  });
}

function rolesToFunctions(template: StackTemplate, roles: readonly string[]): string[] {
  return idsOf(template, 'AWS::Lambda::Function')
    .filter((id) =>
      referencesIn(template.resources[id]?.Properties?.['Role']).some((role) => roles.includes(role)),
    )
    .map((id) => folderOf(template, id));
}

function deadLetterEdges(template: StackTemplate): Edge[] {
  const ids = idsOf(template, 'AWS::Lambda::EventInvokeConfig');
  return ids.flatMap((id) => {
    const { FunctionName, DestinationConfig } = template.resources[id]?.Properties ?? {};
    const isQueue = referencesIn(DestinationConfig).some((to) =>
      isA(template.resources[to], 'AWS::SQS::Queue'),
    );
    if (!isQueue) return [];
    return functionsIn(template, FunctionName).map((from) => ({
      from,
      to: 'queue',
      label: 'could not start',
    }));
  });
}

function serverEdges(template: StackTemplate): Edge[] {
  return idsOf(template, 'AWS::Lambda::Function').flatMap((id) => {
    const { Environment } = template.resources[id]?.Properties ?? {};
    const variables = (Environment as { Variables?: object } | undefined)?.Variables ?? {};
    return Object.entries(serversByVariable)
      .filter(([variable]) => variable in variables)
      .map(([, { id: to }]) => ({ from: folderOf(template, id), to }));
  });
}

/** The functions that a value names, themselves or by an alias. */
function functionsIn(template: StackTemplate, value: unknown): string[] {
  return referencesIn(value).flatMap((id) => {
    const resource = template.resources[id];
    if (isA(resource, 'AWS::Lambda::Function')) return [folderOf(template, id)];
    if (isA(resource, 'AWS::Lambda::Alias'))
      return functionsIn(template, resource?.Properties?.['FunctionName']);
    return [];
  });
}

function folderOf({ resources }: StackTemplate, id: string): string {
  return String(resources[id]?.Metadata?.[nameMetadataKey] ?? id);
}

function isA(resource: Resource | undefined, type: string): boolean {
  return resource?.Type === type;
}
