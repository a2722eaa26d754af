/** How much the benchmarks of the warmer warm. */

/** The figure that a warm-up is held to. */
export const USERS_TIMED = 5_000;
/** All sample users but a few: what the warmer is registered for. */
export const USERS_WARMED = 20_000;

/** The large table, and how much of it people read. */
export const TABLE_ROWS = 1_100_000;
export const HOT_KEYS = 1_000_000;
