/** Who may connect to whom as a picture: the ingress rules of all security groups of a stage. */

import { referencesIn } from '../../assembly/dependency-order.ts';
import { type Edge, flowchart, type Node } from './mermaid.ts';
import { idsOf, type StackTemplate } from './template-graph.ts';

type Group = { readonly stack: string; readonly id: string };

type Opening = { readonly to: Group; readonly rule: IngressRule };

type IngressRule = {
  readonly SourceSecurityGroupId?: unknown;
  readonly CidrIp?: unknown;
  readonly FromPort?: unknown;
};

export function openingsDiagram(stacks: readonly StackTemplate[]): string {
  const groups = stacks.flatMap((stack) =>
    idsOf(stack, 'AWS::EC2::SecurityGroup').map((id) => ({ stack, id })),
  );
  const nodes = groups.map(({ stack, id }): Node => ({ id, label: describeGroup(stack, id), shape: 'box' }));
  const edges = stacks.flatMap(openingsOf).map(({ to, rule }): Edge => {
    const from = sourceOf(rule, to.stack, stacks);
    return { from, to: to.id, label: describePort(rule.FromPort) };
  });
  return flowchart('LR', nodes, edges);
}

/** The group's own description, without the stack that it may begin with. */
function describeGroup({ name, resources }: StackTemplate, id: string): string {
  const description = String(resources[id]?.Properties?.['GroupDescription']);
  return (
    description.replace(/^(prewarm[\w-]*|Prewarm)[:/] ?/, '').replace(/^Data\/FileSystem.*/, 'File system') +
    `<br><i>${name}</i>`
  );
}

/** Rules of their own, and those that a group has in it. */
function openingsOf(stack: StackTemplate): Opening[] {
  const { name, resources } = stack;
  const own = idsOf(stack, 'AWS::EC2::SecurityGroupIngress').map((id) => {
    const rule = (resources[id]?.Properties ?? {}) as IngressRule & { readonly GroupId?: unknown };
    return { to: { stack: name, id: referencesIn(rule.GroupId)[0] ?? '' }, rule };
  });
  const within = idsOf(stack, 'AWS::EC2::SecurityGroup').flatMap((id) => {
    const rules = (resources[id]?.Properties?.['SecurityGroupIngress'] ?? []) as readonly IngressRule[];
    return rules.map((rule) => ({ to: { stack: name, id }, rule }));
  });
  return [...own, ...within];
}

/** A group of the same stack, or one that another stack has among its outputs. */
function sourceOf(rule: IngressRule, stackName: string, stacks: readonly StackTemplate[]): string {
  if (rule.SourceSecurityGroupId === undefined) {
    throw new Error(`${stackName} lets in addresses (${JSON.stringify(rule.CidrIp)}): draw them`);
  }
  const output = outputIn(rule.SourceSecurityGroupId);
  const stack = stacks.find(({ name }) => name === (output?.StackName ?? stackName));
  const value = output ? stack?.outputs[output.OutputName] : rule.SourceSecurityGroupId;
  const [id] = referencesIn(value);
  if (id === undefined) throw new Error(`${stackName} lets in a group that no stack has`);
  return id;
}

function outputIn(value: unknown): { StackName: string; OutputName: string } | undefined {
  return (value as { 'Fn::GetStackOutput'?: { StackName: string; OutputName: string } })[
    'Fn::GetStackOutput'
  ];
}

/** A database says its port only when it is there. */
function describePort(port: unknown): string {
  return typeof port === 'number' ? `TCP ${port}` : 'its own port';
}
