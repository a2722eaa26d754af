/** How those who are not Prewarm load a user: the same statement on the same pool, and JSON.parse, because they cache objects. */
import { users } from '../../../../shared/datasets/users.ts';
import type { Database } from '../../../../shared/postgres/database.ts';
import type { User } from '../../sample-users.ts';
import { WrongAnswerError } from './contestant.ts';

export type CountedLoader = {
  readonly load: (id: string) => Promise<User>;
  /** Reads through `get`, and answers whether it went without a load. A container has one read at a time. */
  hit(userId: number, get: (id: string) => unknown): Promise<boolean>;
};

export function countedLoader(database: Database): CountedLoader {
  let loads = 0;
  return {
    async load(id) {
      loads++;
      const { values } = await users.load(database, [Number(id)]);
      return JSON.parse(values[0] ?? 'null') as User;
    },
    async hit(userId, get) {
      const before = loads;
      const user = (await get(String(userId))) as User | null | undefined;
      if (user?.['id'] !== userId) throw new WrongAnswerError(userId);
      return loads === before;
    },
  };
}
