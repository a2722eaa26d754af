/** The benchmark's end of a contestant's process. */
import type { EntrantName } from '../contestants/index.ts';
import type { Failures } from '../failures.ts';
import { BenchProgram, withProcesses } from './bench-program.ts';
import type { Opening, Orders } from './contestant-process.ts';
import { MEASURED_CPU, pin } from './cpu-affinity.ts';

const PROCESS = new URL('./contestant-process.ts', import.meta.url);
const CALL_TIMEOUT_MS = 30_000;

type ClientOptions = {
  readonly name?: string;
  readonly program?: string | URL;
  readonly callTimeoutMs?: number;
};

export class ContestantClient extends BenchProgram<Orders> {
  readonly entrant: EntrantName;

  constructor(
    entrant: EntrantName,
    { name = entrant, program = PROCESS, callTimeoutMs = CALL_TIMEOUT_MS }: ClientOptions = {},
  ) {
    super({ name, program, callTimeoutMs });
    this.entrant = entrant;
  }

  static start(opening: Opening, name: string = opening.entrant): Promise<ContestantClient> {
    const client = new ContestantClient(opening.entrant, { name });
    return client.openedBy(client.call('open', opening));
  }

  /** What `work` with it answers. A peer that fails at it ends, and answers undefined. */
  spare<T>(failures: Failures<EntrantName>, work: () => Promise<T>): Promise<T | undefined> {
    const failing = (error: unknown) => {
      void this.kill();
      throw error;
    };
    return failures.spare(this.entrant, () => work().catch(failing), this.name);
  }

  /** Runs on one processor from now on, away from Redis. */
  pin(): void {
    pin(this.pid, MEASURED_CPU);
  }
}

type Work<T> = (clients: readonly ContestantClient[]) => Promise<T>;

/** What `work` answers of a process for each of `openings`; they end with it. */
export function withContestants<T>(openings: readonly Opening[], work: Work<T>): Promise<T> {
  return withProcesses(
    openings.map((opening) => () => ContestantClient.start(opening)),
    work,
  );
}

/** The same, each under its name in `openings`; without the peers that cannot be opened. */
export function withEachContestant<T>(
  openings: ReadonlyMap<string, Opening>,
  failures: Failures<EntrantName>,
  work: Work<T>,
): Promise<T> {
  const start = (name: string, opening: Opening) => () =>
    failures.spare(opening.entrant, () => ContestantClient.start(opening, name), name);
  return withProcesses(
    [...openings].map(([name, opening]) => start(name, opening)),
    work,
  );
}
