/** An HTTP request as the gateway handles it: whole, with names and path as they were sent. */
import type { IncomingMessage } from 'node:http';
import { readBody } from '../http.ts';

export type HttpRequest = {
  readonly requestId: string;
  readonly method: string;
  /** As sent: percent-encoded, without the query. */
  readonly path: string;
  readonly query: string;
  /** Names as sent, and repeated ones. */
  readonly headers: readonly (readonly [string, string])[];
  readonly sourceIp: string;
  readonly receivedAtMs: number;
  readonly body: Buffer;
};

/** API Gateway's own limit. */
const maxBodyBytes = 10 * 1024 * 1024;

/** @throws BodyTooLarge above API Gateway's limit. */
export async function readRequest(incoming: IncomingMessage, requestId: string): Promise<HttpRequest> {
  const [path = '/', ...query] = (incoming.url ?? '/').split('?');
  const raw = incoming.rawHeaders;
  return {
    requestId,
    method: incoming.method ?? 'GET',
    path,
    query: query.join('?'),
    headers: raw.flatMap((name, index) => (index % 2 === 0 ? [[name, raw[index + 1] ?? ''] as const] : [])),
    sourceIp: incoming.socket.remoteAddress ?? '127.0.0.1',
    receivedAtMs: Date.now(),
    body: await readBody(incoming, maxBodyBytes),
  };
}

export function findHeader({ headers }: Pick<HttpRequest, 'headers'>, name: string): string | undefined {
  return headers.findLast(([header]) => header.toLowerCase() === name)?.[1];
}
