/** The compose file, as the tests read it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { projectDir } from './monitoring-tools.ts';

type Service = {
  readonly image: string;
  readonly profiles?: string[];
  readonly ports?: string[];
  readonly volumes?: string[];
  readonly network_mode?: string;
  readonly environment?: Record<string, string>;
  readonly mem_limit?: string;
  readonly restart?: string;
  readonly healthcheck?: { test: string[]; retries: number };
};

export const composeFile = join(projectDir, 'docker-compose.localstack.yml');
export const compose: { services: Record<string, Service>; volumes: Record<string, null> } = parse(
  readFileSync(composeFile, 'utf8'),
  { merge: true },
);
export const services = Object.entries(compose.services);
