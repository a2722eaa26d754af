/** The compose file: it opens nothing to the network, and it runs what is deployed. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { images } from '../../../infra/monitoring/images.ts';
import { compose, services } from './compose-file.ts';
import { projectDir } from './monitoring-tools.ts';

describe('the compose file', () => {
  it('has the emulators by their profiles, and the rest always', () => {
    const profiles = services.map(([name, { profiles: own = [] }]) => [name, own]);

    expect(Object.fromEntries(profiles)).toEqual({
      valkey: [],
      postgres: [],
      pushgateway: [],
      prometheus: [],
      alertmanager: [],
      grafana: [],
      ministack: ['ministack'],
      localstack: ['localstack'],
    });
  });

  it('runs the images that are deployed', () => {
    for (const [name, image] of Object.entries(images)) expect(compose.services[name]?.image).toBe(image);
  });
});

describe.each(services)('the service %s', (_, service) => {
  it('is of an exact version', () => {
    expect(service.image).toMatch(/:v?\d+\.\d+\.\d+(-alpine)?$|:\d+\.\d+-alpine$/);
  });

  it('listens on loopback only', () => {
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
    if (service.network_mode === 'host')
      expect(service.environment).toMatchObject({ BIND_HOST: '127.0.0.1', IOT_MTLS_ENABLED: '0' });
  });

  it('says when it is ready, has a bound, and does not come back by itself', () => {
    expect(service.healthcheck?.test.length).toBeGreaterThan(1);
    expect(service.mem_limit).toMatch(/^\d+[mg]$/);
    expect(service.restart).toBe('no');
  });

  it('mounts what is there: files of the project, read only, and named volumes', () => {
    for (const mount of service.volumes ?? []) {
      const [source = '', , mode] = mount.split(':');
      if (source.startsWith('./')) {
        expect(existsSync(join(projectDir, source))).toBe(true);
        expect(mode).toBe('ro');
      } else if (source !== '/var/run/docker.sock') expect(Object.keys(compose.volumes)).toContain(source);
    }
  });
});
