/** What a stage costs: that the document is what the program writes, and that what is counted is what is deployed. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  costOf,
  endpoints,
  formatNumber,
  type Line,
  linesOf,
  product,
  totalOf,
} from '../../../../infra/docs/costs/costs.ts';
import { withCosts } from '../../../../infra/docs/costs/document.ts';
import { type Price, prices, redisNodePrices } from '../../../../infra/docs/costs/prices.ts';
import {
  accessLogLine,
  deployed,
  large,
  medium,
  newServersOf,
  type Size,
  sizes,
  small,
} from '../../../../infra/docs/costs/sizes.ts';
import type { StageConfig } from '../../../../infra/stage-config.ts';
import { adoptedStage } from '../../../../infra/stages/adopted.ts';
import { devStage } from '../../../../infra/stages/dev.ts';
import { prodStage } from '../../../../infra/stages/prod.ts';
import { onlyOne, synthesiseApi } from '../../../support/api-stack.ts';
import { synthesiseStage } from '../../../support/synthesis.ts';

const document = readFileSync(new URL('../../../../docs/costs.md', import.meta.url), 'utf8');

function lineOf(size: Size, what: string): Line {
  const found = linesOf(size).filter((line) => line.what === what);
  if (found.length !== 1) throw new Error(`${size.name} has ${found.length} lines "${what}"`);
  return found[0] as Line;
}

describe('docs/costs.md', () => {
  it('is what the program writes: run node infra/docs/costs/main.ts', () => {
    expect(withCosts(document)).toBe(document);
  });

  it('keeps what people wrote around the generated part', () => {
    const written = withCosts(
      'Before\n<!-- costs: written by npm run docs -->Last year<!-- end of costs -->\nAfter\n',
    );

    expect(written).toMatch(/^Before\n<!-- costs: .* -->\n\n## Three sizes\n/);
    expect(written).toMatch(/\n<!-- end of costs -->\nAfter\n$/);
    expect(written).not.toContain('Last year');
  });

  it('is not written without its marks', () => {
    expect(() => withCosts('# Costs\n')).toThrow('Without');
  });
});

describe('the arithmetic', () => {
  it('multiplies, and says what', () => {
    expect(product({ nodes: 2, hours: 730 })).toEqual({ value: 1_460, text: '2 nodes × 730 hours' });
    expect(product({ nodes: 1, 'requests/s': 1, s: 1 }).text).toBe('1 node × 1 request/s × 1 s');
  });

  it('has the nodes of Redis in medium as by hand: 2 × 730 × 0.1752', () => {
    expect(costOf(lineOf(medium, 'Nodes, cache.r7g.large'))).toBeCloseTo(255.792, 6);
  });

  it('has the requests of large as by hand: 333 × 3.50 + 667 × 2.80 + 314 × 2.38', () => {
    expect(totalOf(linesOf(large), 'API Gateway')).toBeCloseTo(3_780.42, 6);
  });

  it('counts gigabytes of bytes and millions of requests', () => {
    const price: Price = { ...prices.logsWritten, usd: 0.5 };

    expect(costOf({ amount: product({ bytes: 3_000_000_000 }), price })).toBe(1.5);
    expect(
      costOf({ amount: product({ requests: 131_400_000 }), price: prices.firewallRequests }),
    ).toBeCloseTo(78.84, 6);
  });

  it('adds up to the totals of the document', () => {
    for (const size of sizes) {
      const sum = linesOf(size).reduce((all, line) => all + costOf(line), 0);
      const shown = sum.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
      expect(document).toContain(`| **All** |  |  |  | **${shown}** |`);
    }
  });
});

describe("a size's quantities are its stage's settings", () => {
  it.each([
    ['small', small, devStage],
    ['medium', medium, prodStage],
  ])('%s is a stage as it is', (_, size, stage) => {
    expect(size.stage).toBe(stage);
  });

  it('large is prod with more in two places', () => {
    const { redis, database, ...rest } = newServersOf(large.stage);
    const prod = newServersOf(prodStage);

    expect(rest).toEqual({ network: prod.network });
    expect(redis).toEqual({ ...prod.redis, nodeType: 'cache.r7g.xlarge' });
    expect(database).toEqual({ ...prod.database, minCapacity: 2 });
    expect({ ...large.stage, servers: prodStage.servers }).toEqual(prodStage);
  });

  it.each(sizes)('$name has the nodes, zones and functions of its stage', (size) => {
    const { network, redis } = newServersOf(size.stage);
    const { amount, price } = lineOf(size, `Nodes, ${redis.nodeType}`);

    expect(price.what).toContain(redis.nodeType);
    expect(amount.value).toBe((redis.replicas + 1) * 730);
    expect(lineOf(size, 'Interface endpoints').amount.value).toBe(2 * network.zones * 730);
    expect(lineOf(size, 'Read function: hits').amount.text).toContain(
      `${formatNumber(size.stage.functions.read.memoryMiB / 1_024)} GB`,
    );
    expect(lineOf(size, 'Warmer: time').amount.text).toContain(
      `${60 / size.stage.warmEveryMinutes} runs/hour`,
    );
    expect(linesOf(size).some(({ part }) => part === 'Firewall')).toBe(size.stage.firewall !== undefined);
  });

  it('have the capacity of Aurora, and the storage of RDS', () => {
    expect(lineOf(medium, 'Aurora, capacity').amount.text).toBe('2 instances × 1 ACU × 730 hours');
    expect(lineOf(large, 'Aurora, capacity').amount.text).toBe('2 instances × 2 ACUs × 730 hours');
    expect(lineOf(small, 'Storage').amount.text).toBe('1 instance × 20 GB');
  });

  it('count every shard of Redis, and a proxy of more than eight units', () => {
    const servers = { ...prodStage.servers, ...newServersOf(prodStage) } as StageConfig['servers'] & object;
    const stage = {
      ...prodStage,
      servers: {
        ...servers,
        redis: { ...newServersOf(prodStage).redis, shards: 3 },
        database: { ...newServersOf(prodStage).database, minCapacity: 5 },
      },
    } as StageConfig;
    const size = { ...medium, stage };

    expect(lineOf(size, 'Nodes, cache.r7g.large').amount.value).toBe(3 * 2 * 730);
    expect(lineOf(size, 'RDS Proxy').amount.value).toBe(10 * 730);
  });

  it('are not guessed where the price or the servers are not known', () => {
    const redis = { ...newServersOf(devStage).redis, nodeType: 'cache.m7g.large' };
    const stage = { ...devStage, servers: { ...devStage.servers, redis } } as StageConfig;

    expect(() => linesOf({ ...small, stage })).toThrow('No price of cache.m7g.large');
    expect(() => endpoints({ stage: adoptedStage })).toThrow('servers that are not its own');
  });
});

type Resource = { readonly Type: string; readonly Properties: Record<string, unknown> };

function synthesise(stage: StageConfig): readonly Resource[] {
  const templates = [...synthesiseStage(stage).values()];
  return templates.flatMap(({ Resources }) => Object.values(Resources) as Resource[]);
}

/** Those with lines of their own, and those that the document says cost nothing, or cents. */
const knownServices: ReadonlySet<string> = new Set([
  ...['ApiGateway', 'Lambda', 'ElastiCache', 'RDS', 'EC2', 'ECS', 'EFS', 'ServiceDiscovery', 'Logs'],
  ...['CloudWatch', 'WAFv2', 'Cognito', 'SecretsManager'],
  ...['CodeDeploy', 'Events', 'SNS', 'SQS', 'IAM', 'Custom'],
]);

