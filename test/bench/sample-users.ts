/** The values of the benchmarks: sample users whose JSON has the size of a real one, the same in every process. */
import { makeUsers } from '../../infra/local/sample-users/seed-users.ts';

/** What a user of the API is read as by a peer, which caches objects. */
export type User = Record<string, unknown>;

const VALUE_BYTES = 556;

const USERS = 6_000;
const users = makeUsers(USERS);

/** Any id has a user: those of numbers beyond the sample, and of other ids, are like the first one. */
export function userOf(id: string): User {
  const number = Number(id);
  return padded({ ...(users[number - 1] ?? users[0]), id: Number.isNaN(number) ? id : number });
}

export function jsonOf(id: string): string {
  return JSON.stringify(userOf(id));
}

function padded(user: User): User {
  const missingBytes = VALUE_BYTES - Buffer.byteLength(JSON.stringify(user));
  return { ...user, bio: `${user['bio']}${'.'.repeat(Math.max(0, missingBytes))}` };
}
