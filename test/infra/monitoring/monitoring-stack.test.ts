/** What the monitoring stack deploys, beside the network that it is in. The checks of a deployment run on both. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { runCommand } from '../../../infra/local/processes/command.ts';
import { images } from '../../../infra/monitoring/images.ts';
import { MonitoringStack } from '../../../infra/stacks/monitoring-stack.ts';
import { NetworkStack } from '../../../infra/stacks/network-stack.ts';
import { RenderedStacks } from '../../support/rendered-stacks.ts';
import { monitoringDir } from './monitoring-tools.ts';

type Container = {
  readonly Name: string;
  readonly Image: string;
  readonly Memory: number;
  readonly Essential: boolean;
  readonly User?: string;
  readonly EntryPoint?: string[];
  readonly Command?: string[];
  readonly Environment?: { Name: string; Value: string }[];
  readonly Secrets?: { Name: string; ValueFrom: string }[];
  readonly DependsOn?: { ContainerName: string; Condition: string }[];
  readonly HealthCheck?: { Command: string[] };
  readonly RestartPolicy?: { Enabled: boolean };
  readonly MountPoints?: { SourceVolume: string; ContainerPath: string; ReadOnly: boolean }[];
};

function synthesise(keepData: boolean) {
  const made: MonitoringStack[] = [];
  const rendered = new RenderedStacks((app) => {
    const common = { stage: 'test', logRetentionDays: 30 } as const;
    const config = { kind: 'new', zones: 2, cidr: '10.20.0.0/16' } as const;
    const { network } = new NetworkStack(app, 'prewarm-test-network', { ...common, config });
    made.push(new MonitoringStack(app, 'prewarm-test-monitoring', { ...common, network, keepData }));
  });
  const [stack] = made as [MonitoringStack];
  return {
    stack,
    text: rendered.text(stack),
    openings: rendered.openings(stack),
    of: (type: string) => rendered.resources(stack, type),
    only: (type: string) => rendered.resource(stack, type),
  };
}

const kept = synthesise(true);
const task = kept.only('AWS::ECS::TaskDefinition').Properties;
const containers = Object.fromEntries(
  (task['ContainerDefinitions'] as Container[]).map((container) => [container.Name, container]),
);
const named = (name: string) => containers[name] as Container;

describe('the monitoring’s way in', () => {
  it('is the functions’ push at 9091, and the task’s way to its data', () => {
    expect(kept.openings).toEqual([
      'Group → DataFileSystemEfsSecurityGroup:2049',
      'NetworkClients → Group:9091',
    ]);
  });

  it('has a name that stays the same, which is what the functions get', () => {
    const { Name, Vpc } = kept.only('AWS::ServiceDiscovery::PrivateDnsNamespace').Properties;
    const service = kept.only('AWS::ServiceDiscovery::Service').Properties;

    expect(kept.stack.pushgatewayUrl).toBe('http://monitoring.prewarm-test.internal:9091');
    expect(`${service['Name']}.${Name}`).toBe(new URL(kept.stack.pushgatewayUrl).hostname);
    expect(Vpc).toBe('NetworkVpc');
    expect(service['DnsConfig'].DnsRecords).toEqual([{ TTL: 10, Type: 'A' }]);
  });
});

describe('the monitoring’s way out', () => {
  it('is HTTPS and mail', () => {
    const { Group } = kept.of('AWS::EC2::SecurityGroup');
    const rules = Group?.Properties['SecurityGroupEgress'] as { FromPort: number; ToPort: number }[];

    expect(rules.map(({ FromPort, ToPort }) => [FromPort, ToPort])).toEqual([
      [443, 443],
      [587, 587],
    ]);
  });
});

describe('the service', () => {
  const service = kept.only('AWS::ECS::Service');

  it('runs one task in the public subnets, and never two', () => {
    expect(service.Properties).toMatchObject({
      DesiredCount: 1,
      LaunchType: 'FARGATE',
      DeploymentConfiguration: { MinimumHealthyPercent: 0, MaximumPercent: 100 },
      AvailabilityZoneRebalancing: 'DISABLED',
      NetworkConfiguration: {
        AwsvpcConfiguration: {
          AssignPublicIp: 'ENABLED',
          Subnets: [
            expect.stringMatching(/PublicSubnet1Subnet$/),
            expect.stringMatching(/PublicSubnet2Subnet$/),
          ],
        },
      },
    });
  });

  it('gives up a deployment that does not become healthy, and takes it back', () => {
    expect(service.Properties['DeploymentConfiguration'].DeploymentCircuitBreaker).toEqual({
      Enable: true,
      Rollback: true,
    });
  });

  it('is watched from outside: an alarm says when no task runs, also when nothing tells of any', () => {
    expect(kept.only('AWS::CloudWatch::Alarm').Properties).toMatchObject({
      MetricName: 'RunningTaskCount',
      Threshold: 1,
      ComparisonOperator: 'LessThanThreshold',
      TreatMissingData: 'breaching',
      AlarmDescription: expect.stringMatching(/docs\/runbook\.md#monitoringdown$/),
    });
    expect(readFileSync('docs/runbook.md', 'utf8')).toContain('\n## MonitoringDown\n');
  });

  it('can be entered by a session, as the runbook says, by the cluster’s and its own name', () => {
    expect(service.Properties).toMatchObject({ EnableExecuteCommand: true, ServiceName: 'monitoring' });
    expect(kept.only('AWS::ECS::Cluster').Properties).toMatchObject({
      ClusterName: 'prewarm-test-monitoring',
      ClusterSettings: [{ Name: 'containerInsights', Value: 'enabled' }],
    });
  });

  it('waits until its data can be mounted in each zone', () => {
    const targets = Object.keys(kept.of('AWS::EFS::MountTarget'));

    expect(targets).toHaveLength(2);
    for (const target of targets) expect(service.DependsOn?.some((id) => id.startsWith(target))).toBe(true);
  });
});

describe('the task', () => {
  it('is an ARM task, whose containers fit in it together', () => {
    const memory = Object.values(containers).reduce((sum, { Memory }) => sum + Memory, 0);

    expect(task).toMatchObject({
      Cpu: '512',
      Memory: '2048',
      RuntimePlatform: { CpuArchitecture: 'ARM64', OperatingSystemFamily: 'LINUX' },
    });
    expect(memory).toBeLessThanOrEqual(2048);
  });

  it('has these containers, of the pinned images', () => {
    const made = Object.values(containers).map(({ Name, Image }) => [Name, Image]);

    expect(Object.fromEntries(made)).toEqual({ ...images, config: images.prometheus });
  });

  it('is replaced when a program dies or hangs, but for Grafana, which is restarted', () => {
    for (const name of ['pushgateway', 'prometheus', 'alertmanager']) {
      expect(named(name).Essential).toBe(true);
      expect(named(name).HealthCheck?.Command).toContain('wget');
    }
    expect(named('grafana')).toMatchObject({ Essential: false, RestartPolicy: { Enabled: true } });
  });

  it('starts what reads files after they are written', () => {
    for (const name of ['prometheus', 'alertmanager', 'grafana']) {
      expect(named(name).DependsOn).toEqual([{ ContainerName: 'config', Condition: 'SUCCESS' }]);
      expect(named(name).MountPoints).toContainEqual({
        SourceVolume: 'config',
        ContainerPath: '/config',
        ReadOnly: true,
      });
    }
    expect(named('config')).toMatchObject({ Essential: false, User: 'root' });
  });

  it('is less than half of what ECS takes as a task definition', () => {
    expect(JSON.stringify(task).length).toBeLessThan(32 * 1024);
  });

  it('gets its passwords and keys from Secrets Manager, by fields that the secret has', () => {
    const { SecretString } = kept.of('AWS::SecretsManager::Secret')['AlertCredentials']?.Properties ?? {};
    const fields = Object.entries(JSON.parse(SecretString));
    const asked = named('alertmanager').Secrets?.map(({ ValueFrom }) => ValueFrom.split(':')[1]);

    expect(asked?.sort()).toEqual(fields.map(([field]) => field).sort());
    for (const [, value] of fields) expect(value).toBe('none');
    expect(named('grafana').Secrets).toEqual([
      { Name: 'GF_SECURITY_ADMIN_PASSWORD', ValueFrom: 'GrafanaPassword' },
    ]);
  });

  it('asks for every credential that Alertmanager’s start knows', () => {
    const script = readFileSync(join(monitoringDir, 'config/alertmanager/start.sh'), 'utf8');
    const known = new Set([...script.matchAll(/\$\{([A-Z_]+):-\}/g)].map(([, variable]) => variable));

    expect(
      named('alertmanager')
        .Secrets?.map(({ Name }) => Name)
        .sort(),
    ).toEqual([...known].sort());
  });
});

describe('the container that writes the files', () => {
  const folders: string[] = [];
  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true });
  });

  function makeFolder(): string {
    const folder = mkdtempSync(join(tmpdir(), 'prewarm-config-'));
    folders.push(folder);
    return folder;
  }

  /** Runs what the template says, with both volumes in a folder. */
  function run(folder: string): Promise<string> {
    const { EntryPoint = [], Command = [], Environment = [] } = named('config');
    const [shell = '', ...args] = [...EntryPoint, ...Command].map((part) =>
      part.replaceAll(/(?<=[ >])\/(config|prometheus)\b/g, `${folder}/$1`),
    );
    const variables = Object.fromEntries(Environment.map(({ Name, Value }) => [Name, Value]));
    return runCommand(shell, args, { timeoutMs: 60_000, env: { ...variables, PATH: process.env['PATH'] } });
  }

  it('writes those of infra/monitoring/config, to the letter', async () => {
    const folder = makeFolder();
    const original = filesOf(join(monitoringDir, 'config'));

    await run(folder);

    expect(filesOf(join(folder, 'config'))).toEqual(original);
    expect(Object.keys(original)).toContain('prometheus/prewarm.rules.yml');
  });

  it('fails when it cannot write one, so that nothing starts with the others alone', async () => {
    const folder = makeFolder();
    mkdirSync(join(folder, 'config/prometheus/prometheus.yml'), { recursive: true });

    await expect(run(folder)).rejects.toThrow('prometheus.yml');
  });
});

