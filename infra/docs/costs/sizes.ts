/** What is counted: three stages with their traffic, what each deploys, and everything that is assumed about them. */
import { routes } from '../../../shared/routes.ts';
import { accessLogFormat } from '../../constructs/access-logs.ts';
import type { NewAurora, NewNetwork, NewRds, NewRedis, StageConfig } from '../../stage-config.ts';
import { devStage } from '../../stages/dev.ts';
import { prodStage } from '../../stages/prod.ts';

/** Of an average month, as AWS' own calculator takes it. */
export const hours = 730;
export const seconds = hours * 3_600;

export type Size = {
  readonly name: string;
  readonly about: string;
  readonly stage: StageConfig;
  /** On average over the month: prices know no peaks. */
  readonly requestsPerSecond: number;
  /** Processes of callers, each with a token of its own that it uses as long as it is valid. */
  readonly callers: number;
};

/** What a stage makes itself, which is what is paid for. */
export type NewServers = {
  readonly network: NewNetwork;
  readonly redis: NewRedis;
  readonly database: NewAurora | NewRds;
};

/** Throws for a stage that uses what is there already: somebody else pays for that, and it is not known what. */
export function newServersOf({ stage, servers }: StageConfig): NewServers {
  if (servers.kind === 'vpc') {
    const { network, redis, database } = servers;
    if (network.kind === 'new' && redis.kind === 'new' && database.kind !== 'existing')
      return { network, redis, database };
  }
  throw new Error(`The stage "${stage}" has servers that are not its own: their costs are not known here`);
}

export const small: Size = {
  name: 'small',
  about: 'the stage `dev` as it is',
  stage: devStage,
  requestsPerSecond: 1,
  callers: 3,
};

export const medium: Size = {
  name: 'medium',
  about: 'the stage `prod` as it is',
  stage: prodStage,
  requestsPerSecond: 50,
  callers: 10,
};

/**
 * Peaks of five times the average are 2,500 requests a second, about eight of which are in a function at any moment: the
 * concurrency of `prod` is enough. What is larger is room, not a need that was measured.
 */
export const large: Size = {
  name: 'large',
  about: '`prod` with the next larger nodes of Redis and a minimum of 2 ACUs, for peaks of 2,500 a second',
  stage: enlarge(prodStage, { nodeType: 'cache.r7g.xlarge', minCapacity: 2 }),
  requestsPerSecond: 500,
  callers: 30,
};

export const sizes = [small, medium, large] as const;

function enlarge(stage: StageConfig, to: Pick<NewRedis, 'nodeType'> & Pick<NewAurora, 'minCapacity'>) {
  const { redis, database } = newServersOf(stage);
  if (stage.servers.kind !== 'vpc' || database.kind !== 'aurora') throw new Error('Only Aurora can grow so');
  const servers = {
    ...stage.servers,
    redis: { ...redis, nodeType: to.nodeType },
    database: { ...database, minCapacity: to.minCapacity },
  };
  return { ...stage, servers } satisfies StageConfig;
}

/** What is in no setting of a stage; a test counts it in the templates. */
export const deployed = {
  interfaceEndpoints: 2,
  apiMethods: Object.keys(routes).length,
  /** An instance of RDS has an alarm for its storage, which Aurora's does not need. */
  alarmMetrics: { aurora: 15, rds: 16 },
  firewallRules: 4,
  secrets: 6,
  authorizerCacheSeconds: 300,
  tokenSeconds: 3_600,
  monitoringTask: { vCpus: 0.5, memoryGb: 2 },
};

type Assumption = { readonly value: number; readonly unit: string; readonly why: string };

const operatorGuide = 'https://docs.aws.amazon.com/lambda/latest/operatorguide/execution-environments.html';

