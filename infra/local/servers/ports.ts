/** Free loopback ports for the servers: last time's where they are still free, so that addresses stay the same from start to start. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';

export type ServerPorts = { readonly postgres: number; readonly redis: number; readonly pushgateway: number };

export const LOOPBACK = '127.0.0.1';

export async function choosePorts(stateDir: string): Promise<ServerPorts> {
  const last = readLastPorts(stateDir);
  const [postgres, redis, pushgateway] = await Promise.all([
    findFreePort(last.postgres),
    findFreePort(last.redis),
    findFreePort(last.pushgateway),
  ]);
  return { postgres, redis, pushgateway };
}

export function rememberPorts(stateDir: string, ports: Partial<ServerPorts>): void {
  writeFileSync(join(stateDir, 'ports.json'), JSON.stringify({ ...readLastPorts(stateDir), ...ports }));
}

function readLastPorts(stateDir: string): Partial<ServerPorts> {
  try {
    return JSON.parse(readFileSync(join(stateDir, 'ports.json'), 'utf8')) as Partial<ServerPorts>;
  } catch {
    return {}; // the first start
  }
}

/** The preferred port when it is free, else one that the operating system gives. */
export async function findFreePort(preferred?: number): Promise<number> {
  if (preferred !== undefined && (await isPortFree(preferred))) return preferred;
  return listenOnce(0);
}

export function isPortFree(port: number): Promise<boolean> {
  return listenOnce(port).then(
    () => true,
    () => false,
  );
}

/** Listens and lets go again; rejects with the code of the operating system when the port cannot be had. */
export function listenOnce(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port, host: LOOPBACK, exclusive: true }, () => {
      const address = server.address();
      const chosen = typeof address === 'object' && address !== null ? address.port : port;
      server.close(() => resolve(chosen));
    });
  });
}
