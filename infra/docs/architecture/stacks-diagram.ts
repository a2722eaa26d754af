/** The stacks of a stage as a picture: what each has most of, and whose outputs it uses. */
import { type Edge, flowchart, type Node } from './mermaid.ts';
import { type StackTemplate, stacksIn } from './template-graph.ts';

/** What people call the resources that tell one stack from another; the others serve these. */
const nouns: Readonly<Record<string, string>> = {
  'AWS::EC2::VPC': 'VPC',
  'AWS::EC2::Subnet': 'subnets',
  'AWS::EC2::VPCEndpoint': 'endpoints',
  'AWS::ElastiCache::ReplicationGroup': 'Redis (Valkey)',
  'AWS::RDS::DBCluster': 'Aurora cluster',
  'AWS::RDS::DBInstance': 'database instances',
  'AWS::RDS::DBProxy': 'RDS Proxy',
  'AWS::Cognito::UserPool': 'user pool',
  'AWS::Cognito::UserPoolClient': 'machine clients',
  'AWS::ECS::Service': 'Fargate service',
  'AWS::EFS::FileSystem': 'file system',
  'AWS::ApiGateway::RestApi': 'REST API',
  'AWS::Lambda::Function': 'functions',
  'AWS::Events::Rule': 'schedule',
  'AWS::WAFv2::WebACL': 'firewall',
  'AWS::CloudWatch::Alarm': 'alarms',
};

export function stacksDiagram(stacks: readonly StackTemplate[]): string {
  const nodes = stacks.map(
    (stack): Node => ({
      id: stack.name,
      label: [`<b>${stack.name}</b>`, ...contentsOf(stack)].join('<br>'),
      shape: 'box',
    }),
  );
  const edges = stacks.flatMap((stack) =>
    Object.entries(countBy(stacksIn(stack.resources))).map(([from]): Edge => ({ from, to: stack.name })),
  );
  return flowchart('LR', nodes, edges);
}

function contentsOf({ resources }: StackTemplate): string[] {
  const counts = countBy(Object.values(resources).map(({ Type }) => Type));
  return Object.entries(nouns)
    .filter(([type]) => counts[type] !== undefined)
    .map(([type, noun]) => (counts[type] === 1 ? noun : `${counts[type]} ${noun}`));
}

function countBy(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
