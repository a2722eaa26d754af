/** The behaviour of infra/local/gateway/compression.ts. */
import { gunzipSync, inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { compress } from '../../../../../infra/local/gateway/compression.ts';
import type { HttpAnswer } from '../../../../../infra/local/http.ts';

const body = 'ä'.repeat(500);
const answer: HttpAnswer = { status: 200, headers: { 'x-cache': 'l1' }, body };

describe('an answer', () => {
  it.each([
    ['gzip', gunzipSync],
    ['deflate', inflateSync],
  ])('is compressed by %s for a caller that takes it', async (coding, decompress) => {
    const compressed = await compress(answer, coding, 1000);

    expect(compressed).toMatchObject({
      status: 200,
      headers: { 'x-cache': 'l1', 'content-encoding': coding },
    });
    expect(decompress(compressed.body).toString()).toBe(body);
  });

  it.each([
    ['deflate, gzip', 'deflate'],
    ['deflate;q=0.5, gzip', 'gzip'],
    ['GZIP ; q=0.2', 'gzip'],
  ])('for %s is in the coding that the caller likes best', async (accepted, coding) => {
    expect((await compress(answer, accepted, 0)).headers).toMatchObject({ 'content-encoding': coding });
  });

  it.each([undefined, '', '*', 'identity', 'br, gzip', 'gzip;q=0', 'constructor'])(
    'stays as it is for a caller that sends %j',
    async (accepted) => {
      expect(await compress(answer, accepted, 0)).toBe(answer);
    },
  );

  it('stays as it is below the minimum, counted in bytes, and where there is none', async () => {
    expect(await compress(answer, 'gzip', 1001)).toBe(answer);
    expect(await compress(answer, 'gzip', undefined)).toBe(answer);
    expect(await compress(answer, 'gzip', 1000)).not.toBe(answer);
  });

  it('that the function has compressed stays as it is', async () => {
    const own = { ...answer, headers: { 'content-encoding': 'br' } };

    expect(await compress(own, 'gzip', 0)).toBe(own);
  });
});
