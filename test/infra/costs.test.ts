/** The tables of docs/costs.md add up, and count what is in the templates of the stages. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { nameMetadataKey, type StageConfig } from '../../infra/stage-config.ts';
import { devStage } from '../../infra/stages/dev.ts';
import { prodStage } from '../../infra/stages/prod.ts';
import { synthesiseStage, type TemplateResource } from '../support/synthesis.ts';

const page = readFileSync('docs/costs.md', 'utf8');

/** A section's table without its heads: each row's cells by the first of them. */
function tableOf(section: string): Map<string, string[]> {
  const [text = ''] = page.split(`\n## ${section}\n`)[1]?.split('\n## ') ?? [];
  const rows = text.split('\n').filter((line) => line.startsWith('| '));
  const cells = rows.slice(2).map((row) => row.slice(2, -2).split(' | '));
  return new Map(cells.map(([name = '', ...others]) => [name, others.map((cell) => cell.trim())]));
}

/** However it is written: bold, with commas, with its unit behind it; what is less than a cent is nothing. */
const numberIn = (cell = '') => Number.parseFloat(cell.replaceAll(/[*,]/g, '')) || 0;

const totals = tableOf('Three sizes');
const prices = new Set([...tableOf('The prices').values()].map(([price]) => price));
const rows = [...tableOf('Line by line')].filter(([name]) => name !== '**All**');
const parts = new Set(rows.map(([name]) => name.replace(/:.*/, '')));

/** A size's own cells are side by side, and empty where it has nothing of the kind. */
function linesOf(size: number) {
  return rows.flatMap(([name, [, price = '', ...cells]]) => {
    const [quantity = '', amount] = cells.slice(2 * size);
    return quantity ? [{ name, price, quantity: numberIn(quantity), amount: numberIn(amount) }] : [];
  });
}

/** Quantities are written with four digits, and amounts, of which so many were added, with cents. */
function expectAmount(shown: number, exact: number, amounts = 1): void {
  expect(Math.abs(shown - exact)).toBeLessThanOrEqual(0.0051 * amounts + exact / 2_000);
}

const names = ['small', 'medium', 'large'];

describe.each(names)('%s', (name) => {
  const size = names.indexOf(name);
  const lines = linesOf(size);
  const totalOf = (what: string) => numberIn(totals.get(what)?.[size]);
  const sumOf = (part: string) =>
    lines.filter((line) => line.name.startsWith(part)).map(({ amount }) => amount);

  it.each(lines)('$name: quantity times price is the amount, and the price has a source', (line) => {
    expectAmount(line.amount, line.quantity * numberIn(line.price));
    expect(prices).toContain(line.price.replace(/ [†‡]$/, ''));
  });

  it.each([...parts, '**All**'])('the total of %s is the sum of its amounts', (part) => {
    const amounts = sumOf(part === '**All**' ? '' : `${part}:`);
    expectAmount(
      totalOf(part),
      amounts.reduce((sum, amount) => sum + amount, 0),
      amounts.length,
    );
  });

  it('the total below the lines, what a million requests cost and which parts dominate follow from the totals', () => {
    const all = totalOf('**All**');
    expectAmount(totalOf('For a million requests'), all / (totalOf('Requests a month') / 1_000_000));
    expect(totalOf('Requests a month')).toBe(totalOf('Requests a second, on average') * 730 * 3_600);
    const largest = [...parts].sort((a, b) => totalOf(b) - totalOf(a)).slice(0, 4);
    const shares = largest.map((part) => `${part} ${Math.round((100 * totalOf(part)) / all)} %`);
    expect(page).toContain(`| **All** |  |  |  | ${totals.get('**All**')?.join(' |  | ')} |`);
    expect(page).toContain(`\n- ${name}: ${shares.join(', ')}\n`);
  });
});

