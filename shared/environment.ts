/** The functions' settings, read from the environment in this file only, each with its form and its default. */
import { EnvironmentError } from './errors.ts';

function text(name: string, expected: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new EnvironmentError(name, expected);
  return value;
}

function optionalText(name: string): string | undefined {
  const value = process.env[name];
  return value === '' ? undefined : value;
}

function url(name: string, schemes: readonly string[]): string {
  const expected = `a URL that starts with ${schemes.map((scheme) => `${scheme}//`).join(' or ')}`;
  const value = text(name, expected);
  if (!URL.canParse(value) || !schemes.includes(new URL(value).protocol)) {
    throw new EnvironmentError(name, expected);
  }
  return value;
}

function wholeNumber(name: string): number {
  const value = text(name, 'a whole number');
  if (!/^\d{1,9}$/.test(value)) throw new EnvironmentError(name, 'a whole number');
  return Number(value);
}

/** Whether the variable is `expected`; false where it is absent. Anything else is a mistake worth stopping for. */
function flag(name: string, expected: string): boolean {
  const value = optionalText(name);
  if (value !== undefined && value !== expected) throw new EnvironmentError(name, `"${expected}" or absent`);
  return value === expected;
}

function list(name: string, expected: string): readonly [string, ...string[]] {
  const [first, ...others] = text(name, expected)
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
  if (first === undefined) throw new EnvironmentError(name, expected);
  return [first, ...others];
}

/** A JSON object whose fields are texts. */
function texts(name: string, value: string, expected: string): Readonly<Record<string, string>> {
  try {
    const parsed = Object(JSON.parse(value)) as Record<string, string>;
    if (Object.values(parsed).every((field) => typeof field === 'string' && field !== '')) return parsed;
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
  }
  // Without its cause, which quotes what may be a password.
  throw new EnvironmentError(name, expected);
}

function clientKeys(name: string): Readonly<Record<string, string>> {
  const expected = 'a JSON object from client to usage key, with a key for "default"';
  const keys = texts(name, text(name, expected), expected);
  if (keys['default'] === undefined) throw new EnvironmentError(name, expected);
  return keys;
}

export const environment = {
  logLevel: () => optionalText('LOG_LEVEL'),
  /** `-cluster` says that the address is one of a Redis Cluster's; the others are found from there. */
  redisUrl: () => url('REDIS_URL', ['redis:', 'rediss:', 'redis-cluster:', 'rediss-cluster:']),
  databaseUrl: () => url('DATABASE_URL', ['postgres:', 'postgresql:']),
  /** An RDS Proxy stands before the database: it takes no session settings, and an IAM token for a password. */
  isRdsProxy: () => flag('DATABASE_PROXY', 'rds'),
  /** With which passwords the roles that the migrations make sign in; absent where somebody else sets them. */
  databaseLogins: () =>
    Object.entries(
      texts(
        'DATABASE_LOGINS',
        optionalText('DATABASE_LOGINS') ?? '{}',
        'a JSON object from role to password',
      ),
    ).map(([role, password]) => ({ role, password })),
  /** Where the fleet's metrics are pushed to, a group for each stage. Without one, they stay in Redis. */
  pushgateway: () =>
    optionalText('PUSHGATEWAY_URL') === undefined
      ? undefined
      : { url: url('PUSHGATEWAY_URL', ['http:', 'https:']), stage: text('STAGE', 'the name of the stage') },
  warmerFunctionName: () => text('WARMER_FUNCTION_NAME', 'the name of the warmer function'),
  /** How long a deployment waits for its warm-up. */
  waitForWarmUpMs: () => wholeNumber('WAIT_FOR_WARM_UP_MS'),
  jwtIssuer: () => text('JWT_ISSUER', 'the issuer of the tokens'),
  /** Separated by commas: a token for any of them is accepted. */
  jwtAudiences: () => list('JWT_AUDIENCE', 'the audiences of the tokens, separated by commas'),
  jwtJwksUri: () => url('JWT_JWKS_URI', ['https:', 'http:']),
  /** What the issuer puts before the names of our scopes, such as `prewarm/`; absent when it puts nothing. */
  jwtScopePrefix: () => optionalText('JWT_SCOPE_PREFIX'),
  /** Names of clients as tokens have them, each with its usage key. */
  usageKeys: () => clientKeys('USAGE_KEYS'),
  /** The ElastiCache replication group behind `REDIS_URL`; absent where Redis is not ElastiCache's. */
  replicationGroupId: () => optionalText('REDIS_REPLICATION_GROUP_ID'),
  /** The role that the function has: Lambda sets all four. */
  awsRole: () => {
    const sessionToken = optionalText('AWS_SESSION_TOKEN');
    return {
      region: text('AWS_REGION', 'an AWS region'),
      accessKeyId: text('AWS_ACCESS_KEY_ID', 'the id of an access key'),
      secretAccessKey: text('AWS_SECRET_ACCESS_KEY', 'a secret access key'),
      ...(sessionToken !== undefined && { sessionToken }),
    };
  },
};
