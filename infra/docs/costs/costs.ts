/** The arithmetic: what a size uses in a month, times its prices. No figure of its own. */
import { type Price, prices, redisNodePrices } from './prices.ts';
import {
  accessLogLine,
  assumptions,
  deployed,
  hours,
  newServersOf,
  platformLogLines,
  type Size,
  seconds,
} from './sizes.ts';

/** A number, and how it came about. */
export type Amount = { readonly value: number; readonly text: string };

export type Line = {
  readonly part: Part;
  readonly what: string;
  readonly amount: Amount;
  readonly price: Price;
};

export const parts = [
  'API Gateway',
  'Lambda',
  'Redis',
  'Postgres',
  'Network',
  'Monitoring',
  'Logs and metrics',
  'Firewall',
  'Tokens and secrets',
  'Traffic',
] as const;
export type Part = (typeof parts)[number];

/** `{ hours: 730, nodes: 2 }` is 1,460, as `730 hours × 2 nodes`. */
export function product(factors: Readonly<Record<string, number>>): Amount {
  const entries = Object.entries(factors);
  return {
    value: entries.reduce((value, [, factor]) => value * factor, 1),
    text: entries.map(([unit, factor]) => `${formatNumber(factor)} ${named(unit, factor)}`).join(' × '),
  };
}

/** One node, two nodes; one request/s. */
function named(unit: string, factor: number): string {
  return factor === 1 ? unit.replace(/^(\w{2,})s\b/, '$1') : unit;
}

/** Six digits after the point are more than any factor has. */
export function formatNumber(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 6 });
}

export function costOf({ amount, price }: Pick<Line, 'amount' | 'price'>): number {
  return (amount.value / (price.units ?? 1)) * price.usd;
}

export function totalOf(lines: readonly Line[], part?: Part): number {
  return lines
    .filter((line) => part === undefined || line.part === part)
    .reduce((sum, line) => sum + costOf(line), 0);
}

export function linesOf(size: Size): readonly Line[] {
  return [
    ...inPart('API Gateway', apiGateway(size)),
    ...inPart('Lambda', [...reads(size), ...authorizer(size), warmer(size)]),
    ...inPart('Redis', redis(size)),
    ...inPart('Postgres', postgres(size)),
    ...inPart('Network', endpoints(size)),
    ...inPart('Monitoring', monitoring()),
    ...inPart('Logs and metrics', [...logs(size), ...metrics(size)]),
    ...inPart('Firewall', firewall(size)),
    ...inPart('Tokens and secrets', tokensAndSecrets(size)),
    ...inPart('Traffic', traffic(size)),
  ];
}

type PlainLine = Omit<Line, 'part'>;

function inPart(part: Part, lines: readonly PlainLine[]): Line[] {
  return lines.map((line) => ({ part, ...line }));
}

function requestsOf({ requestsPerSecond }: Size) {
  return { 'requests/s': requestsPerSecond, s: seconds };
}

/** The first millions cost more than those after them. */
function apiGateway(size: Size): PlainLine[] {
  const requests = product(requestsOf(size));
  const steps = [
    { price: prices.apiFirst, from: 0, to: 333_000_000 },
    { price: prices.apiNext, from: 333_000_000, to: 1_000_000_000 },
    { price: prices.apiLast, from: 1_000_000_000, to: 20_000_000_000 },
  ];
  return steps
    .filter(({ from }) => requests.value > from)
    .map(({ price, from, to }) => {
      const value = Math.min(requests.value, to) - from;
      const text = from === 0 ? requests.text : `of ${requests.text} those after ${formatNumber(from)}`;
      return { what: price.what, amount: { value, text }, price };
    });
}

function reads(size: Size): PlainLine[] {
  const requests = requestsOf(size);
  const { hitRatio, hitSeconds, missSeconds, coldShare, initSeconds } = assumptions;
  const GB = size.stage.functions.read.memoryMiB / 1_024;
  const time = (what: string, share: number, s: number): PlainLine => ({
    what: `Read function: ${what}`,
    amount: product({ ...requests, 'of them': share, 's billed': s, GB }),
    price: prices.lambdaTime,
  });
  return [
    { what: 'Read function: requests', amount: product(requests), price: prices.lambdaRequests },
    time('hits', hitRatio.value, hitSeconds.value),
    time('misses', share(1 - hitRatio.value), missSeconds.value),
    time('starts', coldShare.value, initSeconds.value),
  ];
}

