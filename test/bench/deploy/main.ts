/** `npm run bench:deploy`: what readers feel of a deploy that empties all caches, with Prewarm and with others, in one run. */
import { Failures } from '../failures.ts';
import { describeMachine, type Machine } from '../report/machine.ts';
import { saveFigures } from '../report/results.ts';
import { report, toText } from '../report/table.ts';
import { startServers } from '../servers.ts';
import { readArguments, startBenchmark } from '../start.ts';
import { type DeployEntrant, isDeployPeer } from './contestants/index.ts';
import { type DeployOptions, makePlan, type Plan, readDeployOptions, USAGE } from './options.ts';
import { type Rehearsal, rehearse } from './rehearsal.ts';
import { publish } from './report.ts';
import { chooseTrace, splitTrace, type Trace, type TraceParts, usersNeeded } from './trace.ts';

type Input = {
  readonly options: DeployOptions;
  readonly plan: Plan;
  readonly trace: Trace;
  readonly parts: TraceParts;
};

type Rehearsals = {
  readonly machine: Machine;
  readonly postgresVersion: string;
  readonly rehearsals: readonly Rehearsal[];
  readonly failures: Failures<DeployEntrant>;
};

/** All that can be wrong with what was asked for is found before anything starts. */
function readInput(args: readonly string[]): Input {
  const options = readDeployOptions(args);
  if (options === undefined) {
    process.stdout.write(`${USAGE}\n`);
    process.exit(0);
  }
  const plan = makePlan(options);
  const trace = chooseTrace(options.trace, plan);
  return { options, plan, trace, parts: splitTrace(trace, plan) };
}

async function rehearseAll({ options, plan, trace, parts }: Input): Promise<Rehearsals> {
  const servers = await startServers(usersNeeded(trace));
  try {
    const machine = await describeMachine(servers.admin);
    const rehearsals: Rehearsal[] = [];
    const failures = new Failures(isDeployPeer);
    for (const entrant of options.entrants) {
      const context = { entrant, servers, plan, parts };
      const rehearsal = await failures.spare(entrant, () => rehearse(context));
      if (rehearsal !== undefined) rehearsals.push(rehearsal);
    }
    return { machine, postgresVersion: servers.postgresVersion, rehearsals, failures };
  } finally {
    await servers.stop();
  }
}

const input = readArguments(readInput, `\n${USAGE}`);
const startedAt = new Date();
await startBenchmark();
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
