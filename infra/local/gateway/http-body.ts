/** Reads the body of a request, up to a limit. */
import type { IncomingMessage } from 'node:http';

export class BodyTooLarge extends Error {
  override readonly name = 'BodyTooLarge';
}

export class ClientGone extends Error {
  override readonly name = 'ClientGone';
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
