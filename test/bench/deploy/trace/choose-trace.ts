/** The trace that was asked for, from a file or built in, with what is to be said about it. */
import type { DeployOptions } from '../options.ts';
import type { Plan } from '../plan.ts';
import { readTrace } from './read-trace.ts';
import { requestsMax } from './split-trace.ts';
import type { Trace } from './trace.ts';
import { type BuiltInTrace, ZIPF_LAWS, zipfTrace } from './zipf.ts';

/** Throws an error that says what is wrong with the file. */
export function chooseTrace(asked: DeployOptions['trace'], plan: Plan): Trace {
  if (typeof asked === 'string') return makeTrace(asked, plan);
  const { path, name, about = `The trace ${name}.` } = asked;
  return { name, about, userIds: readTrace(path) };
}

function makeTrace(name: BuiltInTrace, plan: Plan): Trace {
  const law = ZIPF_LAWS[name];
  const [usersRead, users] = [law.usersRead, law.users].map((count) => count.toLocaleString('en'));
  const about = `Made by Zipf's law (exponent ${law.exponent}) over ${usersRead} of ${users} sample users, with a fixed seed.`;
  return { name, about, userIds: zipfTrace(law, requestsMax(plan)) };
}
