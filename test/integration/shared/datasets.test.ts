/** The two datasets on a real PostgreSQL with its 20,500 users. */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  EMPTY_PAGE,
  normaliseQuery,
  type UserSearch,
  userSearch,
} from '../../../shared/datasets/user-search.ts';
import { users } from '../../../shared/datasets/users.ts';
import { Database } from '../../../shared/postgres/database.ts';
import { closedAtEnd } from '../../support/at-end.ts';
import { type IsolatedServers, isolatedServers } from '../../support/servers.ts';

type User = { id: number; username: string; displayName: string; followerCount: number };
type Page = { items: User[]; nextCursor: string | null };

let database: Database;

beforeAll(async () => {
  const servers = await isolatedServers();
  database = closedAtEnd(new Database(servers.databaseUrl));
});

async function search(query: string, more: Partial<UserSearch> = {}): Promise<Page> {
  const { values } = await userSearch.load(database, [{ query, limit: 20, after: null, ...more }]);
  return JSON.parse(values[0] ?? EMPTY_PAGE);
}

describe('users', () => {
  it('come in the order asked, with null for those that do not exist', async () => {
    const { values } = await users.load(database, [5, 30_000, 1, 5]);
    expect(values.map((json) => (json === null ? null : JSON.parse(json).id))).toEqual([5, null, 1, 5]);
  });

  it('come with the moment at which they were read, by the clock of Postgres in microseconds', async () => {
    const beforeUs = await database.nowUs();
    const { readAtUs } = await users.load(database, [1]);
    const afterUs = await database.nowUs();
    expect(readAtUs).toBeGreaterThan(beforeUs);
    expect(readAtUs).toBeLessThan(afterUs);
  });

  it('have every field of the API', async () => {
    const { values } = await users.load(database, [1]);
    expect(JSON.parse(values[0] ?? '')).toEqual({
      id: 1,
      username: expect.any(String),
      displayName: expect.any(String),
      bio: expect.any(String),
      avatarUrl: expect.stringMatching(/^https:/),
      location: expect.any(String),
      followerCount: expect.any(Number),
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      updatedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    });
  });

  it('are ranked by their followers', async () => {
    const ids = await users.rank(database, 50);
    const { values } = await users.load(database, ids);
    const followers = values.map((json) => JSON.parse(json ?? '').followerCount as number);
    expect(followers).toEqual([...followers].sort((a, b) => b - a));
  });
});

describe('a search', () => {
  it('finds the text anywhere in the names, the most followed first', async () => {
    const { items } = await search('ann');
    expect(items.length).toBeGreaterThan(1);
    for (const user of items) expect(`${user.username} ${user.displayName}`.toLowerCase()).toContain('ann');
    const followers = items.map((user) => user.followerCount);
    expect(followers).toEqual([...followers].sort((a, b) => b - a));
  });

  it('goes through all pages without skipping or repeating anybody', async () => {
    const whole = await search('ann', { limit: 50 });
    const seen: number[] = [];
    let after: UserSearch['after'] = null;
    for (let page = 0; page < 10; page++) {
      const { items, nextCursor } = await search('ann', { limit: 5, after });
      seen.push(...items.map((user) => user.id));
      if (nextCursor === null) break;
      const [followerCount, id] = nextCursor.split('-').map(Number) as [number, number];
      after = { followerCount, id };
    }
    expect(seen.slice(0, 50)).toEqual(whole.items.map((user) => user.id));
  });

  it.each(['%', '_', '\\', '%%', "'; DROP TABLE users; --"])('takes %j for what it is', async (query) => {
    const { items } = await search(query);
    for (const user of items) expect(`${user.username} ${user.displayName}`.toLowerCase()).toContain(query);
  });

  it('that finds nobody is nothing that one would keep for long, or warm', async () => {
    const { values } = await userSearch.load(database, [{ query: 'qqqqqqqqzz', limit: 20, after: null }]);
    expect(values).toEqual([null]);
  });

  it.each([
    // Rare, common, in the middle of words, two letters, signs, and in an order that pages go through.
    ['lopez', 7],
    ['ann', 50],
    ['a b', 20],
    ['an', 5],
    ['zq', 20],
    ['.', 3],
  ])('for "%s" finds what looking at every row finds, page by page', async (query, limit) => {
    const rows = await database.query<{ id: string }>(
      `SELECT id FROM users WHERE position($1 IN search_text) > 0 ORDER BY follower_count DESC, id LIMIT 120`,
      [query],
    );
    const seen: number[] = [];
    let after: UserSearch['after'] = null;
    while (seen.length < 120) {
      const { items, nextCursor } = await search(query, { limit, after });
      seen.push(...items.map(({ id }) => id));
      if (nextCursor === null) break;
      const [followerCount, id] = nextCursor.split('-').map(Number) as [number, number];
      after = { followerCount, id };
    }
    expect(seen.slice(0, 120)).toEqual(rows.map(({ id }) => Number(id)));
  });

  it('goes through users with as many followers', async () => {
    const own = await isolatedServers({ seeded: false });
    const ownDatabase = closedAtEnd(new Database(own.databaseUrl));
    await ownDatabase.query(`INSERT INTO users (id, username, display_name, follower_count)
      SELECT n, 'tied-' || n, 'Tied', n / 8 FROM generate_series(1, 40) AS n`);
    const seen: number[] = [];
    let after: UserSearch['after'] = null;
    do {
      const { values } = await userSearch.load(ownDatabase, [{ query: 'tied', limit: 3, after }]);
      const { items, nextCursor } = JSON.parse(values[0] ?? EMPTY_PAGE) as Page;
      seen.push(...items.map(({ id }) => id));
      const [followerCount = 0, id = 0] = (nextCursor ?? '').split('-').map(Number);
      after = nextCursor === null ? null : { followerCount, id };
    } while (after !== null);
    const byFollowers = (one: number, other: number) =>
      Math.floor(other / 8) - Math.floor(one / 8) || one - other;
    expect(seen).toEqual(Array.from({ length: 40 }, (_, index) => index + 1).sort(byFollowers));
  });

  describe('finds a name in all of its spellings', () => {
    const NAMES = [
      'ΝΙΚΟΣ Παπαδόπουλος',
      'Cafe\u0301 Zoe',
      'İlker Işık',
      'ＦＵＬＬ Width',
      'Straße  Two',
      '100%\\_x',
      'J\u030cohn H\u0331usayn',
      'a\ufeffb',
    ];
    let own: IsolatedServers;
    let ownDatabase: Database;
    beforeAll(async () => {
      own = await isolatedServers({ seeded: false });
      ownDatabase = closedAtEnd(new Database(own.databaseUrl));
      await ownDatabase.query(
        `INSERT INTO users (id, username, display_name) SELECT n, 'u' || n, name FROM unnest($1::text[]) WITH ORDINALITY AS t (name, n)`,
        [NAMES],
      );
    });

    it.each([
      ['νικος', 1],
      ['ΝΙΚΟΣ', 1],
      ['νικοσ', 1],
      ['Νίκος'.normalize('NFD').replace(/\u0301/g, ''), 1],
      ['παπαδόπουλος', 1],
      ['παπαδόπουλος'.normalize('NFD'), 1],
      ['café', 2],
      ['CAFÉ', 2],
      ['cafe\u0301 z', 2],
      ['ilker', 3],
      ['İLKER', 3],
      ['IŞIK', 3],
      ['ışık', 3],
      ['full width', 4],
      ['ｆｕｌｌ', 4],
      ['straße two', 5],
      ['straße   TWO', 5],
      ['100%', 6],
      ['%\\_x', 6],
      ['STRASSE two', 5],
      ['J\u030cohn', 7],
      ['\u01f0ohn', 7],
      ['h\u0331usayn', 7],
      ['a\ufeffb', 8],
    ])('%s', async (spelling, id) => {
      const query = normaliseQuery(spelling);
      const { values } = await userSearch.load(ownDatabase, [{ query, limit: 20, after: null }]);
      expect(JSON.parse(values[0] ?? EMPTY_PAGE).items.map((user: User) => user.id)).toEqual([id]);
    });
  });

  it('is ranked by how well known those with a first name are', async () => {
    const searches = await userSearch.rank(database, 10);
    expect(searches).toHaveLength(10);
    const pages = await userSearch.load(database, searches);
    for (const json of pages.values) expect((JSON.parse(json ?? '') as Page).items.length).toBeGreaterThan(0);
  });
});

