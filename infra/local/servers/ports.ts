/** Free loopback ports for the servers: last time's where they are still free, so that addresses stay the same from start to start. */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';

export type ServerPorts = { readonly postgres: number; readonly redis: number; readonly pushgateway: number };

export const LOOPBACK = '127.0.0.1';

export async function choosePorts(stateDir: string): Promise<ServerPorts> {
  const last = readLastPorts(stateDir);
  const names = ['postgres', 'redis', 'pushgateway'] as const;
  const [postgres, redis, pushgateway] = await Promise.all(names.map((name) => findFreePort(last[name])));
  return { postgres, redis, pushgateway } as ServerPorts;
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
export function findFreePort(preferred = 0): Promise<number> {
  return listenOnce(preferred).catch(() => listenOnce(0));
}

/** Listens and lets go again; rejects with the code of the operating system when the port cannot be had. */
export async function listenOnce(port: number): Promise<number> {
  const server = createServer().listen({ port, host: LOOPBACK, exclusive: true });
  await once(server, 'listening');
  const { port: chosen } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return chosen;
}
