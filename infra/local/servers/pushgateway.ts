/** The embedded Prometheus Pushgateway on loopback; what was pushed lives as long as it runs. */
import { type ServerProcess, startProcess, waitUntilReady } from '../processes/processes.ts';
import { findOrFetchBinary } from './binaries.ts';
import { LOOPBACK } from './ports.ts';
import { probePushgateway } from './probe.ts';
import type { StartContext } from './start-context.ts';

const READY_TIMEOUT_MS = 10_000;
const PROBE_TIMEOUT_MS = 1_000;

export type PushgatewayServer = { readonly process: ServerProcess; readonly url: string };

export async function startPushgateway(context: StartContext, port: number): Promise<PushgatewayServer> {
  const binary = await findOrFetchBinary('pushgateway', context);
  // Debian's program would keep what was pushed under /var/lib, which is not ours.
  const args = [`--web.listen-address=${LOOPBACK}:${port}`, '--persistence.file='];
  const process = startProcess(context.run, {
    name: 'Pushgateway',
    command: binary.command,
    args,
    env: binary.env,
  });
  const url = `http://${LOOPBACK}:${port}`;
  await waitUntilReady(process, () => probePushgateway(url, PROBE_TIMEOUT_MS), {
    deadlineMs: READY_TIMEOUT_MS,
    signal: context.signal,
  });
  return { process, url };
}
