/** The typed settings of a stage: what differs between this machine, a test account and production. */
import type { databaseRoles } from './users.ts';

export type StageConfig = {
  /** Part of every stack's name: `prewarm-prod`, `prewarm-prod-data`. */
  readonly stage: string;
  readonly logLevel: 'debug' | 'info';
  readonly logRetentionDays: 7 | 30 | 90;
  /** Clients with an API key of their own; an unknown client uses the key of `default`. */
  readonly clients: readonly ['default', ...string[]];
  readonly readThrottle: Throttle;
  /** A search costs Postgres what a hundred reads by id do, so it has an allowance of its own. */
  readonly searchThrottle: Throttle;
  readonly functions: Readonly<Record<FunctionName, FunctionSize>>;
  /** How often the warmer is started. The requirement's 30 minutes, but for tests that cannot wait for it. */
  readonly warmEveryMinutes: number;
  /** How long a deployment waits at most for the warm-up of its new keys, before traffic moves to the code that reads them. */
  readonly waitForWarmUpMs: number;
  readonly identity: Identity;
  readonly servers: Servers;
  /** Raise it when a secret of existing servers has changed: functions read it anew then. @default 0 */
  readonly secretsRevision?: number;
  /** Who is written to when an alarm goes off. @default - alarms are seen in CloudWatch only */
  readonly alarmEmails?: readonly string[];
  /** How new code gets its traffic. @default - all at once, without a way back but the next deployment */
  readonly rollout?: Rollout;
  /** @default - the address that API Gateway gives */
  readonly domain?: Domain;
  /** @default - no web application firewall */
  readonly firewall?: Firewall;
};

/** Requests a second and how many may come at once, for each client. */
export type Throttle = { readonly ratePerSecond: number; readonly burst: number };

export type FunctionSize = {
  readonly memoryMiB: number;
  readonly timeoutSeconds: number;
  /** How many containers there may be at once, set apart from the account's. @default - as many as the account has left */
  readonly reservedConcurrency?: number;
  /** Containers that are kept started; needs a rollout. @default - none */
  readonly provisionedConcurrency?: number;
};

/** In the template's metadata, a function's name: the local runner knows functions by it. */
export const nameMetadataKey = 'prewarm:function';

/** `search` is the read function once more, in containers of its own: searches take none from reads by id. */
export type FunctionName = FunctionFolder | 'search';

export type FunctionFolder = 'read' | 'admin' | 'warmer' | 'authorizer' | 'deployment-hook' | 'migrate';

/** New code of the functions behind the API gets part of the traffic first, and loses it when an alarm goes off. */
export type Rollout = 'canary-10-percent-5-minutes' | 'linear-10-percent-every-minute' | 'all-at-once';

/** Who issues the tokens: a user pool of our own, or any OIDC issuer that is there. */
type Identity = NewUserPool | ExistingIssuer;

/** A Cognito user pool with a machine client for each of `clients`. */
type NewUserPool = { readonly kind: 'new' };

type ExistingIssuer = {
  readonly kind: 'existing';
  readonly issuer: string;
  /** What a token must be for: its `aud`, or the `client_id` where it has no `aud`. */
  readonly audience: string;
  readonly jwksUri: string;
};

/** Where Redis, Postgres and the Pushgateway are: reachable as they are (this machine, an emulator), or in a VPC. */
type Servers = PlainServers | VpcServers;

export type PlainServers = {
  readonly kind: 'plain';
  readonly redisUrl: string;
  readonly databaseUrl: string;
  /** Of the roles that the migrations make; these set the passwords that are in the URLs. @default - `databaseUrl` for all */
  readonly roleUrls?: Readonly<Record<keyof typeof databaseRoles, string>> | undefined;
  readonly pushgatewayUrl: string;
};

/** Each part is new or existing, by itself; but new monitoring needs a new network. */
export type VpcServers = {
  readonly kind: 'vpc';
  readonly network: NewNetwork | ExistingNetwork;
  readonly redis: NewRedis | ExistingRedis;
  readonly database: NewAurora | NewRds | ExistingDatabase;
  readonly monitoring: NewMonitoring | ExistingMonitoring;
  /** Whether data survives the deletion of its stack: termination and deletion protection, final snapshots, kept backups. */
  readonly keepData: boolean;
};

export type NewNetwork = {
  readonly kind: 'new';
  /** How many availability zones. More or fewer later on replace the proxy: minutes without the database. */
  readonly zones: 2 | 3;
  /** Their names, as many. @default - the first of the region that the account sees */
  readonly availabilityZones?: readonly string[];
  readonly cidr: string;
};

export type ExistingNetwork = {
  readonly kind: 'existing';
  readonly vpcId: string;
  /** Private subnets, each in another zone; `availabilityZones` in the same order. */
  readonly subnetIds: readonly [string, string, ...string[]];
  readonly availabilityZones: readonly [string, string, ...string[]];
  /** The security group that Redis, Postgres and the Pushgateway let in. */
  readonly clientSecurityGroupId: string;
};

export type NewRedis = {
  readonly kind: 'new';
  readonly nodeType: string;
  /** Of each shard, in other zones. At least one: without it there is no failover. With shards, another number replaces all. */
  readonly replicas: number;
  /** Cluster mode with so many shards. @default - one shard, cluster mode off */
  readonly shards?: number;
  readonly snapshotRetentionDays: number;
  /** Raise it to replace the password; the one before holds until it is raised again. @default 1 */
  readonly passwordNumber?: number;
};

/** The secret's field `redisUrl`: `rediss://…`, or `rediss-cluster://…` with a cluster's configuration endpoint. */
export type ExistingRedis = { readonly kind: 'existing'; readonly secretName: string };

export type NewAurora = {
  readonly kind: 'aurora';
  /** Aurora capacity units, 2 GiB of memory each. */
  readonly minCapacity: number;
  readonly maxCapacity: number;
  /** Of a reader in another zone, to which Aurora fails over. */
  readonly hasReader: boolean;
  readonly backupRetentionDays: number;
};

export type NewRds = {
  readonly kind: 'rds';
  /** `t4g.medium`, `r8g.large`: without `db.`. */
  readonly instanceType: string;
  readonly multiAz: boolean;
  readonly storageGiB: number;
  readonly storageMaxGiB: number;
  readonly backupRetentionDays: number;
};

/** In each secret the field `databaseUrl`: `postgres://…?sslmode=verify-full`. */
export type ExistingDatabase = {
  readonly kind: 'existing';
  /** Of the user who migrates, and owns the tables. */
  readonly secretName: string;
  /** Of a user who may what the role `prewarm_reader` may: reads and admin calls use it. @default - `secretName` */
  readonly readerSecretName?: string;
  /** Of a user who may what the role `prewarm_warmer` may. @default - `secretName` */
  readonly warmerSecretName?: string;
  /** RDS Proxy takes no session settings at the start of a connection. */
  readonly isRdsProxy: boolean;
};

/** Pushgateway, Prometheus, Alertmanager and Grafana of our own. */
type NewMonitoring = { readonly kind: 'new' };

/** @default - without an address metrics stay in Redis, and `GET /admin/status` shows them */
type ExistingMonitoring = { readonly kind: 'existing'; readonly pushgatewayUrl?: string };

export type Domain = {
  readonly name: string;
  /** In the API's own region. */
  readonly certificateArn: string;
  /** The hosted zone that gets the record. @default - somebody else points the name to the output `DomainTarget` */
  readonly hostedZone?: { readonly id: string; readonly name: string };
};

/** AWS' managed rules for common attacks, and a limit for each address. */
export type Firewall = { readonly requestsPer5MinutesAndAddress: number };
