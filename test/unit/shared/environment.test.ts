/** What the functions accept as their settings. */
import { afterEach, describe, expect, it, vi } from 'vitest';
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
