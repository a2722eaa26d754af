/** Looks for a schedule that breaks a promise, among others than its neighbour does, and beside it. */
import { trySchedules } from '../../../support/schedule/random-schedules.ts';

trySchedules({ part: 1 });
