/** Log lines: one JSON object a line, each with its event's name, a sentence, and the traceId of what is going on. Own code, because a logging library would be a third of a read container's start-up. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { PrewarmError } from './errors.ts';

type Level = 'debug' | 'info' | 'warn' | 'error';
type Fields = Readonly<Record<string, unknown>>;
/** What happened, by a name that stays while its sentence may change: `warmup.finished`. All of them are in `docs/log-events.md`. */
type EventName = `${string}.${string}`;

const LEVELS: readonly (Level | 'silent')[] = ['debug', 'info', 'warn', 'error', 'silent'];

/** One process may serve many requests at once, so the traceId follows the promises of each. */
const traceIds = new AsyncLocalStorage<string>();
/** The traceId of lines that are logged before the first request. */
const initTraceId = `init-${crypto.randomUUID()}`;
let lowestLevel = LEVELS.indexOf('info');

/** The lines of `work`, and of all that it begins, are about `traceId`. */
export function withTraceId<T>(traceId: string, work: () => T): T {
  return traceIds.run(traceId, work);
}

/** Leaves out the lines below `level`; `silent` leaves out all. An unknown level changes nothing. */
export function setLogLevel(level: string | undefined): void {
  const index = LEVELS.indexOf(level as Level);
  if (index >= 0) lowestLevel = index;
}

/** Facts of errors that are not ours: a driver hangs its whole client, and rows of the database, on its errors. */
const FOREIGN_FACTS = ['code', 'errno', 'syscall', 'severity', 'routine'] as const;

/** Errors as data: class, message, facts and the chain of causes; at most 5 deep, because causes can be circular. */
function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return String(error);
  return {
    name: error.name,
    message: error.message,
    ...factsOf(error),
    ...(depth === 0 ? { stack: error.stack } : {}),
    ...(error.cause !== undefined && depth < 5 ? { cause: describeError(error.cause, depth + 1) } : {}),
  };
}

function factsOf(error: Error): Fields {
  const facts = error as unknown as Fields;
  const names = error instanceof PrewarmError ? Object.keys(error) : FOREIGN_FACTS;
  return Object.fromEntries(
    names
      .filter((name) => ['string', 'number', 'boolean'].includes(typeof facts[name]))
      .map((name) => [name, facts[name]]),
  );
}

function write(level: Level, event: EventName, message: string, fields: Fields): void {
  if (LEVELS.indexOf(level) < lowestLevel) return;
  const { error, ...rest } = fields;
  const line = {
    time: new Date().toISOString(),
    level,
    event,
    message,
    traceId: traceIds.getStore() ?? initTraceId,
    ...rest,
    ...(error === undefined ? {} : { error: describeError(error) }),
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function writer(level: Level) {
  return (event: EventName, message: string, fields: Fields = {}) => write(level, event, message, fields);
}

export const log = {
  debug: writer('debug'),
  info: writer('info'),
  warn: writer('warn'),
  error: writer('error'),
};
