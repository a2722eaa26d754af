/** Who may do what, over all stages: every `*` in a policy is known and has its reason. */
import { describe, expect, it } from 'vitest';
import { stageNames } from '../../../infra/stages/index.ts';
import { type StackTemplate, stageNamed, synthesiseStage } from '../../support/synthesis.ts';

/** A star by the resource's path below its stack, and the field of the statement it is in. */
type Star = { readonly path: string; readonly field: string };

const REASONS: readonly (Star & { readonly reason: string })[] = [
  { path: 'Alarms/Topic/Policy', field: 'Principal', reason: 'A denial: nobody at all without TLS.' },
  { path: 'Warmer/DeadLetters/Policy', field: 'Principal', reason: 'A denial: nobody at all without TLS.' },
  { path: 'Warmer/DeadLetters/Policy', field: 'Action', reason: 'A denial: nothing at all without TLS.' },
  {
    path: 'Network/Vpc/LambdaEndpoint',
    field: 'Principal',
    reason: 'Of the own account only, by its condition; what a role may do is in the role.',
  },
  {
    path: 'Network/Vpc/LambdaEndpoint',
    field: 'Resource',
    reason: 'Functions of the own account; their names are not known to the network.',
  },
  {
    path: 'Network/Vpc/ElastiCacheEndpoint',
    field: 'Principal',
    reason: 'Of the own account only, by its condition; what a role may do is in the role.',
  },
  {
    path: 'Network/Vpc/ElastiCacheEndpoint',
    field: 'Resource',
    reason: 'Replication groups of the own account; their names are not known to the network.',
  },
  {
    path: 'Network/Vpc/S3Endpoint',
    field: 'Principal',
    reason: 'The URL is signed by CloudFormation, whose account is not ours.',
  },
  {
    path: 'Network/Vpc/S3Endpoint',
    field: 'Resource',
    reason: 'The keys of the bucket that takes the answers of custom resources are made at deploy.',
  },
  ...['ReadRole', 'SearchRole', 'AdminRole', 'MigrateRole', 'Warmer/FunctionRole'].map((role) => ({
    path: `${role}/DefaultPolicy`,
    field: 'Resource',
    reason: 'Network interfaces in the VPC, which have no name before they exist.',
  })),
  {
    path: 'Data/FileSystem',
    field: 'Principal',
    reason: 'Only by the mount targets, by its condition; their security group lets in the monitoring task.',
  },
  {
    path: 'Task/TaskRole/DefaultPolicy',
    field: 'Resource',
    reason: 'The channels of a person’s session with a container have no ARN.',
  },
];

type Statement = Readonly<Record<string, unknown>>;

/** Of roles, resources and endpoints alike: whatever has statements. */
function statementsIn(properties: unknown): Statement[] {
  const found: Statement[] = [];
  JSON.stringify(properties ?? {}, (_, value) => {
    if (Array.isArray(value?.Statement)) found.push(...value.Statement);
    return value;
  });
  return found;
}

function starsOf(templates: ReadonlyMap<string, StackTemplate>): Star[] {
  return [...templates.values()].flatMap(({ Resources }) =>
    Object.entries(Resources).flatMap(([id, { Metadata, Properties }]) => {
      const path = String(Metadata?.['aws:cdk:path'] ?? id)
        .split('/')
        .slice(1)
        .join('/')
        .replace(/\/Resource$/, '');
      return statementsIn(Properties).flatMap((statement) =>
        ['Principal', 'Action', 'NotAction', 'Resource', 'NotResource']
          .filter((field) => JSON.stringify(statement[field] ?? '').includes('*'))
          .map((field) => ({ path, field })),
      );
    }),
  );
}

const stars = new Map(stageNames.map((name) => [name, starsOf(synthesiseStage(stageNamed(name)))]));

describe('a star in a policy', () => {
  it.each(stageNames)('of the stage %s has a reason', (name) => {
    const explained = REASONS.map(({ path, field }) => `${field} of ${path}`);
    const found = stars.get(name)?.map(({ path, field }) => `${field} of ${path}`) ?? [];
    expect(found.filter((star) => !explained.includes(star))).toEqual([]);
  });

  it('has no reason left over from one that is gone', () => {
    const found = new Set([...stars.values()].flat().map(({ path, field }) => `${field} of ${path}`));
    expect(
      REASONS.map(({ path, field }) => `${field} of ${path}`).filter((star) => !found.has(star)),
    ).toEqual([]);
  });
});
