/** How much the benchmarks of the warmer warm. */

/** All sample users but a few: what the warmer is registered for. */
export const USERS_WARMED = 20_000;
/** How much of the large table people read. */
export const HOT_KEYS = 1_000_000;
