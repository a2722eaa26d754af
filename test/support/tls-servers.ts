/** Real servers that speak TLS, of a test's own: PostgreSQL, Redis and a Redis Cluster, each with the certificate that it is given. */
import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import pg from 'pg';
import { startProcess, waitUntilReady } from '../../infra/local/processes/processes.ts';
import { findOrFetchBinary } from '../../infra/local/servers/binaries.ts';
import { findFreePort, LOOPBACK } from '../../infra/local/servers/ports.ts';
import { startPostgres } from '../../infra/local/servers/postgres.ts';
import { choosePostgresUser } from '../../infra/local/servers/postgres-user.ts';
import type { StartContext } from '../../infra/local/servers/start-context.ts';
import { atEnd } from './at-end.ts';
import type { Certificate } from './certificates.ts';
import { shareSlots, until } from './own-cluster.ts';
import { claimFolder } from './own-folder.ts';

/** Bounds against hanging: the machine may be busy. */
const READY_TIMEOUT_MS = 60_000;
const PROBE_TIMEOUT_MS = 10_000;
const POLL_EVERY_MS = 20;
const CLUSTER_NODES = 3;
/** What the certificates are for; the servers listen on its IPv4 address. */
const HOST = 'localhost';

/** In PEM files that the server's user may read, and nobody else. */
function writeFiles(folder: string, certificate: Certificate, owner?: { uid: number; gid: number }) {
  const files = Object.entries(certificate).map(([name, text]) => {
    const file = join(folder, `${name}.pem`);
    writeFileSync(file, text, { mode: 0o600 });
    if (owner !== undefined) chownSync(file, owner.uid, owner.gid);
    return [name, file];
  });
  return Object.fromEntries(files) as Record<keyof Certificate, string>;
}

/** The embedded PostgreSQL, by name, as a certificate wants it. It speaks TLS to whoever asks for it, which is the test's business. */
export async function startTlsPostgres(certificate: Certificate): Promise<string> {
  const { context, path } = await claimFolder('tls-postgres');
  const { process: server, url } = await startPostgres(context, await findFreePort());
  atEnd(() => server.stop());
  const files = writeFiles(path, certificate, choosePostgresUser().owner);
  await askPostgres(url, [
    `ALTER SYSTEM SET ssl_cert_file = '${files.cert}'`,
    `ALTER SYSTEM SET ssl_key_file = '${files.key}'`,
    'ALTER SYSTEM SET ssl = on',
    'SELECT pg_reload_conf()',
  ]);
  const speaksTls = async () => {
    const { rows } = await askPostgres(url, ['SHOW ssl']);
    if (rows[0]?.ssl !== 'on') throw new Error('PostgreSQL has not read its settings again.');
  };
  await waitUntilReady(server, speaksTls, { deadlineMs: READY_TIMEOUT_MS });
  return url.replace(LOOPBACK, HOST);
}

/** Each on its own; answers the last one's result. */
async function askPostgres(url: string, statements: readonly string[]): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: PROBE_TIMEOUT_MS });
  await client.connect();
  try {
    let result: pg.QueryResult | undefined;
    for (const statement of statements) result = await client.query(statement);
    return result as pg.QueryResult;
  } finally {
    await client.end();
  }
}

/** It speaks nothing but TLS, and wants the password. */
export async function startTlsRedis(certificate: Certificate, password: string): Promise<string> {
  const { context } = await claimFolder('tls-redis');
  const { port } = await startNode(context, 'Redis', certificate, password);
  return `rediss://:${encodeURIComponent(password)}@${HOST}:${port}`;
}

/** Three masters, which speak TLS among themselves too, and tell clients of each other by name, as ElastiCache's do. */
export async function startTlsCluster(certificate: Certificate, password: string): Promise<string> {
  const { context } = await claimFolder('tls-cluster');
  const nodes = await Promise.all(
    Array.from({ length: CLUSTER_NODES }, async (_, index) => {
      const busPort = await findFreePort();
      const node = await startNode(context, `Redis-${index + 1}`, certificate, password, [
        ...['--cluster-enabled', 'yes'],
        ...['--tls-cluster', 'yes'],
        ...['--cluster-port', String(busPort)],
        ...['--cluster-announce-hostname', HOST],
        ...['--cluster-preferred-endpoint-type', 'hostname'],
      ]);
      return { ...node, busPort };
    }),
  );
  await formCluster(nodes);
  return `rediss-cluster://:${encodeURIComponent(password)}@${HOST}:${nodes[0]?.port}`;
}

type Node = { readonly admin: Redis; readonly port: number };

async function startNode(
  context: StartContext,
  name: string,
  certificate: Certificate,
  password: string,
  args: readonly string[] = [],
): Promise<Node> {
  const binary = await findOrFetchBinary('redis', context);
  const port = await findFreePort();
  const home = join(context.run.stateDir, name.toLowerCase());
  mkdirSync(home);
  const files = writeFiles(home, certificate);
  const server = startProcess(context.run, {
    name,
    command: binary.command,
    args: [
      ...['--port', '0', '--tls-port', String(port), '--bind', LOOPBACK],
      ...['--tls-cert-file', files.cert, '--tls-key-file', files.key, '--tls-ca-cert-file', files.ca],
      ...['--tls-auth-clients', 'no'],
      ...['--requirepass', password],
      ...['--save', '', '--dir', home],
      ...args,
    ],
    env: binary.env,
    cwd: home,
  });
  const admin = new Redis({
    host: HOST,
    port,
    password,
    tls: { ca: certificate.ca },
    commandTimeout: PROBE_TIMEOUT_MS,
    retryStrategy: () => POLL_EVERY_MS,
  });
  admin.on('error', () => {}); // each command tells of its own failure
  atEnd(() => admin.disconnect()); // it would try again for ever
  await waitUntilReady(server, () => admin.ping(), { deadlineMs: READY_TIMEOUT_MS });
  return { admin, port };
}

async function formCluster(nodes: readonly (Node & { readonly busPort: number })[]): Promise<void> {
  await shareSlots(nodes);
  await until('The cluster is whole', async () =>
    (await Promise.all(nodes.map(({ admin }) => isWhole(admin, nodes.length)))).every(Boolean),
  );
}

/** It must know the names of the others as well, which travel later than their addresses. */
async function isWhole(admin: Redis, nodes: number): Promise<boolean> {
  const info = (await admin.cluster('INFO')) as string;
  const known = (await admin.cluster('NODES')) as string;
  const names = known.split('\n').filter((line) => line.includes(`,${HOST}`));
  return info.includes('cluster_state:ok') && names.length === nodes;
}
