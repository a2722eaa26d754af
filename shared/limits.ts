/** Limits that the functions keep and the templates tell others of. */

/** How long Postgres works on one statement of a request; behind RDS Proxy the proxy says so to it. */
export const STATEMENT_TIMEOUT_MS = 2_000;
