/** The requirement's limits of the admin actions, in calls a minute: for the exact count and for the usage plan alike. */
export const ADMIN_CALLS_PER_MINUTE = { status: 5, 'warm-up': 2, clear: 2 } as const;

export type LimitedAction = keyof typeof ADMIN_CALLS_PER_MINUTE;
