/** `npm run bench:deploy`: what readers feel of a deploy that empties all caches, with Prewarm and with others, in one run. */
import { Failures } from '../failures.ts';
import { describeMachine } from '../report/machine.ts';
import { saveFigures } from '../report/results.ts';
import { report, toText } from '../report/table.ts';
import { startServers } from '../servers.ts';
import { readArguments, startBenchmark } from '../start.ts';
import { isDeployPeer } from './contestants/index.ts';
import { makePlan, readDeployOptions, USAGE } from './options.ts';
import { type Rehearsal, rehearse } from './rehearsal.ts';
import { type DeployInput, type DeployRehearsals, publish } from './report.ts';
import { chooseTrace, splitTrace, usersNeeded } from './trace.ts';

/** All that can be wrong with what was asked for is found before anything starts. */
function readInput(args: readonly string[]): DeployInput {
  const options = readDeployOptions(args);
  if (options === undefined) {
    process.stdout.write(`${USAGE}\n`);
    process.exit(0);
  }
  const plan = makePlan(options);
  const trace = chooseTrace(options.trace, plan);
  return { options, plan, trace, parts: splitTrace(trace, plan) };
}

async function rehearseAll({ options, plan, trace, parts }: DeployInput): Promise<DeployRehearsals> {
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
