/** Looks for a schedule that breaks a promise. */
import { trySchedules } from '../../../support/schedule/random-schedules.ts';

trySchedules({ part: 0 });
