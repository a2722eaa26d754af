/** Servers of a test's own: started in a folder, for as long as some work takes. */
import pg from 'pg';
import { identify, type ProcessIdentity } from '../../infra/local/processes/process-identity.ts';
import { claimRun } from '../../infra/local/processes/run.ts';
import { planServers, type Servers, startServers } from '../../infra/local/servers/index.ts';

export async function withServers(
  stateDir: string,
  work: (servers: Servers) => Promise<unknown>,
  report: (step: string) => void = () => {},
): Promise<void> {
  const run = await claimRun({ stateDir });
  const servers = await startServers({ run, plan: await planServers(stateDir, {}), report });
  try {
    await work(servers);
  } finally {
    await servers.stop();
    run.release();
  }
}

export async function queryOnce(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return (await client.query(sql).finally(() => client.end())).rows;
}

/** Those that run. */
export function identifyAll(pids: readonly number[]): ProcessIdentity[] {
  return pids.map((pid) => identify(pid)).filter((identity) => identity !== undefined);
}
