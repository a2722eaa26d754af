/** Vitest's global set-up: starts the servers before the first test file and stops them after the last one. */
import type { TestProject } from 'vitest/node';
import { fetchTools } from '../infra/monitoring/debian-tools.ts';
import { startTestServers, type TestServers } from './test-servers.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    servers: TestServers;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // At the same time: both may have to download something.
  const tools = project.config.mode === 'all' ? fetchTools(announce) : undefined;
  const [{ stop, ...servers }] = await Promise.all([startTestServers(), tools]);
  project.provide('servers', servers);
  return stop;
}

function announce(step: string): void {
  process.stderr.write(`${step}\n`);
}
