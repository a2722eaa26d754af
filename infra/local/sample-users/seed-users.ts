/** Makes the 20,500 sample users: the same on every machine, realistic enough for search and ranking, about 500 B each as JSON. */
import { BIO_PARTS, FIRST_NAMES, LAST_NAMES, TOWNS } from './seed-words.ts';

export const SEED_USERS = 20_500;

export type SeedUser = ReturnType<typeof makeUser>;

const SEED = 20_500;
const FOLLOWERS_MAX = 2_400_000;
/** Followers fall with rank by this power: the first has millions, the median a few hundred. */
const FOLLOWERS_EXPONENT = 0.97;
const FIRST_DAY_MS = Date.UTC(2019, 0, 7);
const LAST_DAY_MS = Date.UTC(2026, 5, 30);

type Random = () => number;

export function makeUsers(count = SEED_USERS): SeedUser[] {
  const random = createRandom(SEED);
  const ranks = shuffle(
    Array.from({ length: count }, (_, index) => index + 1),
    random,
  );
  const taken = new Map<string, number>();
  return ranks.map((rank, index) => makeUser(index + 1, rank, random, taken));
}

function makeUser(id: number, rank: number, random: Random, taken: Map<string, number>) {
  const pick = (values: readonly string[]) => values[below(values.length, random)] as string;
  const hexadecimal = () =>
    below(2 ** 32, random)
      .toString(16)
      .padStart(8, '0');
  const first = pick(FIRST_NAMES);
  const last = pick(LAST_NAMES);
  const createdMs = FIRST_DAY_MS + below(LAST_DAY_MS - FIRST_DAY_MS, random);
  return {
    id,
    username: makeUsername(first, last, taken),
    displayName: `${first} ${last}`,
    bio: BIO_PARTS.map(pick).join(' '),
    avatarUrl: `https://images.prewarm.example/avatars/${hexadecimal()}${hexadecimal()}.webp`,
    location: pick(TOWNS),
    followerCount: Math.floor(FOLLOWERS_MAX / rank ** FOLLOWERS_EXPONENT),
    createdAt: new Date(createdMs).toISOString(),
    updatedAt: new Date(createdMs + below(LAST_DAY_MS - createdMs, random)).toISOString(),
  };
}

/** "Zoë Núñez" is zoe.nunez, the next one zoe.nunez2: unique, as the table wants it. */
function makeUsername(first: string, last: string, taken: Map<string, number>): string {
  const base = `${first}.${last}`
    .replace(/ø/g, 'o')
    .replace(/ı/g, 'i') // the letters here that are no base letter with a mark
    .normalize('NFD')
    .replace(/[^A-Za-z.]/g, '')
    .toLowerCase();
  const uses = (taken.get(base) ?? 0) + 1;
  taken.set(base, uses);
  return uses === 1 ? base : `${base}${uses}`;
}

/** mulberry32: small, quick, and the same everywhere, which Math.random cannot be. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Fisher and Yates: ranks lie scattered over the ids, so that the users most asked for are not the first ones. */
function shuffle(values: number[], random: Random): number[] {
  for (let last = values.length - 1; last > 0; last--) {
    const other = below(last + 1, random);
    [values[last], values[other]] = [values[other] as number, values[last] as number];
  }
  return values;
}

/** A whole number from 0 on. */
function below(limit: number, random: Random): number {
  return Math.floor(random() * limit);
}
