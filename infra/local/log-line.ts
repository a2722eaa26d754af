/** The lines of functions.log: one JSON object each, as the functions' own logger writes them. */
export type Level = 'info' | 'warn' | 'error';

export function logLine(
  level: Level,
  message: string,
  traceId: string,
  facts: Readonly<Record<string, unknown>> = {},
): string {
  return JSON.stringify({ time: new Date().toISOString(), level, message, traceId, ...facts });
}

/** What a container wrote: its logger's lines as they are; any other, such as a runtime's last words, gets what it lacks. */
export function toLogLine(text: string, level: Level, traceId: string): string {
  return isJsonObject(text) ? text : logLine(level, text, traceId);
}

function isJsonObject(text: string): boolean {
  if (!text.startsWith('{')) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** By what its caller follows an invocation: the payload's own traceId, else the request's id; else a new one. */
export function traceIdOf(payload: unknown, otherwise: string): string {
  const { traceId, RequestId, requestContext } = (payload ?? {}) as {
    traceId?: unknown;
    RequestId?: unknown;
    requestContext?: { requestId?: unknown };
  };
  const found = [traceId, requestContext?.requestId, RequestId].find((id) => typeof id === 'string');
  return (found as string | undefined) ?? otherwise;
}
