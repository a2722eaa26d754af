/** `npm run smoke`: tries a deployed API from outside, and shows what its deployment's warm-up did. Fails if the API is broken. */
import {
  checkHealth,
  checkRead,
  checkRefusal,
  checkStatus,
  type Finding,
  getAccessToken,
  SmokeError,
} from './checks.ts';
import { readOptions, type SmokeOptions, USAGE } from './options.ts';
import { SmokeOutput } from './output.ts';
import { formatReport, watchWarmup } from './warmup.ts';

if (process.argv.includes('--help')) process.stdout.write(`${USAGE}\n`);
else await main();

async function main(): Promise<void> {
  let options: SmokeOptions;
  try {
    options = readOptions(process.argv.slice(2), process.env);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exitCode = 1;
    return;
  }
  await runChecks(options, new SmokeOutput(process.env));
}

/** One check after the other: what follows a failure would fail for the same reason. */
async function runChecks(
  { apiUrl, credentials, ...watch }: SmokeOptions,
  output: SmokeOutput,
): Promise<void> {
  const show = async <T extends Finding>(look: () => Promise<T>): Promise<T> => {
    const startedAtMs = performance.now();
    const found = await look();
    output.showFinding(found, performance.now() - startedAtMs);
    return found;
  };
  try {
    await show(() => checkHealth(apiUrl));
    await show(() => checkRefusal(apiUrl));
    const token = await getAccessToken(credentials);
    await show(() => checkRead(apiUrl, token));
    const { status } = await show(() => checkStatus(apiUrl, token));
    const readAgain = async () => (await checkStatus(apiUrl, token)).status;
    const { report } = await show(() => watchWarmup(status, readAgain, watch));
    if (report) output.show(`\n${formatReport(report)}`);
    output.writeSummary(`Smoke test passed: ${apiUrl}`);
  } catch (error) {
    if (!(error instanceof SmokeError)) throw error;
    output.showFailure(error.message, error.next);
    output.writeSummary(`Smoke test failed: ${apiUrl}`);
    process.exitCode = 1;
  }
}