describe('the id of a key', () => {
  const userIds = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
  const searches: fc.Arbitrary<UserSearch> = fc.record({
    query: fc.string({ minLength: 1, unit: 'binary' }).filter((query) => !query.includes('\0')),
    limit: fc.integer({ min: 1, max: 50 }),
    after: fc.option(
      fc.record({
        followerCount: fc.nat({ max: 2_147_483_647 }),
        id: fc.integer({ min: 1, max: 999_999_999_999_999 }),
      }),
    ),
  });

  it('is the one that made it, also of a query that looks like a part of a key', () => {
    const ofUser = fc.property(userIds, (id) => {
      expect(users.idOf(users.key(id))).toBe(id);
    });
    const ofSearch = fc.property(searches, (search) => {
      expect(userSearch.idOf(userSearch.key(search))).toEqual(search);
    });
    fc.assert(ofUser, { seed: 1 });
    fc.assert(ofSearch, { seed: 1 });
    for (const query of ['20::ann', '1-2:ann', ':', '\n', 'a\nb', '{ann}', ' '])
      expect(userSearch.idOf(userSearch.key({ query, limit: 20, after: null }))).toMatchObject({ query });
  });

  it.each(['', '0', '-1', '1.5', 'ann', '1 2', 'NaN', 'Infinity', '1e400', '9007199254740993', '{}'])(
    'of a user is none for %j',
    (text) => {
      expect(users.idOf(text)).toBeUndefined();
    },
  );

  it.each([
    '',
    'ann',
    '20',
    '20:',
    '20::',
    ':ann',
    '::ann',
    '2000::ann',
    '-1::ann',
    '20:1:ann',
    '20:1-:ann',
    '20:-2:ann',
    '20:1--2:ann',
    '20:2147483648-1:ann',
    '20::a\0b',
  ])('of a search is none for %j', (text) => {
    expect(userSearch.idOf(text)).toBeUndefined();
  });

  it('is none, or one that can be loaded, for any text', () => {
    const ofAny = (text: string) => {
      const id = users.idOf(text);
      expect(id === undefined || (Number.isSafeInteger(id) && id > 0)).toBe(true);
      expect(userSearch.idOf(text)?.query).not.toBe('');
    };
    fc.assert(fc.property(fc.string({ unit: 'binary' }), ofAny), { seed: 2 });
    fc.assert(fc.property(fc.stringMatching(/^[0-9:.e+-]{0,20}$/), ofAny), { seed: 3 });
  });
});