/** Without what binary fractions leave behind: 1 - 0.98 is 0.02. */
function share(value: number): number {
  return Number(value.toFixed(6));
}

/** Once for each token and each time that API Gateway has forgotten the answer. */
function authorizer({ stage, callers }: Size): PlainLine[] {
  const perHour = 3_600 / deployed.authorizerCacheSeconds;
  const checks = { callers, 'checks/hour': perHour, hours };
  const GB = stage.functions.authorizer.memoryMiB / 1_024;
  return [
    { what: 'Authorizer: requests', amount: product(checks), price: prices.lambdaRequests },
    {
      what: 'Authorizer: time',
      amount: product({ ...checks, 's billed': assumptions.authorizerSeconds.value, GB }),
      price: prices.lambdaTime,
    },
  ];
}

/** Its requests are thousandths of a cent; a deployment's run is shorter and rarer. */
export function warmer({ stage }: Pick<Size, 'stage'>): PlainLine {
  const GB = stage.functions.warmer.memoryMiB / 1_024;
  const runs = { 'runs/hour': 60 / stage.warmEveryMinutes, hours };
  return {
    what: 'Warmer: time',
    amount: product({ ...runs, 's billed': assumptions.warmUpSeconds.value, GB }),
    price: prices.lambdaTime,
  };
}

function redis({ stage }: Size): PlainLine[] {
  const { nodeType, replicas, shards = 1 } = newServersOf(stage).redis;
  const price = redisNodePrices[nodeType];
  if (!price) throw new Error(`No price of ${nodeType}: look it up and add it to prices.ts`);
  const nodes = shards * (replicas + 1);
  return [{ what: `Nodes, ${nodeType}`, amount: product({ nodes, hours }), price }];
}

function postgres(size: Size): PlainLine[] {
  const { database } = newServersOf(size.stage);
  if (database.kind === 'aurora') return aurora(size, database);
  const { instanceType, multiAz, storageGiB } = database;
  if (instanceType !== 't4g.micro') throw new Error(`No price of ${instanceType}: add it to prices.ts`);
  const instances = multiAz ? 2 : 1;
  return [
    { what: `Instance, db.${instanceType}`, amount: product({ instances, hours }), price: prices.rdsMicro },
    { what: 'Storage', amount: product({ instances, GB: storageGiB }), price: prices.rdsStorage },
    { what: 'RDS Proxy', amount: product({ vCPUs: 2, hours }), price: prices.proxyOfRds },
  ];
}

/** At its minimum all month: a few misses a second are little work. The proxy counts at least eight units. */
function aurora(size: Size, database: { minCapacity: number; hasReader: boolean }): PlainLine[] {
  const ACUs = database.minCapacity;
  const instances = database.hasReader ? 2 : 1;
  const misses = { ...requestsOf(size), 'of them misses': share(1 - assumptions.hitRatio.value) };
  const proxied = Math.max(8, instances * ACUs);
  return [
    { what: 'Aurora, capacity', amount: product({ instances, ACUs, hours }), price: prices.auroraCapacity },
    {
      what: 'Aurora, storage',
      amount: product({ GB: assumptions.databaseGb.value }),
      price: prices.auroraStorage,
    },
    {
      what: 'Aurora, I/O',
      amount: product({ ...misses, 'I/O': assumptions.ioOfMiss.value }),
      price: prices.auroraIo,
    },
    { what: 'RDS Proxy', amount: product({ ACUs: proxied, hours }), price: prices.proxyOfAurora },
  ];
}

/** What goes through them is a few calls of the admin function. */
export function endpoints({ stage }: Pick<Size, 'stage'>): PlainLine[] {
  const { zones } = newServersOf(stage).network;
  const amount = product({ endpoints: deployed.interfaceEndpoints, zones, hours });
  return [{ what: 'Interface endpoints', amount, price: prices.endpointHour }];
}

