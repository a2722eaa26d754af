/** What the functions accept as their settings. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { environment } from '../../../shared/environment.ts';
import { EnvironmentError } from '../../../shared/errors.ts';

afterEach(() => vi.unstubAllEnvs());

describe('REDIS_URL', () => {
  it.each(['redis', 'rediss', 'redis-cluster', 'rediss-cluster'])('may begin with %s://', (scheme) => {
    vi.stubEnv('REDIS_URL', `${scheme}://name:password@host:6379`);
    expect(environment.redisUrl()).toBe(`${scheme}://name:password@host:6379`);
  });

  it.each(['', 'host:6379', 'http://host', 'cluster://host'])('is refused when it is %j', (value) => {
    vi.stubEnv('REDIS_URL', value);
    expect(() => environment.redisUrl()).toThrow(EnvironmentError);
  });
});

describe('DATABASE_PROXY', () => {
  it.each([
    ['rds', true],
    ['', false],
    [undefined, false],
  ])('says, when it is %j, whether an RDS Proxy is there: %s', (value, isProxy) => {
    vi.stubEnv('DATABASE_PROXY', value);
    expect(environment.isRdsProxy()).toBe(isProxy);
  });

  it.each(['true', 'RDS', 'pgbouncer'])('is refused when it is %j', (value) => {
    vi.stubEnv('DATABASE_PROXY', value);
    expect(() => environment.isRdsProxy()).toThrow(EnvironmentError);
  });
});

describe('DATABASE_LOGINS', () => {
  it.each([
    ['{"reader":"one","warmer":"two"}', 2],
    ['{}', 0],
    ['', 0],
    [undefined, 0],
  ])('%j names so many roles: %i', (value, roles) => {
    vi.stubEnv('DATABASE_LOGINS', value);
    expect(environment.databaseLogins()).toHaveLength(roles);
  });

  it.each(['{"reader":"secret"', 'secret', '{"reader":""}', '{"reader":7}', '{"reader":{}}'])(
    'is refused when it is %j, and not quoted',
    (value) => {
      vi.stubEnv('DATABASE_LOGINS', value);
      expect(() => environment.databaseLogins()).toThrow(
        new EnvironmentError('DATABASE_LOGINS', 'a JSON object from role to password'),
      );
    },
  );
});

describe('JWT_AUDIENCE', () => {
  it.each([
    ['api', ['api']],
    ['api,console', ['api', 'console']],
    [' api , console, ', ['api', 'console']],
  ])('%j names %j', (value, audiences) => {
    vi.stubEnv('JWT_AUDIENCE', value);
    expect(environment.jwtAudiences()).toEqual(audiences);
  });

  it.each(['', ',', ' , '])('is refused when it is %j', (value) => {
    vi.stubEnv('JWT_AUDIENCE', value);
    expect(() => environment.jwtAudiences()).toThrow(EnvironmentError);
  });
});

describe("the function's role", () => {
  const all = {
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'id',
    AWS_SECRET_ACCESS_KEY: 'secret',
    AWS_SESSION_TOKEN: 'token',
  };

  beforeEach(() => {
    for (const [name, value] of Object.entries(all)) vi.stubEnv(name, value);
  });

  it('is what Lambda says', () => {
    expect(environment.awsRole()).toEqual({
      region: 'eu-west-1',
      accessKeyId: 'id',
      secretAccessKey: 'secret',
      sessionToken: 'token',
    });
  });

  it('may be without a session', () => {
    vi.stubEnv('AWS_SESSION_TOKEN', '');
    expect(environment.awsRole()).not.toHaveProperty('sessionToken');
  });

  it.each(['AWS_REGION', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'])(
    'is nobody without %s, and the error names it',
    (variable) => {
      vi.stubEnv(variable, '');
      expect(() => environment.awsRole()).toThrow(variable);
    },
  );
});
