/** The embedded Prometheus Pushgateway on loopback; what was pushed lives as long as it runs. */
import { startProcess, waitUntilReady } from '../processes/processes.ts';
import { findOrFetchBinary } from './binaries.ts';
import { LOOPBACK } from './ports.ts';
import { probePushgateway } from './probe.ts';
import type { StartContext, StartedServer } from './start-context.ts';

const READY_TIMEOUT_MS = 10_000;
const PROBE_TIMEOUT_MS = 1_000;

export async function startPushgateway(context: StartContext, port: number): Promise<StartedServer> {
  const binary = await findOrFetchBinary('pushgateway', context);
  // Debian's program would keep what was pushed under /var/lib, which is not ours.
  const args = [`--web.listen-address=${LOOPBACK}:${port}`, '--persistence.file='];
  const process = startProcess(context.run, { name: 'Pushgateway', ...binary, args });
  const url = `http://${LOOPBACK}:${port}`;
  await waitUntilReady(process, () => probePushgateway(url, PROBE_TIMEOUT_MS), {
    deadlineMs: READY_TIMEOUT_MS,
    signal: context.signal,
  });
  return { process, url };
}
