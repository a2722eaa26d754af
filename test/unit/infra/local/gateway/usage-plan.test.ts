/** The behaviour of infra/local/gateway/usage-plan.ts. */
import { describe, expect, it } from 'vitest';
import type { UsagePlanSpec } from '../../../../../infra/assembly/usage-plan-spec.ts';
import { createStageThrottles, createUsagePlans } from '../../../../../infra/local/gateway/usage-plan.ts';

const plan: UsagePlanSpec = {
  keys: ['alice', 'bob'],
  throttle: { ratePerSecond: 10, burst: 3 },
  methodThrottles: new Map([['/admin/clear/POST', { ratePerSecond: 2 / 60, burst: 2 }]]),
};

/** Usage plans on a clock that only the test moves. */
function startClock(spec: UsagePlanSpec = plan) {
  let nowMs = 1_000_000;
  const plans = createUsagePlans([spec], () => nowMs);
  return {
    admit: (key: string, method = '/users/GET') => plans.admit(key, method),
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}

describe('a usage plan', () => {
  it('admits the burst at once and then throttles', () => {
    const { admit } = startClock();

    expect([admit('alice'), admit('alice'), admit('alice'), admit('alice')]).toEqual([
      'allowed',
      'allowed',
      'allowed',
      'throttled',
    ]);
  });

  it('counts each key for itself', () => {
    const { admit } = startClock();
    for (let request = 0; request < 3; request += 1) admit('alice');

    expect(admit('alice')).toBe('throttled');
    expect(admit('bob')).toBe('allowed');
  });

  it('gives a method its own limit, which other methods do not use up', () => {
    const { admit } = startClock();
    for (let request = 0; request < 3; request += 1) admit('alice', '/users/GET');

    expect(admit('alice', '/admin/clear/POST')).toBe('allowed');
    expect(admit('alice', '/admin/clear/POST')).toBe('allowed');
    expect(admit('alice', '/admin/clear/POST')).toBe('throttled');
  });

  it('refills at its rate: two a minute is one after 30 s and not before', () => {
    const { admit, pass } = startClock();
    admit('alice', '/admin/clear/POST');
    admit('alice', '/admin/clear/POST');

    pass(29_900);
    expect(admit('alice', '/admin/clear/POST')).toBe('throttled');
    pass(100);
    expect(admit('alice', '/admin/clear/POST')).toBe('allowed');
    expect(admit('alice', '/admin/clear/POST')).toBe('throttled');
  });

  it('never holds more than the burst', () => {
    const { admit, pass } = startClock();
    pass(3_600_000);
    const verdicts = Array.from({ length: 4 }, () => admit('alice'));

    expect(verdicts.filter((verdict) => verdict === 'allowed')).toHaveLength(3);
  });

  it('does not refill when the clock goes back', () => {
    const { admit, pass } = startClock();
    for (let request = 0; request < 3; request += 1) admit('alice');
    pass(-60_000);

    expect(admit('alice')).toBe('throttled');
  });

  it('does not know other keys, nor a caller without one', () => {
    expect(startClock().admit('mallory')).toBe('unknown-key');
    expect(createUsagePlans([plan]).admit(undefined, '/users/GET')).toBe('unknown-key');
  });

  it('ends at its quota and begins anew with the period', () => {
    const { admit, pass } = startClock({
      keys: ['alice'],
      methodThrottles: new Map(),
      quota: { limit: 1, period: 'DAY' },
    });

    expect(admit('alice')).toBe('allowed');
    expect(admit('alice')).toBe('quota-exceeded');
    pass(24 * 3600 * 1000);
    expect(admit('alice')).toBe('allowed');
  });
});

describe("a stage's throttle", () => {
  it('counts all callers of its method together, and no other method', () => {
    const admit = createStageThrottles(
      new Map([['/health/GET', { ratePerSecond: 1, burst: 2 }]]),
      () => 1_000_000,
    );

    const verdicts = Array.from({ length: 3 }, () => admit('/health/GET'));

    expect(verdicts).toEqual([true, true, false]);
    expect(admit('/users/GET')).toBe(true);
  });
});
