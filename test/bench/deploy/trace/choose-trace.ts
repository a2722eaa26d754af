/** The trace that was asked for, or the built-in one, with what is to be said about it. */
import type { DeployOptions } from '../options.ts';
import type { Plan } from '../plan.ts';
import { readTrace } from './read-trace.ts';
import { requestsMax } from './split-trace.ts';
import type { Trace } from './trace.ts';
import { ZIPF_USERS, zipfTrace } from './zipf.ts';

/** Throws an error that says what is wrong with the file. */
export function chooseTrace(asked: DeployOptions['trace'], plan: Plan): Trace {
  if (asked === undefined) {
    const about = `Made by Zipf's law (exponent 1) over ${ZIPF_USERS.toLocaleString('en')} of the sample users, with a fixed seed.`;
    return { name: 'zipf', about, userIds: zipfTrace(requestsMax(plan)) };
  }
  const { path, name, about = `The trace ${name}.` } = asked;
  return { name, about, userIds: readTrace(path) };
}
