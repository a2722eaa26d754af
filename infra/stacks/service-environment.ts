/** What functions are told by their environment: where the servers are, and who issues the tokens. */
import type { Connections, Issuer } from '../constructs/connections.ts';
import type { DatabaseUser } from '../users.ts';

type Environment = Readonly<Record<string, string>>;

/** Without a Pushgateway's address metrics stay in Redis. */
export function serverEnvironment(connections: Connections, user: DatabaseUser, stage: string): Environment {
  const { redis, pushgatewayUrl } = connections;
  return {
    REDIS_URL: redis.url,
    ...databaseEnvironment(connections, user),
    ...(pushgatewayUrl !== undefined && { PUSHGATEWAY_URL: pushgatewayUrl, STAGE: stage }),
  };
}

/** The owner, and the passwords that it gives to the others. */
export function migrationEnvironment(connections: Connections): Environment {
  const { logins } = connections.database;
  return {
    ...databaseEnvironment(connections, 'owner'),
    ...(logins && { DATABASE_LOGINS: JSON.stringify(logins) }),
  };
}

function databaseEnvironment({ database }: Connections, user: DatabaseUser): Environment {
  return { DATABASE_URL: database.urls[user], ...(database.isRdsProxy && { DATABASE_PROXY: 'rds' }) };
}

export function issuerEnvironment({ issuer, audiences, jwksUri, scopePrefix }: Issuer): Environment {
  return {
    JWT_ISSUER: issuer,
    JWT_AUDIENCE: audiences.join(','),
    JWT_JWKS_URI: jwksUri,
    ...(scopePrefix !== undefined && { JWT_SCOPE_PREFIX: scopePrefix }),
  };
}

/**
 * The usage key of each client, by what its tokens call it. Written by hand, because a client's id may be known only when
 * CloudFormation deploys, and a reference cannot be the name of a field; neither ids nor keys need escaping.
 */
export function usageKeysEnvironment(keys: Environment, { clientIds = {} }: Issuer): Environment {
  const fields = Object.entries(keys).map(([client, key]) => `"${clientIds[client] ?? client}":"${key}"`);
  return { USAGE_KEYS: `{${fields.join(',')}}` };
}
