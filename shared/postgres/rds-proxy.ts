/** Connecting through an RDS Proxy: with the URL's password, or, where it has none, as the function's role. */
import type pg from 'pg';
import { createIamToken, type Role } from './iam-token.ts';

/** Imports nothing that a container loads at its start: what a bundle shares between two of its files becomes a third one. */
type Given = {
  readonly driver: typeof pg;
  readonly databaseUrl: string;
  /** The function's role, which is read for each connection. */
  readonly readRole: () => Role;
};

/** A token lets in for a quarter of an hour, so each connection gets one of its own; it is a password and travels encrypted only. */
export function rdsProxyTarget({ driver, databaseUrl, readRole }: Given): pg.ClientConfig {
  // The driver reads the URL, but takes no function for the password beside one.
  const fromUrl = new driver.Client({ connectionString: databaseUrl });
  const { host, port, user = '', database, password, ssl } = fromUrl;
  if (password) return { connectionString: databaseUrl };
  return {
    host,
    port,
    user,
    database,
    ssl: ssl || true,
    password: () => createIamToken({ host, port, user }, readRole()),
  };
}
