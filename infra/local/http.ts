/** What both servers of the local stage need of HTTP, on the loopback interface: whole requests, and whole answers. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export type HttpAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly body: Buffer | string;
};

export class BodyTooLarge extends Error {
  override readonly name = 'BodyTooLarge';
}

export class ClientGone extends Error {
  override readonly name = 'ClientGone';
}

/** Port 0 takes a free one. Nobody is left to hear an answer that is undefined. @throws when the port is taken. */
export async function listen(
  port: number,
  answer: (request: IncomingMessage) => Promise<HttpAnswer | undefined>,
): Promise<Server> {
  const server = createServer(async (request, response) => {
    const { status, headers, body } = (await answer(request)) ?? {};
    if (status === undefined) return;
    response.statusCode = status;
    response.setHeaders(new Map(Object.entries(headers ?? {})));
    response.end(request.method === 'HEAD' ? undefined : body);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

export function originOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Open connections are cut: a client that keeps one alive must not keep the runner alive. */
export async function closeServer(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}

/** @throws BodyTooLarge after `limitBytes`; what comes after is not kept. ClientGone when the end never comes. */
export async function readBody(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size <= limitBytes) chunks.push(chunk);
    }
  } catch (cause) {
    throw new ClientGone('The client went away before it had sent its body', { cause });
  }
  if (size > limitBytes) throw new BodyTooLarge(`The body is larger than ${limitBytes} bytes`);
  return Buffer.concat(chunks);
}