/** Each metric that an alarm watches; of an expression those that it is made of. */
function metricsOf({ Properties }: Resource): number {
  const metrics = Properties['Metrics'] as { MetricStat?: object }[] | undefined;
  return metrics?.filter(({ MetricStat }) => MetricStat).length ?? 1;
}

describe.each([
  ['dev', devStage],
  ['prod', prodStage],
] as const)('what is counted is in the templates of %s', (_, stage) => {
  const resources = synthesise(stage);
  const of = (type: string) => resources.filter(({ Type }) => Type === type);
  const propertiesOf = (type: string) => of(type)[0]?.Properties;

  it('endpoints, methods, secrets and alarms', () => {
    const interfaces = of('AWS::EC2::VPCEndpoint').filter(
      ({ Properties }) => Properties['VpcEndpointType'] === 'Interface',
    );
    const passwordsOfRds = resources.filter(({ Properties }) => Properties?.['ManageMasterUserPassword']);

    expect(interfaces).toHaveLength(deployed.interfaceEndpoints);
    expect(of('AWS::ApiGateway::Method')).toHaveLength(deployed.apiMethods);
    expect(of('AWS::SecretsManager::Secret').length + passwordsOfRds.length).toBe(deployed.secrets);
    expect(of('AWS::CloudWatch::Alarm').reduce((sum, alarm) => sum + metricsOf(alarm), 0)).toBe(
      deployed.alarmMetrics[newServersOf(stage).database.kind],
    );
  });

  it('no service that costs.ts and the document do not know, and no NAT gateway', () => {
    const services = new Set(resources.map(({ Type }) => Type.replace(/^AWS::/, '').replace(/::.*/, '')));

    expect([...services].filter((service) => !knownServices.has(service))).toEqual([]);
    expect(of('AWS::EC2::NatGateway')).toEqual([]);
  });

  it("the monitoring's one task", () => {
    const { vCpus, memoryGb } = deployed.monitoringTask;

    expect(propertiesOf('AWS::ECS::Service')).toMatchObject({ DesiredCount: 1 });
    expect(propertiesOf('AWS::ECS::TaskDefinition')).toMatchObject({
      Cpu: String(vCpus * 1_024),
      Memory: String(memoryGb * 1_024),
      RuntimePlatform: { CpuArchitecture: 'ARM64' },
    });
    expect(propertiesOf('AWS::EFS::FileSystem')?.['ThroughputMode'] ?? 'bursting').toBe('bursting');
  });

  it('how long tokens and their checks are valid', () => {
    expect(propertiesOf('AWS::ApiGateway::Authorizer')).toMatchObject({
      AuthorizerResultTtlInSeconds: deployed.authorizerCacheSeconds,
    });
    expect(propertiesOf('AWS::Cognito::UserPoolClient')).toMatchObject({
      AccessTokenValidity: deployed.tokenSeconds / 60,
      TokenValidityUnits: { AccessToken: 'minutes' },
    });
  });

  it('functions on arm64', () => {
    expect(of('AWS::Lambda::Function').map(({ Properties }) => Properties['Architectures'])).toEqual(
      of('AWS::Lambda::Function').map(() => ['arm64']),
    );
  });
});

