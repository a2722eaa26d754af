/** Processes that connect as the functions do: each trusts, besides the authorities that Node knows, the one it is told. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Authority } from './certificates.ts';
import { openPrograms, type Program } from './program-process.ts';
import type { TlsActions } from './tls-program.ts';

export type TlsClient = Program<TlsActions>;

export type TlsClients = {
  start(trusted: Authority): Promise<TlsClient>;
  /** Kills all that were started. Call it in `afterAll`. */
  end(): Promise<void>;
};

const PROGRAM = fileURLToPath(new URL('./tls-program.ts', import.meta.url));

export async function openTlsClients(): Promise<TlsClients> {
  const folder = mkdtempSync(join(tmpdir(), 'prewarm-trusted-'));
  const programs = await openPrograms<TlsActions>({ name: 'TlsClient', path: PROGRAM, keepsOutput: true });
  let started = 0;
  return {
    start(trusted) {
      const file = join(folder, `${++started}.pem`);
      writeFileSync(file, trusted.pem);
      // Read by Node when a process starts, and by nothing later.
      return programs.start({ NODE_EXTRA_CA_CERTS: file, LOG_LEVEL: 'debug' });
    },
    async end() {
      await programs.end();
      rmSync(folder, { recursive: true });
    },
  };
}
