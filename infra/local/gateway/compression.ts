/** Compresses answers as API Gateway does: for callers that ask for it by name, from the API's minimum size on. */
import { promisify } from 'node:util';
import { deflate, gzip } from 'node:zlib';
import type { HttpAnswer } from './gateway-answer.ts';

const codings = { gzip: promisify(gzip), deflate: promisify(deflate) } as const;
type Coding = keyof typeof codings;

export async function compress(
  answer: HttpAnswer,
  acceptEncoding: string | undefined,
  minBytes: number | undefined,
): Promise<HttpAnswer> {
  const coding = preferredCoding(acceptEncoding);
  const isSmall = minBytes === undefined || Buffer.byteLength(answer.body) < minBytes;
  if (!coding || isSmall || 'content-encoding' in answer.headers) return answer;
  const body = await codings[coding](answer.body);
  return { ...answer, headers: { ...answer.headers, 'content-encoding': coding }, body };
}

/** Undefined when what the caller likes best is neither; of equals the first counts. `*` is no name. */
function preferredCoding(acceptEncoding = ''): Coding | undefined {
  const accepted = acceptEncoding.split(',').map(readCoding);
  const best = accepted.toSorted((one, other) => other.quality - one.quality)[0];
  return best && best.quality > 0 && isCoding(best.name) ? best.name : undefined;
}

function readCoding(text: string): { name: string; quality: number } {
  const [name = '', quality] = text
    .trim()
    .toLowerCase()
    .split(/\s*;\s*q=/);
  return { name, quality: Number(quality ?? 1) };
}

function isCoding(name: string): name is Coding {
  return Object.hasOwn(codings, name);
}
