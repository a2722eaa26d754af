/** Enforces usage plans (a token bucket for each key and method, and the quota where a plan has one) and the stage's throttles. */
import type { QuotaSpec, ThrottleSpec, UsagePlanSpec } from '../../assembly/usage-plan-spec.ts';

type Verdict = 'allowed' | 'unknown-key' | 'throttled' | 'quota-exceeded';

export type UsagePlans = {
  /** Counts one request. `method` is the resource path and the HTTP method: `/users/{id}/GET`. */
  admit(key: string | undefined, method: string): Verdict;
};

/** `now` gives milliseconds; tests hand in their own. Memory is bounded by the keys and methods of the template. */
export function createUsagePlans(plans: readonly UsagePlanSpec[], now: () => number = Date.now): UsagePlans {
  const limiters = new Map(
    plans.flatMap((plan) => plan.keys.map((key) => [key, createLimiter(plan, now)] as const)),
  );
  return { admit: (key = '', method) => limiters.get(key)?.(method) ?? 'unknown-key' };
}

/** Whether the stage lets one more request through, whoever sends it; a method without a throttle lets all. */
export function createStageThrottles(
  throttles: ReadonlyMap<string, ThrottleSpec>,
  now: () => number = Date.now,
): (method: string) => boolean {
  const buckets = new Map([...throttles].map(([method, throttle]) => [method, createBucket(throttle, now)]));
  return (method) => buckets.get(method)?.() ?? true;
}

/** The limits of one key: methods with a throttle of their own, and one bucket for all the others. */
function createLimiter(plan: UsagePlanSpec, now: () => number): (method: string) => Verdict {
  const admitsMethod = createStageThrottles(plan.methodThrottles, now);
  const others = plan.throttle ? createBucket(plan.throttle, now) : () => true;
  const quota = plan.quota ? createQuota(plan.quota, now) : () => true;
  return (method) => {
    const isOwn = plan.methodThrottles.has(method);
    if (!(isOwn ? admitsMethod(method) : others())) return 'throttled';
    return quota() ? 'allowed' : 'quota-exceeded';
  };
}

/** A token bucket: full at first, refilled continuously, one token a request. */
function createBucket({ ratePerSecond, burst }: ThrottleSpec, now: () => number): () => boolean {
  let tokens = burst;
  let filledAtMs = now();
  return () => {
    const nowMs = now();
    tokens = Math.min(burst, tokens + (Math.max(0, nowMs - filledAtMs) / 1000) * ratePerSecond);
    filledAtMs = nowMs;
    if (tokens < 1 - Number.EPSILON * burst) return false;
    tokens -= 1;
    return true;
  };
}

function createQuota({ limit, period }: QuotaSpec, now: () => number): () => boolean {
  let window = '';
  let used = 0;
  return () => {
    const current = periodOf(new Date(now()), period);
    used = current === window ? used + 1 : 1;
    window = current;
    return used <= limit;
  };
}

/** Names the day, the month, or the week (by its number since 1970) in UTC. */
function periodOf(date: Date, period: QuotaSpec['period']): string {
  if (period === 'WEEK') return String(Math.floor(date.getTime() / (7 * 24 * 3600 * 1000)));
  return date.toISOString().slice(0, period === 'DAY' ? 10 : 7);
}
