/** Vitest's global set-up: starts the servers before the first test file and stops them after the last one. */
import type { TestProject } from 'vitest/node';
import { startTestServers, type TestServers } from './test-servers.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    servers: TestServers;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { stop, ...servers } = await startTestServers();
  project.provide('servers', servers);
  return stop;
}
