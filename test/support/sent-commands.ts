/** What Redis is sent, word for word, for tests of how long something may live: what is left of it depends on when it is asked. */
import { Redis } from 'ioredis';
import { atEnd } from './at-end.ts';

/** The commands to the database of `redisUrl` from now on that name `key`, also those of scripts, in lower case but for their arguments. */
export async function watchCommands(redisUrl: string, key: string): Promise<() => readonly string[]> {
  const connection = new Redis(redisUrl);
  const monitor = await connection.monitor();
  connection.disconnect();
  atEnd(() => monitor.disconnect());
  const sent: string[] = [];
  monitor.on(
    'monitor',
    (_time: string, [name = '', ...args]: string[], _source: string, database: string) => {
      if (database === String(connection.options.db) && args.includes(key))
        sent.push([name.toLowerCase(), ...args].join(' '));
    },
  );
  return () => sent;
}
