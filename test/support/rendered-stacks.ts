/** Stacks that are synthesised with every check of a deployment, and read as CloudFormation would: references resolved, also those to other stacks. */
import type { App, Stack } from 'aws-cdk-lib';
import { synthesise } from './synthesis.ts';

type Template = {
  readonly Resources: Readonly<Record<string, Rendered>>;
  readonly Outputs?: Readonly<Record<string, { readonly Value: unknown }>>;
};

export type Rendered = {
  readonly Type: string;
  // biome-ignore lint/suspicious/noExplicitAny: what a template holds, asserted on by those who know its form
  readonly Properties: Record<string, any>;
  readonly DeletionPolicy?: string;
  readonly UpdateReplacePolicy?: string;
  readonly UpdatePolicy?: unknown;
  readonly DependsOn?: readonly string[];
};

const pseudoParameters: Readonly<Record<string, string>> = {
  'AWS::Partition': 'aws',
  'AWS::Region': 'eu-central-1',
  'AWS::AccountId': '111122223333',
};

export class RenderedStacks {
  readonly #templates: ReadonlyMap<string, Template>;

  /** Throws when a check finds something that nobody acknowledged. */
  constructor(createStacks: (app: App) => void) {
    this.#templates = synthesise(createStacks) as ReadonlyMap<string, Template>;
  }

  /** As it would be uploaded. */
  text(stack: Stack): string {
    return JSON.stringify(this.#template(stack.stackName));
  }

  /** Of one type, by their logical ids without the hash. */
  resources(stack: Stack, type: string): Record<string, Rendered> {
    const all = Object.entries(this.#template(stack.stackName).Resources);
    const found = all.filter(([, { Type }]) => Type === type);
    return Object.fromEntries(
      found.map(([id, resource]) => [named(id), this.#render(resource, stack.stackName) as Rendered]),
    );
  }

  /** The only one of its type. */
  resource(stack: Stack, type: string): Rendered {
    const [found, ...others] = Object.values(this.resources(stack, type));
    if (!found || others.length > 0) throw new Error(`${stack.stackName} has not exactly one ${type}`);
    return found;
  }

  /** Who may reach what: `Clients → Servers:6379`. */
  openings(stack: Stack): string[] {
    const rules = Object.values(this.resources(stack, 'AWS::EC2::SecurityGroupIngress'));
    const groups = Object.entries(this.resources(stack, 'AWS::EC2::SecurityGroup'));
    const inline = groups.flatMap(([id, { Properties }]) =>
      (Properties['SecurityGroupIngress'] ?? []).map((rule: object) => ({ ...rule, GroupId: id })),
    );
    return [...rules.map(({ Properties }) => Properties), ...inline].map(describeOpening).sort();
  }

  #template(stackName: string): Template {
    const template = this.#templates.get(stackName);
    if (!template) throw new Error(`There is no stack ${stackName}`);
    return template;
  }

  #render(value: unknown, stackName: string): unknown {
    if (Array.isArray(value)) return value.map((item) => this.#render(item, stackName));
    if (value === null || typeof value !== 'object') return value;
    const [name = '', argument] = Object.entries(value)[0] ?? [];
    if (name === 'Ref' || name.startsWith('Fn::')) return this.#renderFunction(name, argument, stackName);
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, this.#render(item, stackName)]),
    );
  }

  #renderFunction(name: string, argument: unknown, stackName: string): unknown {
    const [first, second] = [this.#render(argument, stackName)].flat() as [string, string | string[]];
    switch (name) {
      case 'Ref':
        return pseudoParameters[first] ?? named(first);
      case 'Fn::GetAtt':
        return `${named(first)}.${second}`;
      case 'Fn::GetAZs':
        return ['zone-a', 'zone-b', 'zone-c'];
      case 'Fn::Join':
        return [second].flat().join(first);
      case 'Fn::Split':
        return String(second).split(first);
      case 'Fn::Select':
        return second[Number(first)] ?? `${second}[${first}]`;
      case 'Fn::GetStackOutput':
        return this.#renderOutput(argument as { StackName: string; OutputName: string });
      default:
        throw new Error(`${name} is not rendered`);
    }
  }

  #renderOutput({ StackName, OutputName }: { StackName: string; OutputName: string }): unknown {
    const output = this.#template(StackName).Outputs?.[OutputName];
    if (!output) throw new Error(`${StackName} has no output ${OutputName}`);
    return this.#render(output.Value, StackName);
  }
}

function named(logicalId: string): string {
  return logicalId.replace(/[0-9A-F]{8}$/, '');
}

function describeOpening(rule: Rendered['Properties']): string {
  const from = rule['SourceSecurityGroupId'] ?? rule['CidrIp'] ?? rule['CidrIpv6'] ?? '?';
  const ports = rule['FromPort'] === rule['ToPort'] ? rule['FromPort'] : '?';
  return `${withoutAttribute(from)} → ${withoutAttribute(rule['GroupId'])}:${ports}`;
}

function withoutAttribute(group: string): string {
  return group.replace('.GroupId', '');
}
