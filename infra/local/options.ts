/** The command line and the environment of `npm start`: one typed record, or one clear line about what is wrong. */
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { ExternalUrls } from './servers/external.ts';
import { StartError } from './start-error.ts';

export type Options = ReturnType<typeof readOptions>;

const DEFAULT_STATE_DIR = fileURLToPath(new URL('../../.prewarm/state', import.meta.url));
const PORT_DEFAULT = 3000;
const CONTAINERS_DEFAULT = 2;
const CONTAINERS_MAX = 16;

const FLAG = { type: 'boolean', default: false } as const;
const DECLARED = {
  port: { type: 'string' },
  containers: { type: 'string' },
  fresh: FLAG,
  /** Take over a database that holds what is not ours. */
  adopt: FLAG,
  /** Add the sample users also there. */
  seed: FLAG,
  freeze: FLAG,
  logs: FLAG,
  help: { ...FLAG, short: 'h' },
} as const;

export const HELP = `Prewarm on this machine: the synthesised API, with a real PostgreSQL, Redis and Pushgateway.

npm start -- [options]

  --port N         where the API listens, on 127.0.0.1 (default: PORT or ${PORT_DEFAULT})
  --containers N   containers of each function, 1 to ${CONTAINERS_MAX} (default: ${CONTAINERS_DEFAULT})
  --fresh          begin with empty data in PostgreSQL and Redis; a server that a variable names is not emptied
  --adopt          migrate the database of DATABASE_URL although it holds what is not Prewarm's
  --seed           add the sample users to the database of DATABASE_URL, if it has no user; they are added by themselves
                   only where Prewarm made everything
  --freeze         stop containers between invocations (SIGSTOP), as Lambda does
  --logs           show the functions' log lines here too; they are always in functions.log
  --help           show this

Environment
  REDIS_URL, DATABASE_URL, PUSHGATEWAY_URL   use these servers instead of the embedded ones;
                                             redis-cluster:// names one server of a Redis Cluster
  PORT                                       the default of --port
  PREWARM_STATE_DIR                          where data and logs are (default: .prewarm/state)

Ctrl-C stops everything that was started, and nothing else. A second one does so at once.
`;

/** @throws StartError for an unknown option or a value that is none. */
export function readOptions(args: readonly string[], env: NodeJS.ProcessEnv) {
  const { port, containers = String(CONTAINERS_DEFAULT), ...flags } = parse(args);
  const ports = { min: 1, max: 65_535 };
  return {
    ...flags,
    port:
      port === undefined
        ? readInteger('PORT', nonEmpty(env['PORT']) ?? String(PORT_DEFAULT), ports)
        : readInteger('--port', port, ports),
    containersPerFunction: readInteger('--containers', containers, { min: 1, max: CONTAINERS_MAX }),
    stateDir: readStateDir(env),
    use: {
      redisUrl: nonEmpty(env['REDIS_URL']),
      databaseUrl: nonEmpty(env['DATABASE_URL']),
      pushgatewayUrl: nonEmpty(env['PUSHGATEWAY_URL']),
    } satisfies ExternalUrls,
  };
}

/** Where this stage keeps its data, its key and its logs. */
export function readStateDir(env: NodeJS.ProcessEnv): string {
  return resolve(nonEmpty(env['PREWARM_STATE_DIR']) ?? DEFAULT_STATE_DIR);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: DECLARED }).values;
  } catch (error) {
    const [firstSentence] = (error as Error).message.split(/\.\s|\n/);
    throw new StartError(`${firstSentence}. npm start -- --help lists the options.`);
  }
}

function readInteger(name: string, text: string, { min, max }: { min: number; max: number }): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new StartError(`${name} must be a whole number from ${min} to ${max}, but is "${text}".`);
}

/** An empty variable counts as unset: that is how one is taken back for a single command. */
function nonEmpty(text: string | undefined): string | undefined {
  return text?.trim() ? text : undefined;
}
