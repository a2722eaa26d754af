/** The processes of a benchmark: started a few at a time, used together, and ended whatever happens. */
import type { Run } from '../../../infra/local/processes/run.ts';
import type { Actions } from '../../support/programs/offer.ts';
import { Program } from '../../support/programs/program.ts';

const PARALLEL_STARTS_MAX = 4;

type BenchProgramOptions = {
  /** How failures name it. */
  readonly name: string;
  /** A file that calls `offer`. */
  readonly program: string | URL;
  readonly callTimeoutMs: number;
  /** @default - this process' own */
  readonly env?: NodeJS.ProcessEnv;
  /** Whose reaper ends it when this process dies. @default - it ends by itself, when it hears of that */
  readonly run?: Run | undefined;
};

export class BenchProgram<Offered extends Actions> extends Program<Offered> {
  constructor({ name, program, callTimeoutMs, env = process.env, run }: BenchProgramOptions) {
    // What libraries print about a Redis that is frozen on purpose is kept only to explain a crash.
    const fork = { env, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] } as const;
    super({
      name,
      path: program,
      callTimeoutMs,
      ...(run && { watcher: run }),
      fork: { ...fork, stdio: [...fork.stdio] },
    });
  }
}

/**
 * What `work` answers of the processes that `starts` start, a few at a time, because a start takes a core for a while. What
 * answers nothing is left out. All are ended, even when one fails to start.
 */
export async function withProcesses<Each extends { close(): Promise<void> }, T>(
  starts: readonly (() => Promise<Each | undefined>)[],
  work: (processes: readonly Each[]) => Promise<T>,
  end: (each: Each) => Promise<void> = (each) => each.close(),
): Promise<T> {
  const processes: Each[] = [];
  try {
    for (let from = 0; from < starts.length; from += PARALLEL_STARTS_MAX) {
      const some = starts.slice(from, from + PARALLEL_STARTS_MAX);
      const started = await Promise.allSettled(some.map((start) => start()));
      processes.push(...started.flatMap((one) => (one.status === 'fulfilled' ? (one.value ?? []) : [])));
      for (const one of started) if (one.status === 'rejected') throw one.reason;
    }
    return await work(processes);
  } finally {
    await Promise.all(processes.map(end));
  }
}
