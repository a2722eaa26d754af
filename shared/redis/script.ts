/** How a feature runs a Lua script of its own in Redis: it defines a command beside its code, which every connection then has. */
import type { Cluster, Redis } from 'ioredis';

type Script = {
  readonly lua: string;
  /** @default - the first argument says how many */
  readonly numberOfKeys?: number;
};

const scripts = new Map<string, Script>();

/** Call it when the module is loaded, and declare the command's type in `RedisCommander` beside it. */
export function defineScript(name: string, script: Script): void {
  scripts.set(name, script);
}

/** Makes the scripts methods of `redis` (EVALSHA, with the text only where a server does not know it yet). */
export function addScripts(redis: Redis | Cluster): void {
  for (const [name, script] of scripts) redis.defineCommand(name, script);
}
