/** Runs the functions: containers started on demand, a queue when all are busy, reserved concurrency as in an account. */
import { randomUUID } from 'node:crypto';
import type { FunctionSpec } from '../../assembly/template.ts';
import { logLine, traceIdOf } from '../log-line.ts';
import { Container, type Outcome } from './container.ts';
import type { ContainerOptions } from './container-process.ts';
import { createSlots } from './slots.ts';

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

export type Functions = {
  has(functionName: string): boolean;
  /** Never rejects; undefined when there is no such function. `payload` is JSON text. */
  invoke(functionName: string, payload: string, type: InvocationType): Promise<Outcome | undefined>;
  /** The answer takes the listener off again. */
  onInvocation(listener: (done: DoneInvocation) => void): () => void;
  /** Ends every container, which may give back what it holds; resolves when their processes are gone. */
  stop(): Promise<void>;
};

export type FunctionsOptions = ContainerOptions & { readonly containersPerFunction: number };

const maxWaiting = 1000;
/** A caller has gone by then: API Gateway gives up after 29 s. Lambda keeps an event for hours; here it would be in the way. */
const maxWaitMs: Readonly<Record<InvocationType, number>> = { RequestResponse: 29_000, Event: 300_000 };

export function createFunctions(specs: readonly FunctionSpec[], options: FunctionsOptions): Functions {
  const pools = new Map(specs.map((spec) => [spec.name, new Pool(spec, options)]));
  const listeners = new Set<(done: DoneInvocation) => void>();
  const stop = () => Promise.all([...pools.values()].map((pool) => pool.stop()));
  const stopNow = () => {
    for (const pool of pools.values()) pool.kill();
  };
  process.once('exit', stopNow); // a frozen container would never notice that its runner has gone
  return {
    has: (functionName) => pools.has(functionName),
    async invoke(functionName, payload, type) {
      const pool = pools.get(functionName);
      if (!pool) return undefined;
      const startedAtMs = performance.now();
      const outcome = await pool.invoke(payload, type);
      const done = describeInvocation(pool.spec, payload, outcome, performance.now() - startedAtMs);
      logFailure(done, outcome, options.log);
      for (const listener of listeners) listener(done);
      return outcome;
    },
    onInvocation(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async stop() {
      await stop();
      process.off('exit', stopNow);
    },
  };
}

function describeInvocation(
  spec: FunctionSpec,
  payload: string,
  outcome: Outcome,
  durationMs: number,
): DoneInvocation {
  const { name: functionName, folder } = spec;
  const known = { functionName, folder, payload: JSON.parse(payload), durationMs };
  if (outcome.kind === 'answered') return { ...known, result: JSON.parse(outcome.payload) };
  return { ...known, error: outcome.error.errorMessage };
}

/** Nobody waits for an asynchronous invocation: without this line, its failure would be seen nowhere. */
function logFailure(
  { folder, payload }: DoneInvocation,
  outcome: Outcome,
  log: (line: string) => void,
): void {
  if (outcome.kind === 'answered') return;
  const { errorType, errorMessage, trace } = outcome.error;
  const facts = { function: folder, outcome: outcome.kind, errorType, ...(trace && { trace }) };
  log(logLine('error', errorMessage, traceIdOf(payload, randomUUID()), facts));
}

/** The containers of one function. */
class Pool {
  readonly spec: FunctionSpec;
  readonly #options: FunctionsOptions;
  readonly #slots;
  readonly #idle: Container[] = [];
  readonly #all = new Set<Container>();
  #stopped = false;

  constructor(spec: FunctionSpec, options: FunctionsOptions) {
    this.spec = spec;
    this.#options = options;
    const count = Math.min(
      options.containersPerFunction,
      spec.reservedConcurrency ?? Number.POSITIVE_INFINITY,
    );
    this.#slots = createSlots({ count, maxWaiting });
  }

  async invoke(payload: string, type: InvocationType): Promise<Outcome> {
    if (type === 'RequestResponse' && this.#isAtReserve())
      return throttled('ReservedFunctionConcurrentInvocationLimitExceeded');
    // An asynchronous invocation waits its turn in Lambda's own queue; a synchronous one waits for this machine only.
    if (!(await this.#slots.acquire(maxWaitMs[type]))) return throttled('ConcurrentInvocationLimitExceeded');
    try {
      return await this.#run(payload);
    } finally {
      this.#slots.release();
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#all].map((container) => container.end()));
  }

  kill(): void {
    for (const container of this.#all) container.kill();
  }

  #isAtReserve(): boolean {
    return this.spec.reservedConcurrency !== undefined && this.#slots.used >= this.spec.reservedConcurrency;
  }

  async #run(payload: string): Promise<Outcome> {
    const container = this.#takeIdle() ?? (await this.#start());
    if (!(container instanceof Container)) return container;
    const outcome = await container.invoke(payload);
    if (container.isAlive) this.#idle.push(container);
    return outcome;
  }

  /** The one used last, as Lambda does, so that the others may end. Those that died meanwhile are dropped. */
  #takeIdle(): Container | undefined {
    for (let container = this.#idle.pop(); container; container = this.#idle.pop()) {
      if (container.isAlive) return container;
    }
    return undefined;
  }

  async #start(): Promise<Container | Outcome> {
    if (this.#stopped) return throttled('The stage is stopping');
    return await Container.start(this.spec, this.#options, (forked) => this.#keep(forked));
  }

  #keep(container: Container): void {
    this.#all.add(container);
    void container.ended.then(() => this.#all.delete(container));
  }
}

function throttled(reason: string): Outcome {
  return {
    kind: 'throttled',
    error: { errorType: 'TooManyRequestsException', errorMessage: `Rate Exceeded: ${reason}` },
  };
}
