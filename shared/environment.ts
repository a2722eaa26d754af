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

function clientKeys(name: string): Readonly<Record<string, string>> {
  const expected = 'a JSON object from client to usage key, with a key for "default"';
  try {
    const parsed = JSON.parse(text(name, expected)) as Record<string, string>;
    if (typeof parsed['default'] === 'string') return parsed;
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
  }
  throw new EnvironmentError(name, expected);
}

export const environment = {
  logLevel: () => optionalText('LOG_LEVEL'),
  /** `-cluster` says that the address is one of a Redis Cluster's; the others are found from there. */
  redisUrl: () => url('REDIS_URL', ['redis:', 'rediss:', 'redis-cluster:', 'rediss-cluster:']),
  databaseUrl: () => url('DATABASE_URL', ['postgres:', 'postgresql:']),
  /** Without one, metrics stay in Redis and nothing is pushed. */
  pushgatewayUrl: () =>
    optionalText('PUSHGATEWAY_URL') === undefined ? undefined : url('PUSHGATEWAY_URL', ['http:', 'https:']),
  warmerFunctionName: () => text('WARMER_FUNCTION_NAME', 'the name of the warmer function'),
  jwtIssuer: () => text('JWT_ISSUER', 'the issuer of the tokens'),
  jwtAudience: () => text('JWT_AUDIENCE', 'the audience of the tokens'),
  jwtJwksUri: () => url('JWT_JWKS_URI', ['https:', 'http:']),
  usageKeys: () => clientKeys('USAGE_KEYS'),
};