describe('what a request leaves in the access log', () => {
  it('is a line in the deployed format, without a variable', () => {
    const { template } = synthesiseApi();
    const { AccessLogSetting } = onlyOne(template, 'AWS::ApiGateway::Stage') as {
      AccessLogSetting: { Format: string };
    };
    const line = JSON.parse(accessLogLine());

    expect(Object.keys(line)).toEqual(Object.keys(JSON.parse(AccessLogSetting.Format)));
    expect(Object.values(line).join()).not.toContain('$context');
  });
});

describe('the firewall', () => {
  it('has as many rules as are counted', () => {
    const { template } = synthesiseApi({ firewall: { requestsPer5MinutesAndAddress: 10_000 } });

    expect(onlyOne(template, 'AWS::WAFv2::WebACL')['Rules']).toHaveLength(deployed.firewallRules);
  });
});

describe('the prices', () => {
  const all: readonly Price[] = [...Object.values(prices), ...Object.values(redisNodePrices)];

  it.each(all.map((price) => [price.what, price] as const))('%s has a source and its date', (_, price) => {
    expect(price.usd).toBeGreaterThan(0);
    expect(URL.canParse(price.source)).toBe(true);
    expect(price.asOf).toMatch(/^(\d{4}(-\d{2}){0,2}|undated|unknown)$/);
    expect(price.asOf === 'unknown').toBe(price.standing === 'unconfirmed');
  });

  it('of AWS itself are read in its own pages or code', () => {
    for (const { standing, source } of all) {
      if (standing === 'aws')
        expect(source).toMatch(/^https:\/\/(docs\.aws\.amazon\.com|aws\.amazon\.com|github\.com\/aws)\//);
    }
  });
});
