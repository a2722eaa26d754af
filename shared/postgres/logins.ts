/** Lets the roles that the migrations made sign in, each with its password. */
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import type pg from 'pg';
import { MigrationError } from '../errors.ts';

export type Login = { readonly role: string; readonly password: string };

const READER = 'prewarm_reader';
const ITERATIONS = 4_096;
const SALT_BYTES = 16;
const KEY_BYTES = 32;

/**
 * In a database that is Prewarm's alone, as one whose logins it sets is: so temporary tables, which everybody may have
 * unless told otherwise, are the owner's only. What a role has set for itself, as roles may, ends: another search path would
 * last for ever. Throws pg's own errors, and `MigrationError` for a role of somebody else's that may do everything.
 */
export async function setLogins(client: pg.Client, logins: readonly Login[]): Promise<void> {
  for (const { role, password } of logins) await setLogin(client, role, password);
  await client.query(`DO $close$ BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
  END $close$`);
}

async function setLogin(client: pg.Client, role: string, password: string): Promise<void> {
  await refusePowerful(client, role);
  const name = client.escapeIdentifier(role);
  await client.query(`ALTER ROLE ${name} LOGIN PASSWORD ${client.escapeLiteral(verifierOf(password))}`);
  await client.query(`ALTER ROLE ${name} RESET ALL`);
  await client.query(`DO $reset$ BEGIN
    EXECUTE format('ALTER ROLE %I IN DATABASE %I RESET ALL', ${client.escapeLiteral(role)}, current_database());
  END $reset$`);
  // A second lock only: the session may open it.
  if (role === READER) await client.query(`ALTER ROLE ${name} SET default_transaction_read_only = on`);
}

/** One that was there before the migrations stays as it is; signed in by us it would be a way around them. */
async function refusePowerful(client: pg.Client, role: string): Promise<void> {
  const { rowCount } = await client.query(
    'SELECT FROM pg_roles WHERE rolname = $1 AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication)',
    [role],
  );
  if (rowCount === 0) return;
  throw new MigrationError(role, 'is a role that may do more than read. Remove it, or take its rights away.');
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
