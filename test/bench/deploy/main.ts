/** `npm run bench:deploy`: what readers feel of a deploy that empties all caches, with Prewarm and with others, in one run. */
import { Failures } from '../failures.ts';
import { installPeers } from '../peers.ts';
import { describeMachine, type Machine } from '../report/machine.ts';
import { saveFigures } from '../report/results.ts';
import { toText } from '../report/table.ts';
import { removeLeftRuns } from '../servers.ts';
import { type DeployEntrant, isDeployPeer } from './contestants/index.ts';
import { type DeployOptions, readDeployOptions, USAGE } from './options.ts';
import { makePlan, type Plan } from './plan.ts';
import { type Rehearsal, rehearse } from './rehearsal.ts';
import { publish } from './report/publish.ts';
import { type DeployServers, startDeployServers } from './servers.ts';
import { chooseTrace } from './trace/choose-trace.ts';
import { splitTrace, type TraceParts } from './trace/split-trace.ts';
import { type Trace, usersNeeded } from './trace/trace.ts';

/** The run is given up then; it should take half of it. */
const DEADLINE_MS = 15 * 60_000;

type Input = {
  readonly options: DeployOptions;
  readonly plan: Plan;
  readonly trace: Trace;
  readonly parts: TraceParts;
};

function report(step: string): void {
  process.stderr.write(`${step}\n`);
}

/** All that can be wrong with what was asked for is found before anything starts. */
function readInput(): Input {
  try {
    const options = readDeployOptions(process.argv.slice(2));
    if (options === undefined) {
      process.stdout.write(`${USAGE}\n`);
      process.exit(0);
    }
    const plan = makePlan(options);
    const trace = chooseTrace(options.trace, plan);
    return { options, plan, trace, parts: splitTrace(trace, plan) };
  } catch (error) {
    report(`${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}

type Rehearsals = {
  readonly machine: Machine;
  readonly postgresVersion: string;
  readonly rehearsals: readonly Rehearsal[];
  readonly failures: Failures<DeployEntrant>;
};

async function rehearseAll(input: Input): Promise<Rehearsals> {
  const servers = await startDeployServers(usersNeeded(input.trace), report);
  try {
    const machine = await describeMachine(servers.redis);
    return {
      machine,
      postgresVersion: servers.postgresVersion,
      ...(await rehearseInTurn(input, servers)),
    };
  } finally {
    await servers.stop();
  }
}

async function rehearseInTurn(
  { options, plan, parts }: Input,
  servers: DeployServers,
): Promise<Pick<Rehearsals, 'rehearsals' | 'failures'>> {
  const rehearsals: Rehearsal[] = [];
  const failures = new Failures(isDeployPeer);
  for (const entrant of options.entrants) {
    const context = { entrant, servers, plan, parts, report };
    const rehearsal = await failures.spare(entrant, () => rehearse(context));
    if (rehearsal !== undefined) rehearsals.push(rehearsal);
  }
  return { rehearsals, failures };
}

const input = readInput();
const startedAt = new Date();
// Containers end with this process, and the servers' reaper sees to the servers.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
setTimeout(() => {
  report(`Given up after ${DEADLINE_MS / 60_000} minutes.`);
  process.exit(1);
}, DEADLINE_MS).unref();
await removeLeftRuns();
await installPeers(report);
const rehearsed = await rehearseAll(input);
const tookSeconds = Math.round((Date.now() - startedAt.getTime()) / 1_000);
const run = { ...input, ...rehearsed, startedAt: startedAt.toISOString(), tookSeconds };
const result = publish(run);
process.stdout.write(`${toText(result)}\n${result.how}\n`);
const {
  parts: _parts,
  failures: _failures,
  ...figures
} = { ...run, trace: { ...run.trace, userIds: undefined }, result };
const file = saveFigures(run.startedAt, JSON.stringify(figures), 'deploy-');
report(`\n${tookSeconds} s; all figures: ${file}`);
