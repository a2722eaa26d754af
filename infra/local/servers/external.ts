/** Checks the servers that the environment names, and says in one line, without any password, what is wrong with one. */
import { StartError } from '../start-error.ts';
import { probePostgres, probePushgateway, probeRedisKind } from './probe.ts';

export type ExternalUrls = {
  readonly redisUrl?: string;
  readonly databaseUrl?: string;
  readonly pushgatewayUrl?: string;
};

const REACH_TIMEOUT_MS = 3_000;

const EXTERNAL = {
  redisUrl: {
    variable: 'REDIS_URL',
    protocols: ['redis:', 'rediss:', 'redis-cluster:', 'rediss-cluster:'],
    embedded: 'Redis',
    probe: probeRedisKind,
  },
  databaseUrl: {
    variable: 'DATABASE_URL',
    protocols: ['postgres:', 'postgresql:'],
    embedded: 'PostgreSQL',
    probe: probePostgres,
  },
  pushgatewayUrl: {
    variable: 'PUSHGATEWAY_URL',
    protocols: ['http:', 'https:'],
    embedded: 'Pushgateway',
    probe: probePushgateway,
  },
} as const;

/**
 * Resolves when every server named is reachable.
 * @throws StartError for the first one that is not, within 3 s.
 */
export async function checkExternal(urls: ExternalUrls): Promise<void> {
  const named = (Object.keys(EXTERNAL) as (keyof ExternalUrls)[]).filter((key) => urls[key] !== undefined);
  await Promise.all(named.map((key) => checkOne(EXTERNAL[key], urls[key] ?? '')));
}

async function checkOne(external: (typeof EXTERNAL)[keyof typeof EXTERNAL], url: string): Promise<void> {
  const shown = maskPassword(url, external);
  try {
    await withDeadline(external.probe(url, REACH_TIMEOUT_MS));
  } catch (error) {
    throw new StartError(
      `${external.variable} names ${shown}, which ${describeReason(error).replaceAll(readPassword(url), '***')}. ` +
        `Start it, or unset ${external.variable} to use the embedded ${external.embedded}.`,
    );
  }
}

/** A URL that cannot be parsed is not shown at all: where its password is, nobody can tell. */
function maskPassword(url: string, external: { variable: string; protocols: readonly string[] }): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !external.protocols.includes(parsed.protocol)) {
    throw new StartError(`${external.variable} must be a URL that starts with ${external.protocols[0]}//.`);
  }
  if (parsed.password !== '') parsed.password = '***';
  parsed.search = ''; // may hold one too
  return parsed.href;
}

/** A client may quote the URL in its error; no password that would match everywhere. */
function readPassword(url: string): string {
  return new URL(url).password || '\u0000';
}

/** The probes bound themselves; a name server that does not answer is bounded here. */
async function withDeadline(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })),
      REACH_TIMEOUT_MS,
    );
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

const REASONS: Record<string, string> = {
  ECONNREFUSED: 'refused the connection',
  ENOTFOUND: 'is a host that no name server knows',
  EAI_AGAIN: 'is a host that no name server knows',
  ECONNRESET: 'closed the connection',
  EHOSTUNREACH: 'cannot be reached from here',
  ENETUNREACH: 'cannot be reached from here',
  ISCLUSTER: 'is one of a cluster, so its URL starts with redis-cluster:// or rediss-cluster://',
  NOCLUSTER: 'is no cluster, so its URL starts with redis:// or rediss://',
  ETIMEDOUT: `did not answer within ${REACH_TIMEOUT_MS / 1000} s`,
};

function describeReason(error: unknown): string {
  const { code, cause, name, message } = error as Error & { code?: string };
  const known = code === undefined ? undefined : REASONS[code];
  if (known !== undefined) return known;
  if (cause instanceof Error) return describeReason(cause); // fetch hides the reason one level down
  if (name === 'TimeoutError' || /time(d )?out/i.test(message)) return `${REASONS['ETIMEDOUT']}`;
  return `answered: ${message.split('\n')[0]}`;
}
