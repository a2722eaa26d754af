/** What an RDS Proxy does to connections, on loopback before a real PostgreSQL: TLS only, no session settings, IAM tokens for passwords. */
import { once } from 'node:events';
import { type AddressInfo, createServer, Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import pg from 'pg';
import { atEnd } from './at-end.ts';
import type { Certificate } from './certificates.ts';

export type RdsProxy = {
  /** Without a password. */
  readonly url: string;
  /** With which connections were asked for, in their order. */
  readonly passwords: readonly string[];
};

type ProxyOptions = {
  /** Of the server behind it. */
  readonly databaseUrl: string;
  readonly certificate: Certificate;
  readonly user: string;
  readonly acceptsPassword: (password: string) => boolean;
  /** Run once on each connection to the server. */
  readonly initQuery: string;
};

/** All others are refused, as settings of a session are by the service. */
const STARTUP_PARAMETERS = new Set(['user', 'database', 'client_encoding', 'application_name']);

const SSL_REQUEST_BYTES = 8;
const INT_BYTES = 4;
const MESSAGE_HEADER_BYTES = 5;
/** The server's messages, by their letters: https://www.postgresql.org/docs/current/protocol-message-formats.html */
const AUTHENTICATION_OK = message('R', int(0));
const WANTS_PASSWORD = message('R', int(3));
const READY = message('Z', Buffer.from('I'));

/** Until the test is finished, or the file whose hook opened it; its own connections to the server too. */
export async function openRdsProxy(options: ProxyOptions): Promise<RdsProxy> {
  const passwords: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    // A client that goes meanwhile has its reasons: it does not trust the certificate, say.
    serve(socket, options, passwords, sockets).catch(() => socket.destroy());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const { pathname } = new URL(options.databaseUrl);
  atEnd(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  return { url: `postgres://${options.user}@localhost:${port}${pathname}`, passwords };
}

async function serve(
  socket: Socket,
  { certificate, databaseUrl, initQuery, acceptsPassword }: ProxyOptions,
  passwords: string[],
  sockets: Set<Socket>,
): Promise<void> {
  const client = await acceptTls(socket, certificate);
  const refused = (await readStartup(client)).find((name) => !STARTUP_PARAMETERS.has(name));
  if (refused !== undefined) {
    client.end(
      fatal('0A000', `Feature not supported: RDS Proxy currently doesn't support the option ${refused}.`),
    );
    return;
  }
  const password = await readPassword(client);
  passwords.push(password);
  if (!acceptsPassword(password)) {
    client.end(fatal('28P01', 'The IAM authentication failed for the role.'));
    return;
  }
  const upstream = await openUpstream(databaseUrl, initQuery);
  sockets.add(upstream);
  client.on('close', () => upstream.destroy());
  upstream.on('close', () => client.destroy());
  client.write(Buffer.concat([AUTHENTICATION_OK, READY]));
  client.pipe(upstream).pipe(client);
}

async function acceptTls(socket: Socket, certificate: Certificate): Promise<TLSSocket> {
  await read(socket, SSL_REQUEST_BYTES);
  socket.write('S');
  const { key, cert } = certificate;
  const client = new TLSSocket(socket, { isServer: true, secureContext: createSecureContext({ key, cert }) });
  return client.on('error', () => {});
}

/** The names of the parameters, which follow the protocol's version. */
async function readStartup(client: Socket): Promise<string[]> {
  const length = (await read(client, INT_BYTES)).readInt32BE();
  const parameters = (await read(client, length - INT_BYTES)).toString('utf8', INT_BYTES).split('\0');
  return parameters.filter((text, index) => index % 2 === 0 && text !== '');
}

async function readPassword(client: Socket): Promise<string> {
  client.write(WANTS_PASSWORD);
  const length = (await read(client, MESSAGE_HEADER_BYTES)).readInt32BE(1);
  return (await read(client, length - INT_BYTES)).toString('utf8').replace('\0', '');
}

/** Rejects when the connection is closed before so many have come. */
async function read(socket: Socket, bytes: number): Promise<Buffer> {
  const closed = new AbortController();
  const onClose = () => closed.abort();
  socket.once('close', onClose);
  try {
    for (;;) {
      const piece = socket.read(bytes) as Buffer | null;
      if (piece !== null) return piece;
      await once(socket, 'readable', { signal: closed.signal });
    }
  } finally {
    socket.off('close', onClose);
  }
}

/** The driver signs in; then its socket is taken from it. */
async function openUpstream(databaseUrl: string, initQuery: string): Promise<Socket> {
  const socket = new Socket();
  const driver = new pg.Client({ connectionString: databaseUrl, stream: () => socket });
  await driver.connect();
  await driver.query(initQuery);
  socket.removeAllListeners();
  return socket.on('error', () => {});
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(INT_BYTES);
  bytes.writeInt32BE(value);
  return bytes;
}

function message(letter: string, contents: Buffer): Buffer {
  return Buffer.concat([Buffer.from(letter), int(contents.length + INT_BYTES), contents]);
}

function fatal(code: string, text: string): Buffer {
  return message('E', Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${text}\0\0`));
}
