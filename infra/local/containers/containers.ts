/** Runs the functions: containers started on demand, a queue when all are busy, reserved concurrency as in an account. */
import { randomUUID } from 'node:crypto';
import type { FunctionSpec } from '../../assembly/template.ts';
import { logLine, traceIdOf } from '../log-line.ts';
import { Container, type ContainerOptions, type Outcome, throttled } from './container.ts';
import { Pool } from './pool.ts';

export type InvocationType = 'RequestResponse' | 'Event';

/** What an invocation was and how it went, for who listens. */
export type DoneInvocation = {
  readonly functionName: string;
  readonly folder: string;
  readonly payload: unknown;
  readonly result?: unknown;
  readonly error?: string;
  readonly durationMs: number;
};

export type Functions = ReturnType<typeof createFunctions>;

type FunctionsOptions = ContainerOptions & { readonly containersPerFunction: number };

const maxWaiting = 1000;
/** A caller has gone by then: API Gateway gives up after 29 s. Lambda keeps an event for hours; here it would be in the way. */
const maxWaitMs: Readonly<Record<InvocationType, number>> = { RequestResponse: 29_000, Event: 300_000 };

export function createFunctions(specs: readonly FunctionSpec[], options: FunctionsOptions) {
  const pools = new Map(specs.map((spec) => [spec.name, createPool(spec, options)]));
  const listeners = new Set<(done: DoneInvocation) => void>();
  return {
    has: (functionName: string) => pools.has(functionName),

    /** Never rejects; undefined when there is no such function. `payload` is JSON text. */
    async invoke(functionName: string, payload: string, type: InvocationType): Promise<Outcome | undefined> {
      const found = pools.get(functionName);
      if (!found) return undefined;
      const { spec, pool } = found;
      const startedAtMs = performance.now();
      const outcome = await invokeIn(pool, spec, payload, type);
      const durationMs = performance.now() - startedAtMs;
      const done = { functionName, folder: spec.folder, payload: JSON.parse(payload), durationMs };
      const isAnswered = outcome.kind === 'answered';
      if (!isAnswered) options.log(describeFailure(done, outcome));
      const end = isAnswered
        ? { result: JSON.parse(outcome.payload) }
        : { error: outcome.error.errorMessage };
      for (const listener of listeners) listener({ ...done, ...end });
      return outcome;
    },

    /** The answer takes the listener off again. */
    onInvocation(listener: (done: DoneInvocation) => void): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },

    /** Ends every container, which may give back what it holds; resolves when their processes are gone. */
    async stop(): Promise<void> {
      const containers = [...pools.values()].flatMap((each) => each.containers);
      await Promise.all(containers.map((container) => container.end()));
    },
  };
}

/** The containers of one function: all of them, and those that are idle. */
function createPool(spec: FunctionSpec, options: FunctionsOptions) {
  const length = Math.min(options.containersPerFunction, spec.reservedConcurrency ?? Infinity);
  const containers = Array.from({ length }, () => new Container(spec, options));
  return { spec, containers, pool: new Pool(containers, maxWaiting) };
}

async function invokeIn(
  pool: Pool<Container>,
  { reservedConcurrency }: FunctionSpec,
  payload: string,
  type: InvocationType,
): Promise<Outcome> {
  // An asynchronous invocation waits its turn in Lambda's own queue; a synchronous one waits for this machine only.
  if (type === 'RequestResponse' && pool.used === reservedConcurrency)
    return throttled('ReservedFunctionConcurrentInvocationLimitExceeded');
  const container = await pool.take(maxWaitMs[type]);
  if (!container) return throttled('ConcurrentInvocationLimitExceeded');
  const outcome = await container.invoke(payload);
  pool.giveBack(container, !container.isAlive);
  return outcome;
}

/** Nobody waits for an asynchronous invocation: without this line, its failure would be seen nowhere. */
function describeFailure(
  { folder, payload }: DoneInvocation,
  { kind, error }: Exclude<Outcome, { kind: 'answered' }>,
): string {
  const { errorMessage, ...facts } = error;
  const traceId = traceIdOf(payload, randomUUID());
  return logLine('error', errorMessage, traceId, { function: folder, outcome: kind, ...facts });
}
