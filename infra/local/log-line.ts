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
  try {
    if (text.startsWith('{') && JSON.parse(text)) return text;
  } catch {} // it only looks like one
  return logLine(level, text, traceId);
}

/** By what its caller follows an invocation: the payload's own traceId, else the request's id; else a new one. */
export function traceIdOf(payload: unknown, otherwise: string): string {
  const { traceId, RequestId, requestContext } = (payload ?? {}) as Record<string, unknown>;
  const { requestId } = (requestContext ?? {}) as Record<string, unknown>;
  const found = [traceId, requestId, RequestId].find((id) => typeof id === 'string');
  return (found as string | undefined) ?? otherwise;
}
