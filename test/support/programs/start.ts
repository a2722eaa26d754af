/** Starts the tests' programs, processes of their own to freeze, thaw and kill; each ends with its test or its file, or when the test's process dies. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { atEnd, atFileEnd } from '../at-end.ts';
import type { Authority } from '../certificates.ts';
import { claimFolder, type OwnFolder } from '../own-folder.ts';
import type { AdminActions } from './admin.ts';
import type { Actions } from './offer.ts';
import { Program } from './program.ts';
import type { ReadFunctionActions } from './read-function.ts';
import type { ReaderActions } from './reader.ts';
import type { TlsClientActions } from './tls-client.ts';
import type { WarmerActions } from './warmer.ts';

export type Reader = Program<ReaderActions>;
export type TlsClient = Program<TlsClientActions>;
export type Warmer = Program<WarmerActions>;

type Servers = {
  readonly redisUrl: string;
  readonly databaseUrl: string;
  /** @default none: the real one is shared, and what it has is replaced by every push */
  readonly pushgatewayUrl?: string;
};

/** What these programs are about are not the datasets of the product. */
const OWN_DATASETS = new URL('../datasets/instead.ts', import.meta.url).href;
/** A bound against hanging. */
const CALL_TIMEOUT_MS = 60_000;
/** A start may wait for Redis for a moment only: on a busy machine it would not be told from one whose Redis is away. */
const SLOW_CLOCK = new URL('./slow-clock.ts', import.meta.url).href;

/** A container's cache of users. */
export function startReader({ redisUrl, databaseUrl }: Servers): Promise<Reader> {
  return start('reader', addressesOf({ redisUrl, databaseUrl }));
}

/** The real handler. */
export function startWarmer(servers: Servers): Promise<Warmer> {
  return start(
    'warmer',
    { ...addressesOf(servers), STAGE: 'warmers', LOG_LEVEL: 'info' },
    { keepsOutput: true },
  );
}

/** The real handler. */
export function startAdmin(servers: Servers, env: NodeJS.ProcessEnv = {}): Promise<Program<AdminActions>> {
  return start('admin', { ...addressesOf(servers), WARMER_FUNCTION_NAME: 'warmer', ...env });
}

/** A container of the real function, with its start before the first request. */
export function startReadFunction(servers: Servers): Promise<Program<ReadFunctionActions>> {
  return start('read-function', addressesOf(servers), { imports: [SLOW_CLOCK] });
}

/** What connects as the functions do, and trusts, besides the authorities that Node knows, this one. */
export function startTlsClient(trusted: Authority): Promise<TlsClient> {
  const file = join(mkdtempSync(join(tmpdir(), 'prewarm-trusted-')), 'ca.pem');
  writeFileSync(file, trusted.pem);
  // Read by Node when a process starts, and by nothing later.
  return start('tls-client', { NODE_EXTRA_CA_CERTS: file, LOG_LEVEL: 'debug' }, { keepsOutput: true });
}

function addressesOf({ redisUrl, databaseUrl, pushgatewayUrl = '' }: Servers): NodeJS.ProcessEnv {
  return { REDIS_URL: redisUrl, DATABASE_URL: databaseUrl, PUSHGATEWAY_URL: pushgatewayUrl };
}

let folder: Promise<OwnFolder> | undefined;

/** One for all programs of a file. */
function ownFolder(): Promise<OwnFolder> {
  folder ??= claimFolder('programs', atFileEnd);
  return folder;
}

type Settings = { readonly imports?: readonly string[]; readonly keepsOutput?: boolean };

/** Resolves when the program is open. What it writes goes to the test's own output, unless that is kept. */
async function start<Offered extends Actions>(
  name: string,
  env: NodeJS.ProcessEnv,
  { imports = [OWN_DATASETS], keepsOutput = false }: Settings = {},
): Promise<Program<Offered>> {
  const program = new Program<Offered>({
    name,
    path: fileURLToPath(new URL(`./${name}.ts`, import.meta.url)),
    callTimeoutMs: CALL_TIMEOUT_MS,
    watcher: (await ownFolder()).context.run,
    fork: {
      execArgv: ['--no-warnings', ...imports.flatMap((url) => ['--import', url])],
      env: { ...process.env, LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'silent', ...env },
      serialization: 'advanced', // which keeps what is undefined
      stdio: ['ignore', keepsOutput ? 'pipe' : 'inherit', 'inherit', 'ipc'],
      detached: true,
    },
  });
  atEnd(() => program.kill());
  await program.ready();
  return program;
}
