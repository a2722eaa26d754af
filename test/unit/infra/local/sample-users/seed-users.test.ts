/** The sample users: the same every time, of the size and the distribution that the caches are measured with. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createRandom, makeUsers, SEED_USERS } from '../../../../../infra/local/sample-users/seed-users.ts';

const users = makeUsers();
const average = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

describe('makeUsers', () => {
  it('makes 20,500 users with the ids 1 to 20500 in order', () => {
    expect(users).toHaveLength(SEED_USERS);
    expect(users.every((user, index) => user.id === index + 1)).toBe(true);
  });

  it('makes the same users every time and on every machine', () => {
    const digest = createHash('sha256').update(JSON.stringify(users)).digest('hex');
    expect(digest).toBe('1acb229d578388da8633e52cd97085655d3c53d996358c6d969dcd3192f008db');
  });

  it('makes rows of about 500 bytes as JSON', () => {
    const sizes = users.map((user) => Buffer.byteLength(JSON.stringify(user)));
    expect(average(sizes)).toBeGreaterThan(475);
    expect(average(sizes)).toBeLessThan(525);
    expect(Math.max(...sizes)).toBeLessThan(600);
  });

  it('gives every user a username of its own, in plain letters', () => {
    expect(new Set(users.map((user) => user.username)).size).toBe(SEED_USERS);
    expect(users.every((user) => /^[a-z]+\.[a-z]+\d*$/.test(user.username))).toBe(true);
  });

  it('gives few users most of the followers', () => {
    const counts = users.map((user) => user.followerCount).sort((a, b) => b - a);
    const total = counts.reduce((sum, count) => sum + count, 0);
    const topHundred = counts.slice(0, 100).reduce((sum, count) => sum + count, 0);
    expect(topHundred / total).toBeGreaterThan(0.4);
    expect(counts.at(-1)).toBeGreaterThan(0);
  });

  it('scatters the users with most followers over the ids', () => {
    const top = users.toSorted((a, b) => b.followerCount - a.followerCount).slice(0, 1_000);
    expect(average(top.map((user) => user.id))).toBeGreaterThan(SEED_USERS * 0.45);
    expect(average(top.map((user) => user.id))).toBeLessThan(SEED_USERS * 0.55);
  });

  it('never updates a user before it was created', () => {
    expect(users.every((user) => user.updatedAt >= user.createdAt)).toBe(true);
  });
});

describe('createRandom', () => {
  it('gives the numbers of mulberry32, on every machine', () => {
    const random = createRandom(1);
    expect([random(), random(), random()].map((value) => value.toFixed(6))).toEqual([
      '0.627074',
      '0.002736',
      '0.527447',
    ]);
  });
});
