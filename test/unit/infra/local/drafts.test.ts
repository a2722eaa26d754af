/** The behaviour of infra/local/drafts.ts. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { draftOf, removeDeadDrafts } from '../../../../infra/local/drafts.ts';

const dir = mkdtempSync(join(tmpdir(), 'prewarm-drafts-'));

afterAll(() => rmSync(dir, { recursive: true }));

it('two drafts of one thing have different names', () => {
  expect(draftOf('redis')).not.toBe(draftOf('redis'));
});

it('drafts whose maker has died are removed; those of the living, and what is no draft, stay', () => {
  const living = draftOf(join(dir, 'redis'));
  mkdirSync(living);
  mkdirSync(join(dir, `redis.draft-${process.pid}_0-01234567`)); // the pid is in use again
  writeFileSync(join(dir, 'cdk.out.draft-4194305_77-89abcdef'), '');
  writeFileSync(join(dir, 'my.draft-of-a-letter'), '');

  removeDeadDrafts(dir);

  expect(readdirSync(dir).sort()).toEqual(['my.draft-of-a-letter', basename(living)].sort());
});

it('a folder that is not there has no drafts', () => {
  expect(() => removeDeadDrafts(join(dir, 'none'))).not.toThrow();
});
