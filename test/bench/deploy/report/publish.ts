/** What a run tells: the table and verdicts, and, when asked, its part of the documentation with the plot. */
import type { CaseResult } from '../../cases/case-result.ts';
import type { Failures } from '../../failures.ts';
import { type Machine, showMachine } from '../../report/machine.ts';
import { toMarkdown } from '../../report/table.ts';
import type { DeployEntrant } from '../contestants/index.ts';
import type { DeployOptions } from '../options.ts';
import type { Plan } from '../plan.ts';
import type { Rehearsal } from '../rehearsal.ts';
import type { TraceParts } from '../trace/split-trace.ts';
import type { Trace } from '../trace/trace.ts';
import { writeDeployDocs } from './deploy-docs.ts';
import { plotOf } from './deploy-plot.ts';
import { resultOf } from './deploy-result.ts';

export type DeployRun = {
  readonly options: DeployOptions;
  readonly plan: Plan;
  readonly trace: Trace;
  readonly parts: TraceParts;
  readonly startedAt: string;
  readonly tookSeconds: number;
  readonly machine: Machine;
  readonly postgresVersion: string;
  readonly rehearsals: readonly Rehearsal[];
  readonly failures: Failures<DeployEntrant>;
};

export function publish(run: DeployRun): CaseResult {
  const { options, plan, trace, rehearsals, failures } = run;
  const table = { title: `A deploy, ${trace.name}`, how: describeRun(run) };
  const result = resultOf(table, rehearsals, plan, failures.rows());
  if (options.writesDocs) {
    const markdown = `${toMarkdown(result)}\n${describeMachineOf(run)}\n`;
    writeDeployDocs({ name: trace.name, markdown, svg: plotOf(result.title, rehearsals, plan) });
  }
  return result;
}

function describeRun({ plan, trace, parts, rehearsals }: DeployRun): string {
  const each = (count: number) => amount(count / plan.containers);
  const distinct = new Set(trace.userIds).size;
  return [
    trace.about,
    `${amount(parts.history.length)} requests of history, then ${each(plan.steadyRequests)} of each of ${plan.containers} containers before the deploy and ${each(plan.measuredRequests)} of each after it, ${amount(1_000 / plan.paceMs)} a second in each; ${amount(distinct)} different users.`,
    ...rehearsals.flatMap(({ warmUp }) => (warmUp === undefined ? [] : [describeWarmUp(warmUp)])),
  ].join(' ');
}

function describeWarmUp({ report, statements, tookMs }: NonNullable<Rehearsal['warmUp']>): string {
  return `The deployment's warm-up: ${report.status}, ${amount(report.warmed)} of ${amount(report.planned)} keys in ${amount(report.durationMs)} ms (${amount(Math.round(tookMs))} ms with the start of its process), ${amount(statements)} Postgres queries, which are counted.`;
}

function describeMachineOf({ startedAt, tookSeconds, machine, postgresVersion }: DeployRun): string {
  return `Measured on ${startedAt.slice(0, 10)} in one run of ${tookSeconds} s, on ${showMachine(machine, [`PostgreSQL ${postgresVersion}`])}.`;
}

function amount(count: number): string {
  return count.toLocaleString('en');
}
