/** Checks the servers that the environment names, and says in one line, without any password, what is wrong with one. */
import { StartError } from '../start-error.ts';
import { within } from '../time-limit.ts';
import { probePostgres, probePushgateway, probeRedisKind } from './probe.ts';

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
};
type Server = keyof typeof EXTERNAL;

/** Of those servers that are not to be started here. */
export type ExternalUrls = { readonly [server in Server]?: string | undefined };

/**
 * Resolves when every server named is reachable.
 * @throws StartError for the first one that is not, within 3 s.
 */
export async function checkExternal(urls: ExternalUrls): Promise<void> {
  const servers = Object.keys(EXTERNAL) as Server[];
  await Promise.all(servers.map((server) => urls[server] !== undefined && checkOne(server, urls[server])));
}

async function checkOne(server: Server, url: string): Promise<void> {
  const { variable, protocols, embedded, probe } = EXTERNAL[server];
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  // One that cannot be parsed is not shown at all: where its password is, nobody can tell.
  if (parsed === undefined || !protocols.includes(parsed.protocol))
    throw new StartError(`${variable} must be a URL that starts with ${protocols[0]}//.`);
  const { password } = parsed;
  if (password !== '') parsed.password = '***';
  parsed.search = ''; // may hold one too
  try {
    // The probes bound themselves; a name server that does not answer is bounded here.
    await within(REACH_TIMEOUT_MS, probe(url, REACH_TIMEOUT_MS), () => {
      throw new Error('timeout');
    });
  } catch (error) {
    // A client may quote the URL in its error.
    const reason = describeReason(error).replaceAll(password || '\u0000', '***');
    throw new StartError(
      `${variable} names ${parsed.href}, which ${reason}. Start it, or unset ${variable} to use the embedded ${embedded}.`,
    );
  }
}

const LATE = `did not answer within ${REACH_TIMEOUT_MS / 1000} s`;
const REASONS: Record<string, string> = {
  ECONNREFUSED: 'refused the connection',
  ENOTFOUND: 'is a host that no name server knows',
  EAI_AGAIN: 'is a host that no name server knows',
  ECONNRESET: 'closed the connection',
  EHOSTUNREACH: 'cannot be reached from here',
  ENETUNREACH: 'cannot be reached from here',
  ISCLUSTER: 'is one of a cluster, so its URL starts with redis-cluster:// or rediss-cluster://',
  NOCLUSTER: 'is no cluster, so its URL starts with redis:// or rediss://',
  ETIMEDOUT: LATE,
};

function describeReason(error: unknown): string {
  const { code = '', cause, name, message } = error as Error & { code?: string };
  const known = REASONS[code];
  if (known !== undefined) return known;
  if (cause instanceof Error) return describeReason(cause); // fetch hides the reason one level down
  return name === 'TimeoutError' || /time(d )?out/i.test(message)
    ? LATE
    : `answered: ${message.split('\n')[0]}`;
}
