/** The users' names, by which tests tell an old value from a new one. */
import type pg from 'pg';

type Named = { readonly json: string | null };

export function nameOf({ json }: Named): string | undefined {
  return (JSON.parse(json ?? 'null') as { displayName: string } | null)?.displayName;
}

/** In Postgres, without a word to any cache. */
export async function renameUser(admin: pg.Client, id: number, name: string): Promise<void> {
  await admin.query('UPDATE users SET display_name = $2 WHERE id = $1', [id, name]);
}
