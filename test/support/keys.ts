/** Every name under which Prewarm keeps something in Redis, for tests that put something else there, or look. */
import { admissionKeys } from '../../shared/cache/admission-script.ts';
import { leaseKeys } from '../../shared/cache/load-once.ts';
import { cacheKeys } from '../../shared/cache/redis-scripts.ts';
import { limitKeys } from '../../shared/http/rate-limit.ts';
import { totalsKeys } from '../../shared/metrics/fleet-totals.ts';
import { publisherKeys } from '../../shared/metrics/publisher.ts';
import { hotKeysKeys } from '../../shared/warming/hot-keys.ts';
import { lockKeys } from '../../shared/warming/lock.ts';
import { popularityKey } from '../../shared/warming/popularity.ts';
import { REPORTS_KEY } from '../../shared/warming/report.ts';

export const keys = {
  ...cacheKeys,
  ...leaseKeys,
  ...admissionKeys,
  ...limitKeys,
  ...totalsKeys,
  ...publisherKeys,
  ...lockKeys,
  ...hotKeysKeys,
  popularity: popularityKey,
  warmupReports: REPORTS_KEY,
} as const;