describe('the data', () => {
  it('is encrypted, and mounted by this task alone, each program’s folder as its own user', () => {
    const points = Object.values(kept.of('AWS::EFS::AccessPoint')).map(({ Properties }) => [
      Properties['RootDirectory'].Path,
      Properties['PosixUser'].Uid,
    ]);
    const volumes = task['Volumes'] as { Name: string; EFSVolumeConfiguration?: object }[];

    expect(kept.only('AWS::EFS::FileSystem').Properties['Encrypted']).toBe(true);
    expect(points).toEqual([
      ['/prometheus', '65534'],
      ['/alertmanager', '65534'],
      ['/grafana', '472'],
    ]);
    for (const volume of volumes.filter(({ Name }) => Name !== 'config'))
      expect(volume.EFSVolumeConfiguration).toMatchObject({
        TransitEncryption: 'ENABLED',
        AuthorizationConfig: { AccessPointId: `DataFileSystem${volume.Name}`, IAM: 'ENABLED' },
      });
  });

  it('and a session’s channels are all that the task’s role is for', () => {
    const policies = Object.values(kept.of('AWS::IAM::Policy')).map(({ Properties }) => Properties);
    const ofTask = policies.find(({ Roles }) => Roles[0] === 'TaskTaskRole')?.['PolicyDocument'].Statement;

    expect(ofTask.map(({ Action }: { Action: string[] }) => Action)).toEqual([
      ['elasticfilesystem:ClientMount', 'elasticfilesystem:ClientWrite'],
      expect.arrayContaining([expect.stringMatching(/^ssmmessages:/)]),
    ]);
    expect(ofTask[0]).toMatchObject({
      Resource: 'DataFileSystem.Arn',
      Condition: { StringEquals: { 'elasticfilesystem:AccessPointArn': expect.any(Array) } },
    });
  });

  it.each([
    ['survives the stack when it is to be kept', kept, 'Retain'],
    ['goes with the stack when not', synthesise(false), 'Delete'],
  ])('%s', (_, { of }, policy) => {
    const resources = [
      ...Object.values(of('AWS::EFS::FileSystem')),
      ...Object.values(of('AWS::SecretsManager::Secret')),
    ];

    expect(resources).toHaveLength(3);
    for (const { DeletionPolicy } of resources) expect(DeletionPolicy).toBe(policy);
  });
});

describe('the logs', () => {
  it('of all containers are in one group, which forgets', () => {
    const { RetentionInDays } = kept.only('AWS::Logs::LogGroup').Properties;

    expect(RetentionInDays).toBe(30);
    for (const container of task['ContainerDefinitions'])
      expect(container.LogConfiguration.Options['awslogs-group']).toBe('Logs');
  });
});

/** Contents by path. */
function filesOf(folder: string): Record<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const paths = entries.map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(paths.map((path) => [path.slice(folder.length + 1), readFileSync(path, 'utf8')]));
}