/** What the network would have in place of its endpoints: a gateway with an address in each of `zones`. */
export function natGateways(zones: number): PlainLine[] {
  return [
    { what: 'NAT gateways', amount: product({ gateways: zones, hours }), price: prices.natHour },
    { what: 'Their addresses', amount: product({ IPs: zones, hours }), price: prices.publicAddress },
  ];
}

function monitoring(): PlainLine[] {
  const { vCpus, memoryGb } = deployed.monitoringTask;
  return [
    { what: 'Task, processors', amount: product({ vCPUs: vCpus, hours }), price: prices.fargateCpu },
    { what: 'Task, memory', amount: product({ GB: memoryGb, hours }), price: prices.fargateMemory },
    { what: 'Task, public address', amount: product({ IPs: 1, hours }), price: prices.publicAddress },
    { what: 'Data', amount: product({ GB: assumptions.monitoringGb.value }), price: prices.fileStorage },
    { what: 'Private names', amount: product({ zones: 1 }), price: prices.privateNames },
    {
      what: 'Container Insights',
      amount: product({ metrics: assumptions.containerInsights.value }),
      price: prices.insightsMetric,
    },
  ];
}

function bytesOf(lines: readonly string[]): number {
  const text = lines.reduce((bytes, line) => bytes + Buffer.byteLength(line), 0);
  return text + lines.length * assumptions.bytesOfLogEvent.value;
}

function logs(size: Size): PlainLine[] {
  const requests = requestsOf(size);
  const written = [
    { what: 'Access log', amount: product({ ...requests, bytes: bytesOf([accessLogLine()]) }) },
    { what: "Lambda's own lines", amount: product({ ...requests, bytes: bytesOf(platformLogLines) }) },
    { what: 'Other logs', amount: product({ bytes: assumptions.otherLogBytes.value }) },
  ];
  const value = written.reduce((bytes, { amount }) => bytes + amount.value, 0);
  const months = share(size.stage.logRetentionDays / (hours / 24));
  const kept = product({ bytes: value, 'of them left': assumptions.keptShare.value, months });
  return [
    ...written.map((line) => ({ ...line, price: prices.logsWritten })),
    { what: 'Logs kept', amount: kept, price: prices.logsKept },
  ];
}

function metrics({ stage }: Size): PlainLine[] {
  const perMethod = assumptions.detailedMetrics.value;
  return [
    {
      what: 'Metrics of the methods',
      amount: product({ methods: deployed.apiMethods, metrics: perMethod }),
      price: prices.metric,
    },
    {
      what: 'Alarms',
      amount: product({ 'metrics watched': deployed.alarmMetrics[newServersOf(stage).database.kind] }),
      price: prices.alarmMetric,
    },
  ];
}

function firewall(size: Size): PlainLine[] {
  if (size.stage.firewall === undefined) return [];
  return [
    { what: 'Web ACL', amount: product({ ACLs: 1 }), price: prices.firewall },
    { what: 'Rules', amount: product({ rules: deployed.firewallRules }), price: prices.firewallRule },
    { what: 'Requests', amount: product(requestsOf(size)), price: prices.firewallRequests },
  ];
}

function tokensAndSecrets({ callers }: Size): PlainLine[] {
  const perHour = 3_600 / deployed.tokenSeconds;
  return [
    { what: 'Tokens', amount: product({ callers, 'tokens/hour': perHour, hours }), price: prices.token },
    { what: 'Secrets', amount: product({ secrets: deployed.secrets }), price: prices.secret },
  ];
}

/** A container in one of `zones` finds Redis in its own as often as chance has it. */
function traffic(size: Size): PlainLine[] {
  const requests = requestsOf(size);
  const { zones } = newServersOf(size.stage).network;
  const crossing = share((zones - 1) / zones);
  return [
    {
      what: 'Answers to the internet',
      amount: product({ ...requests, bytes: assumptions.answerBytes.value }),
      price: prices.transferOut,
    },
    {
      what: 'From Redis in another zone',
      amount: product({ ...requests, 'of them': crossing, bytes: assumptions.redisBytes.value }),
      price: prices.transferBetweenZones,
    },
  ];
}
