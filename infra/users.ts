/** As whom the functions sign in to Postgres and Redis, and what they may do in Redis. */

/** Made by shared/postgres/migrations/0005_roles.sql, with what each may do. */
export const databaseRoles = { reader: 'prewarm_reader', warmer: 'prewarm_warmer' } as const;

/** The owner of the tables is for migrations only. */
export type DatabaseUser = 'owner' | keyof typeof databaseRoles;

/**
 * Prewarm's keys, and no command that is about the server or about what other programs keep there: none of those that can
 * empty, stop, configure or watch it, none that lists keys. INFO tells of the memory, ROLE of the replicas that a clear waits
 * for; SCRIPT KILL ends a script that holds up everybody, if it has written nothing. In the words of Redis 7 and Valkey.
 */
export const redisUser = {
  name: 'prewarm',
  access:
    '~prewarm:* ~cache:warmup:lock +@all -@admin -@dangerous -scan -randomkey -function -script +script|kill -client|tracking -client|caching -memory|purge -memory|stats -memory|doctor +info +role',
} as const;
