/** As whom the functions sign in to Postgres. */

/** Made by shared/postgres/migrations/0005_roles.sql, with what each may do. */
export const databaseRoles = { reader: 'prewarm_reader', warmer: 'prewarm_warmer' } as const;

/** The owner of the tables is for migrations only. */
export type DatabaseUser = 'owner' | keyof typeof databaseRoles;
