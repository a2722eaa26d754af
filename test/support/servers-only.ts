/** A runner of the servers alone, for tests that kill it: starts them in the folder named by its argument and says so in JSON. */
import { claimRun } from '../../infra/local/processes/run.ts';
import { planServers, startServers } from '../../infra/local/servers/index.ts';

const stateDir = process.argv[2] ?? '';
const run = await claimRun({ stateDir, url: 'http://127.0.0.1:9' });
const servers = await startServers({ run, plan: await planServers(stateDir, {}), report: () => {} });
process.stdout.write(`${JSON.stringify({ pids: servers.processes.map(({ pid }) => pid) })}\n`);
setInterval(() => {}, 60_000); // until it is killed
