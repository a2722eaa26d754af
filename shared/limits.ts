/** Limits that the functions keep and the templates tell others of. */

/** How long Postgres works on one statement of a request; behind RDS Proxy the proxy says so to it. */
export const STATEMENT_TIMEOUT_MS = 2_000;

/** The requirement's limits of the admin actions, in calls a minute: for the exact count and for the usage plan alike. */
export const ADMIN_CALLS_PER_MINUTE = { status: 5, 'warm-up': 2, clear: 2 } as const;

export type LimitedAction = keyof typeof ADMIN_CALLS_PER_MINUTE;
