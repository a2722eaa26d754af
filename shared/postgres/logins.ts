/** Lets the roles that the migrations made sign in, each with its password. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import type pg from 'pg';

export type Login = { readonly role: string; readonly password: string };

const ITERATIONS = 4_096;
const SALT_BYTES = 16;
const KEY_BYTES = 32;

/**
 * In a database that is Prewarm's alone, as one whose logins it sets is: so temporary tables, which everybody may have
 * unless told otherwise, are the owner's only. Throws pg's own errors.
 */
export async function setLogins(client: pg.Client, logins: readonly Login[]): Promise<void> {
  for (const { role, password } of logins) {
    const verifier = client.escapeLiteral(verifierOf(password));
    await client.query(`ALTER ROLE ${client.escapeIdentifier(role)} LOGIN PASSWORD ${verifier}`);
  }
  await client.query(`DO $close$ BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
  END $close$`);
}

/**
 * What Postgres would make of the password and keep (RFC 5803). A server logs statements that fail: with it instead of the
 * password, the log is no place to read one.
 */
function verifierOf(password: string): string {
  const salt = randomBytes(SALT_BYTES);
  const salted = pbkdf2Sync(password, salt, ITERATIONS, KEY_BYTES, 'sha256');
  const keyOf = (name: string) => createHmac('sha256', salted).update(name).digest();
  const storedKey = createHash('sha256').update(keyOf('Client Key')).digest('base64');
  const serverKey = keyOf('Server Key').toString('base64');
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}