export const assumptions = {
  hitRatio: {
    value: 0.98,
    unit: 'of the reads are hits',
    why: '98.1 to 99.7 % with Prewarm, before and after a deploy, in the three traces of [benchmarks](benchmarks.md)',
  },
  hitSeconds: {
    value: 0.003,
    unit: 's billed for a hit',
    why: 'not measured on Lambda. A read from Redis takes 0.1 ms in [benchmarks](benchmarks.md), on a whole core; 512 MiB have about 0.3 of one; the rest is the network and the runtime, rounded up',
  },
  missSeconds: {
    value: 0.015,
    unit: 's billed for a miss',
    why: 'not measured on Lambda: a hit, a lease and a query through the proxy',
  },
  coldShare: {
    value: 0.01,
    unit: 'of the invocations start a container',
    why: `AWS: [typically under 1 %](${operatorGuide})`,
  },
  initSeconds: {
    value: 0.5,
    unit: 's billed for a start',
    why: "not measured on Lambda: 59 ms until it is ready on a whole core ([benchmarks](benchmarks.md), cold import), and the runtime's own start",
  },
  authorizerSeconds: { value: 0.01, unit: 's billed for a check of a token', why: 'not measured' },
  warmUpSeconds: {
    value: 8,
    unit: 's for a scheduled warm-up of 20,000 users',
    why: 'measured, [0018](decisions/0018-the-warmers-pace.md)',
  },
  answerBytes: {
    value: 1_000,
    unit: 'bytes in an answer',
    why: 'a sample user has 556, the rest is headers; nothing compressed',
  },
  redisBytes: {
    value: 1_000,
    unit: 'bytes from Redis for each read',
    why: 'as if memory never answered',
  },
  ioOfMiss: { value: 2, unit: 'I/O requests of Aurora for a miss', why: 'as if nothing were in its memory' },
  databaseGb: { value: 10, unit: 'GB in Aurora', why: 'yours; the sample users are a thousandth of it' },
  monitoringGb: {
    value: 3,
    unit: 'GB of monitoring data',
    why: 'Prometheus keeps at most 2, Grafana and Alertmanager little',
  },
  otherLogBytes: {
    value: 1_000_000_000,
    unit: 'bytes of other log lines a month',
    why: 'starts, warm-ups, errors, Postgres, Redis, the monitoring, rejected traffic',
  },
  bytesOfLogEvent: {
    value: 26,
    unit: 'bytes counted for each log line besides its text',
    why: "CloudWatch's measure of a batch; whether it is billed is not confirmed",
  },
  keptShare: {
    value: 0.15,
    unit: 'of a log is left when compressed',
    why: "what AWS' calculator takes",
  },
  detailedMetrics: {
    value: 5,
    unit: 'metrics for each method of the API',
    why: 'count, latency, latency of the integration, 4xx, 5xx: detailed metrics are on',
  },
  containerInsights: {
    value: 25,
    unit: 'metrics of Container Insights',
    why: 'for one cluster, service and task; the number is not confirmed',
  },
} as const satisfies Record<string, Assumption>;

/** Values as long as real ones. A remembered decision of the authorizer leaves its own fields out. */
const accessLogValues: Readonly<Record<string, string>> = {
  requestId: '8f507cfc-41d2-4697-b07a-ac58fc914c95',
  'authorizer.client': 'console',
  httpMethod: 'GET',
  resourcePath: '/users/{id}',
  status: '200',
  'error.responseType': '-',
  responseLatency: '12',
  responseLength: '556',
  'authorizer.status': '-',
  'authorizer.latency': '-',
  integrationStatus: '200',
  integrationLatency: '9',
  wafResponseCode: 'WAF_ALLOW',
};

/** A line of the access log: the deployed format with values in it. Throws for a variable without one. */
export function accessLogLine(): string {
  return accessLogFormat()
    .toString()
    .replaceAll(/\$context\.([A-Za-z.]+)/g, (_, variable: string) => {
      const value = accessLogValues[variable];
      if (value === undefined) throw new Error(`No sample value of the access log's "${variable}"`);
      return value;
    });
}

/** What Lambda itself writes of an invocation in its text format. A function adds nothing when all is well. */
export const platformLogLines = [
  'START RequestId: 8f507cfc-41d2-4697-b07a-ac58fc914c95 Version: 12\n',
  'END RequestId: 8f507cfc-41d2-4697-b07a-ac58fc914c95\n',
  'REPORT RequestId: 8f507cfc-41d2-4697-b07a-ac58fc914c95\tDuration: 2.53 ms\tBilled Duration: 3 ms\tMemory Size: 512 MB\tMax Memory Used: 121 MB\t\n',
] as const;