it.each([...tableOf('The prices')])(
  'the price of %s has a source, of AWS itself without a mark, and its date',
  (_, cells) => {
    const [, source = '', asOf = ''] = cells;
    const [, url = '', mark] = /^\[source\]\((.*)\)(?: ([†‡]))?$/.exec(source) ?? [];
    expect(URL.canParse(url)).toBe(true);
    if (!mark) expect(url).toMatch(/^https:\/\/(docs\.aws\.amazon\.com|aws\.amazon\.com|github\.com\/aws)\//);
    expect(asOf).toMatch(mark === '‡' ? /^unknown$/ : /^(\d{4}(-\d{2}){0,2}|undated)$/);
  },
);

it.each([...tableOf('Endpoints or NAT gateways')])('%s: quantity times price', (_, cells) => {
  expectAmount(numberIn(cells[3]), numberIn(cells[2]) * numberIn(cells[1]));
});

const hours = 730;

/** Prod with more in two places. */
function enlarged(stage: StageConfig): StageConfig {
  const { redis, database, ...servers } = stage.servers as Extract<StageConfig['servers'], { kind: 'vpc' }>;
  return {
    ...stage,
    servers: {
      ...servers,
      redis: { ...redis, nodeType: 'cache.r7g.xlarge' },
      database: { ...database, minCapacity: 2 },
    } as StageConfig['servers'],
  };
}

// biome-ignore lint/suspicious/noExplicitAny: a template's properties, asserted on by those who know their form
function propertiesOf(resources: readonly TemplateResource[], type: string): any[] {
  return resources.filter(({ Type }) => Type === `AWS::${type}`).map(({ Properties }) => Properties);
}

/** By the lines' names: what follows from sizes, counts and intervals in the templates. */
function quantitiesIn(
  resources: readonly TemplateResource[],
  requests: number,
  callers: number,
): Record<string, number> {
  const of = (type: string) => propertiesOf(resources, type);
  const memoryGbOf = (folder: string) => {
    const found = resources.find(({ Metadata }) => Metadata?.[nameMetadataKey] === folder);
    return Number(found?.Properties?.['MemorySize']) / 1_024;
  };
  const [redis] = of('ElastiCache::ReplicationGroup');
  const [cluster] = of('RDS::DBCluster');
  const [task] = of('ECS::TaskDefinition');
  const [firewall] = of('WAFv2::WebACL');
  const interfaces = of('EC2::VPCEndpoint').filter(({ VpcEndpointType }) => VpcEndpointType === 'Interface');
  const zones = interfaces[0].SubnetIds.length;
  const runs = (60 * hours) / Number(/\d+/.exec(of('Events::Rule')[0].ScheduleExpression));
  const checks = callers * (3_600 / of('ApiGateway::Authorizer')[0].AuthorizerResultTtlInSeconds) * hours;
  const tokenMinutes = of('Cognito::UserPoolClient')[0].AccessTokenValidity;
  const writtenGb = (requests * (323 + 336)) / 1e9 + 1;
  const instances = of('RDS::DBInstance').flatMap((it) => (it.MultiAZ ? [it, it] : [it]));
  const capacity = instances.length * cluster?.ServerlessV2ScalingConfiguration.MinCapacity;
  const watched = of('CloudWatch::Alarm').flatMap(({ Metrics }) => Metrics?.filter(isMetric) ?? [1]);
  const passwords = [...of('RDS::DBInstance'), ...of('RDS::DBCluster')].filter(
    (it) => it.ManageMasterUserPassword,
  );
  return {
    'Lambda: Read function: hits': requests * 0.98 * 0.003 * memoryGbOf('read'),
    'Lambda: Read function: misses': requests * 0.02 * 0.015 * memoryGbOf('read'),
    'Lambda: Read function: starts': requests * 0.01 * 0.5 * memoryGbOf('read'),
    'Lambda: Authorizer: requests': checks / 1e6,
    'Lambda: Authorizer: time': checks * 0.01 * memoryGbOf('authorizer'),
    'Lambda: Warmer: time': runs * 8 * memoryGbOf('warmer'),
    [`Redis: Nodes, ${redis.CacheNodeType}`]: redis.NumCacheClusters * hours,
    ...(cluster
      ? {
          'Postgres: Aurora, capacity': capacity * hours,
          'Postgres: RDS Proxy, by ACUs': of('RDS::DBProxy').length * Math.max(8, capacity) * hours,
        }
      : {
          [`Postgres: Instance, ${instances[0].DBInstanceClass}`]: instances.length * hours,
          'Postgres: Storage': instances.length * instances[0].AllocatedStorage,
          'Postgres: RDS Proxy, by vCPUs': of('RDS::DBProxy').length * 2 * hours,
        }),
    'Network: Interface endpoints': interfaces.length * zones * hours,
    'Monitoring: Task, processors': of('ECS::Service')[0].DesiredCount * (task.Cpu / 1_024) * hours,
    'Monitoring: Task, memory': of('ECS::Service')[0].DesiredCount * (task.Memory / 1_024) * hours,
    'Monitoring: Private names': of('ServiceDiscovery::PrivateDnsNamespace').length,
    'Logs and metrics: Logs kept':
      (writtenGb * 0.15 * Math.max(...of('Logs::LogGroup').map((it) => it.RetentionInDays))) / (hours / 24),
    'Logs and metrics: Metrics of the methods': of('ApiGateway::Method').length * 5,
    'Logs and metrics: Alarms': watched.length,
    ...(firewall && { 'Firewall: Web ACL': 1, 'Firewall: Rules': firewall.Rules.length }),
    'Tokens and secrets: Tokens': callers * (60 / tokenMinutes) * hours,
    'Tokens and secrets: Secrets': of('SecretsManager::Secret').length + passwords.length,
    'Traffic: From Redis in another zone': (requests * 1_000 * (1 - 1 / zones)) / 1e9,
  };
}

const isMetric = ({ MetricStat }: { MetricStat?: object }) => MetricStat !== undefined;

/** Those with lines, and those of which the page says that they are free, or cents. */
const knownServices = new Set([
  ...['ApiGateway', 'Lambda', 'ElastiCache', 'RDS', 'EC2', 'ECS', 'EFS', 'ServiceDiscovery', 'Logs'],
  ...['CloudWatch', 'WAFv2', 'Cognito', 'SecretsManager'],
  ...['CodeDeploy', 'Events', 'SNS', 'SQS', 'IAM', 'Custom'],
]);

describe.each([
  ['small', devStage, 3],
  ['medium', prodStage, 10],
  ['large', enlarged(prodStage), 30],
] as const)('what is counted in %s is in its templates', (name, stage, callers) => {
  const resources = [...synthesiseStage(stage).values()].flatMap(({ Resources }) => Object.values(Resources));
  const size = names.indexOf(name);
  const counted = new Map(linesOf(size).map((line) => [line.name, line.quantity]));
  const quantities = quantitiesIn(resources, numberIn(totals.get('Requests a month')?.[size]), callers);

  it.each(Object.entries(quantities))('%s', (line, quantity) => {
    expect(counted.get(line)).toBe(Number(quantity.toPrecision(4)));
  });

  it('and no kind of server, proxy or firewall is counted that it has not', () => {
    const named = [...counted.keys()].filter((line) =>
      /^(Redis|Firewall|Postgres): (?!Req|Aurora, [sI])/.test(line),
    );
    expect(named.filter((line) => !(line in quantities))).toEqual([]);
  });

  it('of services that the page knows, without a NAT gateway', () => {
    const services = new Set(resources.map(({ Type }) => Type.replace(/^AWS::/, '').replace(/::.*/, '')));
    expect([...services].filter((service) => !knownServices.has(service))).toEqual([]);
    expect(propertiesOf(resources, 'EC2::NatGateway')).toEqual([]);
  });

  it('of the kinds that have these prices: functions and task on arm64, a file system that bursts', () => {
    const functions = propertiesOf(resources, 'Lambda::Function');
    const [task] = propertiesOf(resources, 'ECS::TaskDefinition');
    const [files] = propertiesOf(resources, 'EFS::FileSystem');
    expect(new Set(functions.flatMap(({ Architectures }) => Architectures))).toEqual(new Set(['arm64']));
    expect(task.RuntimePlatform.CpuArchitecture).toBe('ARM64');
    expect(files.ThroughputMode ?? 'bursting').toBe('bursting');
  });

  it('a line of the access log has as many fields as the page says', () => {
    const [stageOfApi] = propertiesOf(resources, 'ApiGateway::Stage');
    const fields = Object.keys(JSON.parse(stageOfApi.AccessLogSetting.Format));
    expect(page).toContain(`323 bytes, a line of ${fields.length} fields`);
  });
});
