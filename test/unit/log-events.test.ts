/** The events that functions log are those of `docs/log-events.md`: by name, level and sentence. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const CALL = /log(?:\.(\w+)|\[level\])\(\s*'([^']+)',\s*(['"`])((?:\\.|(?!\3).)*)\3/g;
const ROW = /^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$/gm;

type Logged = { readonly event: string; readonly level: string | undefined; readonly sentence: string };

const sources = ['shared', 'functions']
  .flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => `${folder}/${name}`),
  )
  .filter((name) => name.endsWith('.ts'))
  .map((name) => readFileSync(name, 'utf8'));
const inCode: Logged[] = sources
  .flatMap((source) => [...source.matchAll(CALL)])
  .map(([, level, event = '', , sentence = '']) => ({
    event,
    level,
    sentence: sentence.replace(/\$\{[^}]*\}/, '…'),
  }));
const documented = new Map(
  [...readFileSync('docs/log-events.md', 'utf8').matchAll(ROW)].map(([, event, levels, sentence]) => [
    event,
    { levels: levels?.split(', '), sentence },
  ]),
);

it('each call is seen by this test', () => {
  const calls = sources.flatMap((source) => source.match(/\blog(?:\.\w+|\[\w+\])\(/g) ?? []);
  expect(calls.length).toBe(inCode.length);
});

it('each is named `area.what_happened`, and documented', () => {
  for (const { event } of inCode) expect(event).toMatch(/^[a-z_]+\.[a-z_]+$/);
  expect([...new Set(inCode.map(({ event }) => event))].toSorted()).toEqual(
    [...documented.keys()].toSorted(),
  );
});

it.each(inCode)('$event is documented with its level and sentence', ({ event, level, sentence }) => {
  const { levels, sentence: expected } = documented.get(event) ?? {};
  expect(sentence).toBe(expected);
  if (level !== undefined) expect(levels).toContain(level);
});
