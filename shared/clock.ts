/** How long ago something was by the wall clock, which also runs while a container is frozen, and which people and NTP set. */

/**
 * Whether `sinceMs` was at least `durationMs` ago. A time that is still to come means that the clock was set back: how long
 * ago it was nobody knows, so it counts as long enough.
 */
export function hasPassed(durationMs: number, sinceMs: number, nowMs = Date.now()): boolean {
  const agoMs = nowMs - sinceMs;
  return agoMs < 0 || agoMs >= durationMs;
}
