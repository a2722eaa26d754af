/** What every server's start gets: the run that records it, where to tell what takes a while, and the wish to stop; and what it gives. */
import type { ServerProcess } from '../processes/processes.ts';
import type { Run } from '../processes/run.ts';

export type StartContext = {
  readonly run: Run;
  readonly signal: AbortSignal;
  report(step: string): void;
};

/** It answers, at this address. */
export type StartedServer = { readonly process: ServerProcess; readonly url: string };
