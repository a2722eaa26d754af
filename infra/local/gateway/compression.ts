/** Compresses answers as API Gateway does: for callers that ask for it by name, from the API's minimum size on. */
import { promisify } from 'node:util';
import { deflate, gzip } from 'node:zlib';
import type { HttpAnswer } from '../http.ts';

const codings = new Map([
  ['gzip', promisify(gzip)],
  ['deflate', promisify(deflate)],
]);

export async function compress(
  answer: HttpAnswer,
  acceptEncoding: string | undefined,
  minBytes: number | undefined,
): Promise<HttpAnswer> {
  const coding = preferredCoding(acceptEncoding);
  const encode = codings.get(coding);
  const isSmall = minBytes === undefined || Buffer.byteLength(answer.body) < minBytes;
  if (!encode || isSmall || 'content-encoding' in answer.headers) return answer;
  const body = await encode(answer.body);
  return { ...answer, headers: { ...answer.headers, 'content-encoding': coding }, body };
}

/** What the caller likes best, of equals the first. `*` is no name. */
function preferredCoding(acceptEncoding = ''): string {
  const accepted = acceptEncoding.split(',').map((text) => {
    const [name = '', quality = 1] = text
      .trim()
      .toLowerCase()
      .split(/\s*;\s*q=/);
    return { name, quality: Number(quality) };
  });
  const best = accepted.toSorted((one, other) => other.quality - one.quality)[0];
  return best && best.quality > 0 ? best.name : '';
}
