/** What `npm run bench:deploy` was asked for, and how large a run that makes. */
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { readInteger, readNames } from '../start.ts';
import { DEPLOY_ENTRANTS, type DeployEntrant } from './contestants/index.ts';
import { type BuiltInTrace, ZIPF_LAWS } from './trace.ts';

export type DeployOptions = {
  readonly trace:
    | BuiltInTrace
    | { readonly path: string; readonly name: string; readonly about: string | undefined };
  readonly entrants: readonly DeployEntrant[];
  readonly requests: number;
  readonly rate: number;
  readonly writesDocs: boolean;
};

/** Counts are of all containers together. */
export type Plan = {
  readonly containers: number;
  /** From one request of a container to its next one. */
  readonly paceMs: number;
  readonly historyRequestsMax: number;
  readonly steadyRequests: number;
  /** The first ones after the deploy, which the tables are about. */
  readonly measuredRequests: number;
  /** With those that only the plot shows. */
  readonly afterRequests: number;
};

/** Containers that one deployment replaces. */
const CONTAINERS = 10;
const HISTORY_REQUESTS_MAX = 100_000;
/** Of each container, in a second: so many leave both processors of a small machine idle half of the time, whoever runs. */
const RATE_DEFAULT = 100;
const RATE_MAX = 1_000;
/** Of each container that are measured, before the deploy and after it. */
const REQUESTS_DEFAULT = 1_000;
/** Fewer have no 99th percentile. */
const REQUESTS_MIN = 50;
const REQUESTS_MAX = 10_000;

export const USAGE = `npm run bench:deploy -- [options]
  --trace FILE      requests to read, one id a line, compressed if FILE ends in .gz; or one that is built in, by
                    Zipf's law: zipf, the default, or long-tail, of which a third misses however warm the caches are
  --name NAME       what files and the documentation call the trace; by default as its file is called
  --about TEXT      what the documentation says of the trace
  --only A,B        of ${DEPLOY_ENTRANTS.join(', ')}
  --rate N          requests of each container in a second, ${RATE_DEFAULT} by default
  --requests N      requests of each container that are measured, ${REQUESTS_DEFAULT} by default
  --write-docs      puts tables and plot of a whole run into docs/
  --help            prints this`;

const SPEC = {
  trace: { type: 'string', default: 'zipf' },
  name: { type: 'string' },
  about: { type: 'string' },
  only: { type: 'string' },
  rate: { type: 'string', default: String(RATE_DEFAULT) },
  requests: { type: 'string', default: String(REQUESTS_DEFAULT) },
  'write-docs': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

/** Undefined when asked for help. Throws an error that says what is wrong with the arguments. */
export function readDeployOptions(args: readonly string[]): DeployOptions | undefined {
  const { values } = parseArgs({ args: [...args], options: SPEC });
  if (values.help) return undefined;
  const entrants = readNames(values.only, DEPLOY_ENTRANTS, 'contestant');
  const requests = readInteger('--requests', values.requests, REQUESTS_MIN, REQUESTS_MAX);
  const writesDocs = values['write-docs'];
  if (writesDocs && (entrants.length < DEPLOY_ENTRANTS.length || requests !== REQUESTS_DEFAULT))
    throw new Error('--write-docs takes a run of all contestants, with the default --requests.');
  return {
    trace: readTraceOptions(values),
    entrants,
    requests,
    rate: readInteger('--rate', values.rate, 1, RATE_MAX),
    writesDocs,
  };
}

type TraceValues = { trace: string; name?: string; about?: string };

function readTraceOptions({ trace, name, about }: TraceValues): DeployOptions['trace'] {
  if (isBuiltIn(trace)) {
    if (name !== undefined || about !== undefined)
      throw new Error('--name and --about are of a --trace from a file.');
    return trace;
  }
  const called = name ?? basename(trace).replace(/\..*$/, '').toLowerCase();
  if (!/^[a-z0-9][a-z0-9-]{0,39}$/.test(called) || isBuiltIn(called)) {
    throw new Error(
      `--name must be of lower case letters, digits and hyphens, at most 40, and not ${Object.keys(ZIPF_LAWS).join(' or ')}.`,
    );
  }
  return { path: trace, name: called, about };
}

function isBuiltIn(name: string): name is BuiltInTrace {
  return Object.hasOwn(ZIPF_LAWS, name);
}

export function makePlan({ rate, requests }: { rate: number; requests: number }): Plan {
  const measuredRequests = CONTAINERS * requests;
  return {
    containers: CONTAINERS,
    paceMs: 1_000 / rate,
    historyRequestsMax: HISTORY_REQUESTS_MAX,
    steadyRequests: measuredRequests,
    measuredRequests,
    afterRequests: 2 * measuredRequests,
  };
}
