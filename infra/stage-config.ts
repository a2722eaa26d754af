/** The typed settings of every stage: what differs between this machine, a test account and production. */
import { ADMIN_CALLS_PER_MINUTE, type LimitedAction } from '../shared/limits.ts';

/** Where the functions find Redis, Postgres and the Pushgateway. One of two shapes, so that half a network cannot be typed. */
export type Addresses = PlainAddresses | VpcAddresses;

/** Addresses as they are, reachable without a VPC: this machine, or an emulator. */
export type PlainAddresses = {
  readonly kind: 'plain';
  readonly redisUrl: string;
  readonly databaseUrl: string;
  readonly pushgatewayUrl: string;
};

/**
 * Servers in an existing VPC. CloudFormation reads the network's ids from SSM parameters and the URLs with passwords
 * from Secrets Manager when it deploys, so synthesis needs no account and no secret is in a template.
 */
export type VpcAddresses = {
  readonly kind: 'vpc';
  /** SSM parameters with one id each: private subnets in two availability zones. */
  readonly privateSubnetIdParameters: readonly [string, string];
  /** SSM parameter with the security group that Redis, Postgres and the Pushgateway let in. */
  readonly clientSecurityGroupIdParameter: string;
  /** Secrets with the fields `redisUrl` (`rediss-cluster://…` for a cluster: its configuration endpoint) and `databaseUrl`. */
  readonly redisSecretName: string;
  readonly databaseSecretName: string;
  /** SSM parameter with the Pushgateway's URL. */
  readonly pushgatewayUrlParameter: string;
};

/** Who issues the tokens: as it is, or named by SSM parameters that CloudFormation reads when it deploys. */
export type Jwt = JwtConfig | JwtParameters;

type JwtParameters = {
  readonly issuerParameter: string;
  readonly audienceParameter: string;
  readonly jwksUriParameter: string;
};

type JwtConfig = { readonly issuer: string; readonly audience: string; readonly jwksUri: string };

/** Requests a second and how many may come at once, for each client. */
export type Throttle = { readonly ratePerSecond: number; readonly burst: number };

export type FunctionSize = {
  readonly memoryMiB: number;
  readonly timeoutSeconds: number;
  readonly reservedConcurrency?: number;
};

/** In the template's metadata, which folder a function comes from: the local runner knows functions by it. */
export const folderMetadataKey = 'prewarm:folder';

export type FunctionFolder = 'read' | 'admin' | 'warmer' | 'authorizer' | 'deployment-hook' | 'migrate';

export type StageConfig = {
  readonly stage: StageName;
  readonly logLevel: 'debug' | 'info';
  readonly logRetentionDays: 7 | 30 | 90;
  /** Clients with an API key of their own; an unknown client uses the key of `default`. */
  readonly clients: readonly ['default', ...string[]];
  readonly readThrottle: Throttle;
  readonly functions: Readonly<Record<FunctionFolder, FunctionSize>>;
  readonly jwt: Jwt;
  readonly addresses: Addresses;
};

export const stageNames = ['local', 'dev', 'prod'] as const;
type StageName = (typeof stageNames)[number];

/** Per client and minute. A token bucket's rate is per second, hence the division. */
export const adminThrottles: Readonly<Record<LimitedAction, Throttle>> = {
  status: perMinute('status'),
  'warm-up': perMinute('warm-up'),
  clear: perMinute('clear'),
};

function perMinute(action: LimitedAction): Throttle {
  const calls = ADMIN_CALLS_PER_MINUTE[action];
  return { ratePerSecond: calls / 60, burst: calls };
}

/** Every stage has the same sizes until measurements say otherwise. 28 s is below API Gateway's own limit of 29 s. */
const functionSizes = {
  read: { memoryMiB: 512, timeoutSeconds: 10 },
  admin: { memoryMiB: 512, timeoutSeconds: 28 },
  // Two: one run, and one that finds the lock held and says so.
  warmer: { memoryMiB: 1024, timeoutSeconds: 60, reservedConcurrency: 2 },
  authorizer: { memoryMiB: 256, timeoutSeconds: 5 },
  'deployment-hook': { memoryMiB: 256, timeoutSeconds: 30 },
  migrate: { memoryMiB: 256, timeoutSeconds: 300 },
} as const satisfies Record<FunctionFolder, FunctionSize>;

const clients = ['default', 'oncall', 'console', 'ci'] as const;

/** The issuer and the audience of this machine's tokens; `npm run token` signs with them. */
export const localJwt = { issuer: 'https://prewarm.local', audience: 'prewarm-api' } as const;

export type LocalContext = {
  readonly redisUrl: string;
  readonly databaseUrl: string;
  readonly pushgatewayUrl: string;
  readonly jwksUri: string;
};

/** The `local` stage: its addresses are known only when its servers run, so they come from outside. */
export function localStage({ jwksUri, ...addresses }: LocalContext): StageConfig {
  return {
    stage: 'local',
    logLevel: 'info',
    logRetentionDays: 7,
    clients,
    readThrottle: { ratePerSecond: 100, burst: 200 },
    functions: functionSizes,
    jwt: { ...localJwt, jwksUri },
    addresses: { kind: 'plain', ...addresses },
  };
}

/** The `dev` stage: an account to try things in. */
export const devStage: StageConfig = deployedStage('dev', {
  logLevel: 'debug',
  logRetentionDays: 7,
  readThrottle: { ratePerSecond: 100, burst: 200 },
});

/** The `prod` stage. */
export const prodStage: StageConfig = deployedStage('prod', {
  logLevel: 'info',
  logRetentionDays: 90,
  readThrottle: { ratePerSecond: 500, burst: 1000 },
});

function deployedStage(
  stage: StageName,
  settings: Pick<StageConfig, 'logLevel' | 'logRetentionDays' | 'readThrottle'>,
): StageConfig {
  return {
    stage,
    clients,
    functions: functionSizes,
    jwt: jwtOf(stage),
    addresses: addressesOf(stage),
    ...settings,
  };
}

function jwtOf(stage: StageName): JwtParameters {
  return {
    issuerParameter: `/prewarm/${stage}/jwt/issuer`,
    audienceParameter: `/prewarm/${stage}/jwt/audience`,
    jwksUriParameter: `/prewarm/${stage}/jwt/jwks-uri`,
  };
}

/** The names under which a stage's network and data are published. */
function addressesOf(stage: StageName): VpcAddresses {
  return {
    kind: 'vpc',
    privateSubnetIdParameters: [
      `/prewarm/${stage}/network/private-subnet-1-id`,
      `/prewarm/${stage}/network/private-subnet-2-id`,
    ],
    clientSecurityGroupIdParameter: `/prewarm/${stage}/network/client-security-group-id`,
    redisSecretName: `prewarm/${stage}/redis`,
    databaseSecretName: `prewarm/${stage}/database`,
    pushgatewayUrlParameter: `/prewarm/${stage}/pushgateway-url`,
  };
}
