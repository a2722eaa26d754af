/** Every error that Prewarm raises: one tree, one class a cause, the facts as fields. `http/problem.ts` alone turns them into answers. */

export abstract class PrewarmError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An environment variable is missing or not of its form: the deployment is wrong, not the request. */
export class EnvironmentError extends PrewarmError {
  readonly variable: string;
  constructor(variable: string, expected: string) {
    super(`Environment variable ${variable} must be ${expected}.`);
    this.variable = variable;
  }
}

/** The caller sent something that is not of the documented form. */
export class InvalidInputError extends PrewarmError {
  readonly field: string;
  readonly expected: string;
  constructor(field: string, expected: string) {
    super(`"${field}" must be ${expected}.`);
    this.field = field;
    this.expected = expected;
  }
}

/** What was asked for does not exist. */
export class NotFoundError extends PrewarmError {}

/** A token is signed as it should be, but lacks what we demand of it. */
export class TokenRefusedError extends PrewarmError {}

/** The issuer's keys could not be fetched, or what it answered is no set of keys. */
export class IssuerUnavailableError extends PrewarmError {
  readonly jwksUri: string;
  constructor(jwksUri: string, options: ErrorOptions) {
    super("The issuer's keys could not be had.", options);
    this.jwksUri = jwksUri;
  }
}

/** The token was valid when API Gateway had it checked, and has ended since. */
export class TokenExpiredError extends PrewarmError {
  constructor() {
    super('The token has expired.');
  }
}

/** The token is valid, but its scopes do not allow this. */
export class ForbiddenError extends PrewarmError {
  readonly requiredScope: string;
  constructor(requiredScope: string) {
    super(`The token lacks the scope "${requiredScope}".`);
    this.requiredScope = requiredScope;
  }
}

/** The exact limit of an admin action is used up. */
export class TooManyRequestsError extends PrewarmError {
  readonly policy: string;
  readonly limit: number;
  readonly windowSeconds: number;
  readonly retryAfterSeconds: number;
  constructor(facts: { policy: string; limit: number; windowSeconds: number; retryAfterSeconds: number }) {
    super(
      `At most ${facts.limit} calls of "${facts.policy}" in ${facts.windowSeconds} s; try again in ${facts.retryAfterSeconds} s.`,
    );
    this.policy = facts.policy;
    this.limit = facts.limit;
    this.windowSeconds = facts.windowSeconds;
    this.retryAfterSeconds = facts.retryAfterSeconds;
  }
}

/** A warm-up was asked for while another one holds the lock. */
export class WarmupRunningError extends PrewarmError {
  readonly holderTraceId: string;
  constructor(holderTraceId: string) {
    super(`A warm-up is already running, with traceId ${holderTraceId}.`);
    this.holderTraceId = holderTraceId;
  }
}

/** Postgres did not answer, refused, or ran out of its time. */
export class DatabaseUnavailableError extends PrewarmError {}

/** A statement ran out of its time. It may be its own fault: a smaller one may not. */
export class StatementTimeoutError extends DatabaseUnavailableError {}

/** The server is a standby: its rows may be older than an invalidation, by however much it lags behind. */
export class StandbyError extends DatabaseUnavailableError {
  /** What a load says instead of the time when it began. */
  static readonly READ_AT_US = -1;
  constructor() {
    super(
      'DATABASE_URL names a standby, whose rows may be older than what was invalidated: it must name the primary.',
    );
  }
}

/** Redis did not answer, refused, or its breaker is open. */
export class RedisUnavailableError extends PrewarmError {
  /** When the last attempt in vain began, by the wall clock; undefined when this is not about Redis being away. */
  readonly attemptedAtMs: number | undefined;
  constructor(message: string, options: ErrorOptions & { attemptedAtMs?: number } = {}) {
    super(message, options);
    this.attemptedAtMs = options.attemptedAtMs;
  }
}

/** Redis has no memory left for what was to be written; it can be read. */
export class RedisFullError extends RedisUnavailableError {}

/** A load took so long (its container was frozen, say) that an invalidation of what it read may be forgotten by now. */
export class LoadTooOldError extends PrewarmError {}

/** A dataset's `load` answered something else than it must. */
export class SourceAnswerError extends PrewarmError {
  readonly source: string;
  readonly expected: string;
  constructor(source: string, expected: string) {
    super(`The loader of "${source}" must answer ${expected}.`);
    this.source = source;
    this.expected = expected;
  }
}

/** The Pushgateway does not take what is pushed. */
export class PushRefusedError extends PrewarmError {
  readonly status: number;
  /** Metrics of ours that others push as another type, and in which group. */
  readonly conflicts: readonly string[];
  constructor(status: number, reason: string, conflicts: readonly string[]) {
    super(`The Pushgateway answered ${status}: ${[reason, ...conflicts].join('; ')}`);
    this.status = status;
    this.conflicts = conflicts;
  }
}

/** Another function could not be started. */
export class InvocationError extends PrewarmError {
  readonly functionName: string;
  constructor(functionName: string, options?: ErrorOptions) {
    super(`The function ${functionName} could not be invoked.`, options);
    this.functionName = functionName;
  }
}

/** One operation took longer than it may. */
export class OperationTimeoutError extends PrewarmError {
  readonly operation: string;
  readonly timeoutMs: number;
  constructor(operation: string, timeoutMs: number) {
    super(`"${operation}" took longer than ${timeoutMs} ms.`);
    this.operation = operation;
    this.timeoutMs = timeoutMs;
  }
}

/** An operation failed at its first try and at every retry; `cause` is the last failure. */
export class RetriesExhaustedError extends PrewarmError {
  readonly operation: string;
  readonly attempts: number;
  constructor(operation: string, attempts: number, options: ErrorOptions) {
    super(`"${operation}" failed ${attempts} times.`, options);
    this.operation = operation;
    this.attempts = attempts;
  }
}

/** The warm-up's lock is not ours any more: whatever the run still does must stop. */
export class LockLostError extends PrewarmError {}

/** The Lambda's own time is nearly used up: stop while there is time to release and to report. */
export class DeadlineNearError extends PrewarmError {}

/** The process was asked to end: stop, and leave nothing behind that others would wait for. */
export class ContainerStoppingError extends PrewarmError {}

/** Another deployment holds the lock of the migrations. */
export class MigrationsBusyError extends PrewarmError {}

/** A migration that was applied has changed since, or failed. */
export class MigrationError extends PrewarmError {
  readonly migration: string;
  constructor(migration: string, message: string, options?: ErrorOptions) {
    super(`Migration ${migration}: ${message}`, options);
    this.migration = migration;
  }
}

/** Whether something of ours was away, whatever was asked for. */
export function isOurFault(error: unknown): error is Error {
  return (
    error instanceof DatabaseUnavailableError ||
    error instanceof RedisUnavailableError ||
    error instanceof InvocationError
  );
}

/** The innermost cause, in a few words, for reports and logs. */
export function rootCause(error: unknown): string {
  let current = error;
  for (let depth = 0; depth < 8 && current instanceof Error && current.cause !== undefined; depth++) {
    current = current.cause;
  }
  if (!(current instanceof Error)) return String(current);
  // A refused connection to a name with two addresses is an AggregateError without a message of its own.
  const first = current instanceof AggregateError ? current.errors[0] : undefined;
  const told = first instanceof Error ? first : current;
  return told.message === '' ? told.name : told.message;
}
