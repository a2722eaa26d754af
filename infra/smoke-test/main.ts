/** `npm run smoke`: tries a deployed API from outside, and shows what its deployment's warm-up did. Fails if the API is broken. */
import type { WarmupReport } from '../../shared/warming/report.ts';
import { getAccessToken } from './access-token.ts';
import { checkHealth, checkRead, checkRefusal, describeStatus, type Finding, readStatus } from './checks.ts';
import { SmokeError } from './smoke-error.ts';
import { readSmokeOptions, type SmokeOptions, USAGE } from './smoke-options.ts';
import { describeFate, SmokeReport } from './smoke-report.ts';
import { formatReport } from './warmup-table.ts';
import { watchWarmup } from './warmup-watch.ts';

const EXIT_OK = 0;
const EXIT_FAILED = 1;

process.exitCode = await main();

async function main(): Promise<number> {
  if (process.argv.includes('--help')) {
    process.stdout.write(`${USAGE}\n`);
    return EXIT_OK;
  }
  let options: SmokeOptions;
  try {
    options = readSmokeOptions(process.argv.slice(2), process.env);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    return EXIT_FAILED;
  }
  return runSmokeTest(options, new SmokeReport(process.env));
}

/** One check after the other: what follows a failure would fail for the same reason. */
async function runSmokeTest(options: SmokeOptions, report: SmokeReport): Promise<number> {
  try {
    const warmup = await runChecks(options, report);
    if (warmup) process.stdout.write(`\n${formatReport(warmup)}\n`);
    report.writeSummary(options.apiUrl, 'passed', warmup);
    return EXIT_OK;
  } catch (error) {
    if (!(error instanceof SmokeError)) throw error;
    report.addFailure(error.message, error.next);
    report.writeSummary(options.apiUrl, 'failed');
    return EXIT_FAILED;
  }
}

/** Answers the report to show, if there is one. */
async function runChecks(
  { apiUrl, credentials, ...watch }: SmokeOptions,
  report: SmokeReport,
): Promise<WarmupReport | undefined> {
  const find = async <T>(look: () => Promise<T>, describe: (seen: T) => Finding): Promise<T> => {
    const startedAtMs = performance.now();
    const seen = await look();
    report.add(describe(seen), performance.now() - startedAtMs);
    return seen;
  };
  await find(() => checkHealth(apiUrl), asFound);
  await find(() => checkRefusal(apiUrl), asFound);
  const token = await getAccessToken(credentials);
  await find(() => checkRead(apiUrl, token), asFound);
  const readAgain = () => readStatus(apiUrl, token);
  const status = await find(readAgain, describeStatus);
  const fate = await find(
    () => watchWarmup(status, readAgain, watch),
    (seen) => describeFate(seen, watch.traceId),
  );
  return 'report' in fate ? fate.report : undefined;
}

function asFound(finding: Finding): Finding {
  return finding;
}
