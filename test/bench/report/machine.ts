/** On what the figures were measured: figures without it say nothing. */
import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import { installedVersion } from '../start.ts';

export type Machine = {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly system: string;
  readonly node: string;
  readonly redis: string;
  /** Exact versions of what was measured. */
  readonly packages: Readonly<Record<string, string>>;
};

const OWN_PACKAGES = ['ioredis', 'lru-cache'] as const;
const PEER_PACKAGES = [
  'layered-loader',
  'async-cache-dedupe',
  'bentocache',
  'cache-manager',
  'cacheable',
  '@keyv/redis',
] as const;
const BYTES_PER_GB = 1_000_000_000;

export async function describeMachine(redis: Redis): Promise<Machine> {
  const [processor] = cpus();
  return {
    cpu: processor?.model ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / BYTES_PER_GB),
    system: `${process.platform} ${process.arch}`,
    node: process.version,
    redis: /^redis_version:(\S+)/m.exec(await redis.info('server'))?.[1] ?? 'unknown',
    packages: packageVersions(),
  };
}

/** "AMD EPYC, 2 cores, …; Node v24.21.0, Redis 7.0.15", and what else was measured. */
export function showMachine(
  { cpu, cores, memoryGb, system, node, redis, packages }: Machine,
  others: readonly string[] = [],
): string {
  const versions = Object.entries(packages).map(([name, version]) => `${name} ${version}`);
  const programs = [`Node ${node}`, `Redis ${redis}`, ...others];
  return `${cpu}, ${cores} cores, ${memoryGb} GB, ${system}; ${programs.join(', ')}; ${versions.join(', ')}`;
}

function packageVersions(): Record<string, string> {
  const manifest = fileURLToPath(new URL('../../../package.json', import.meta.url));
  const { dependencies, devDependencies } = JSON.parse(readFileSync(manifest, 'utf8')) as Record<
    'dependencies' | 'devDependencies',
    Record<string, string>
  >;
  const wanted = { ...dependencies, ...devDependencies };
  const own = OWN_PACKAGES.map((name) => [name, wanted[name]]);
  const peers = PEER_PACKAGES.map((name) => [name, installedVersion(name)]);
  return Object.fromEntries([...own, ...peers]);
}
