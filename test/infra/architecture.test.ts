/** The pictures of docs/architecture.md are those of the templates, and show what the templates say. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Resource } from '../../infra/assembly/intrinsics.ts';
import { drawArchitecture, insertPictures } from '../../infra/docs/architecture/architecture.ts';
import { openingsDiagram } from '../../infra/docs/architecture/openings-diagram.ts';
import { orderDiagram } from '../../infra/docs/architecture/order-diagram.ts';
import { serviceDiagram } from '../../infra/docs/architecture/service-diagram.ts';
import type { StackTemplate } from '../../infra/docs/architecture/template-graph.ts';

const pictures = drawArchitecture();

it('the page shows what is deployed: `npm run docs` draws it again', () => {
  const page = readFileSync('docs/architecture.md', 'utf8');
  expect(insertPictures(page, pictures)).toBe(page);
});

it('a picture without a place in the page is an error that names it', () => {
  expect(() => insertPictures('# A page\n', { order: 'x' })).toThrow('no place for the picture "order"');
});

describe('of production', () => {
  it('the order of a deployment is one line, in which nothing comes before the warm-up that needs it', () => {
    const labels = [...(pictures['order'] ?? '').matchAll(/step\d\["(.+)"\]/g)].map(([, label]) => label);
    const arrows = [...(pictures['order'] ?? '').matchAll(/step(\d) --> step(\d)/g)].map(
      ([, a, b]) => `${a}${b}`,
    );
    expect(labels).toEqual([
      'Migrations',
      'New warmer',
      'Hook starts a warm-up',
      'Traffic moves to new code',
      'API',
    ]);
    expect(arrows).toEqual(['12', '23', '34', '45']);
  });

  it('the warmer is started by the schedule, by deployments and by admins', () => {
    const starters = [...(pictures['service'] ?? '').matchAll(/^ {2}(\S+) --.*--> warmer$/gm)].map(
      ([, from]) => from,
    );
    expect(starters.sort()).toEqual(['admin', 'deployment-hook', 'schedule']);
  });
});

function stackOf(resources: Record<string, Resource>, outputs = {}, name = 'service'): StackTemplate {
  return { name, resources, outputs };
}

describe('a picture follows the template', () => {
  const functions: Record<string, Resource> = {
    Hook: {
      Type: 'AWS::Lambda::Function',
      Metadata: { 'prewarm:function': 'deployment-hook' },
      Properties: { Role: { Ref: 'Role' } },
    },
    Other: { Type: 'AWS::Lambda::Function', Metadata: { 'prewarm:function': 'warmer' } },
  };
  const mayInvoke = (Action: string): Resource => ({
    Type: 'AWS::IAM::Policy',
    Properties: {
      Roles: [{ Ref: 'Role' }],
      PolicyDocument: { Statement: [{ Action, Resource: { 'Fn::GetAtt': ['Other', 'Arn'] } }] },
    },
  });

  it('an arrow to the warmer is there because a role may invoke it', () => {
    const drawn = (action: string) => serviceDiagram(stackOf({ ...functions, Policy: mayInvoke(action) }));
    expect(drawn('lambda:InvokeFunction')).toContain('deployment-hook -- "starts" --> warmer');
    expect(drawn('lambda:GetFunction')).not.toContain('starts');
  });

  it('without a dependency there is no order', () => {
    const steps = {
      Migrations: { Type: 'Custom::PrewarmMigrations' },
      Hook: { Type: 'Custom::PrewarmDeploymentHook', DependsOn: ['Migrations'] },
    };
    expect(orderDiagram(stackOf(steps))).toContain('step1 --> step2');
    expect(orderDiagram(stackOf({ ...steps, Hook: { Type: steps.Hook.Type } }))).not.toContain('-->');
  });

  it('a rule that lets in a group of another stack is drawn from that group', () => {
    const network = stackOf(
      {
        Clients: { Type: 'AWS::EC2::SecurityGroup', Properties: { GroupDescription: 'Prewarm: functions' } },
      },
      { ClientsId: { 'Fn::GetAtt': ['Clients', 'GroupId'] } },
      'network',
    );
    const rule = (source: object): StackTemplate =>
      stackOf(
        {
          Redis: {
            Type: 'AWS::EC2::SecurityGroup',
            Properties: {
              GroupDescription: 'data: Redis',
              SecurityGroupIngress: [{ FromPort: 6379, ...source }],
            },
          },
        },
        {},
        'data',
      );
    const source = { 'Fn::GetStackOutput': { StackName: 'network', OutputName: 'ClientsId' } };

    expect(openingsDiagram([network, rule({ SourceSecurityGroupId: source })])).toContain(
      'Clients -- "TCP 6379" --> Redis',
    );
    expect(() => openingsDiagram([network, rule({ CidrIp: '0.0.0.0/0' })])).toThrow('lets in addresses');
  });
});
