/** What `npm run smoke` is told: by its command line, by a deployment's outputs and by the environment. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Credentials } from './checks.ts';

export const USAGE = `npm run smoke -- --outputs cdk-outputs.json --stage prod     after cdk deploy --outputs-file
npm run smoke -- --api http://127.0.0.1:3000                a running npm start

  --api URL          the API (default: the stage's output ApiUrl)
  --trace-id ID      the warm-up to look for (default: the output WarmupTraceId; without it, the newest of a deployment)
  --token-url URL    where client credentials get a token (default: the output TokenUrl,
                     then PREWARM_TOKEN_URL)
  --wait SECONDS     how long to wait for the warm-up's report (default: 120)

Environment
  PREWARM_TOKEN                                  a token with the scopes users:read and cache:admin, or
  PREWARM_CLIENT_ID and PREWARM_CLIENT_SECRET    a client that gets one`;

export type SmokeOptions = ReturnType<typeof readOptions>;

const WAIT_SECONDS_MAX = 600;

/** Of all stacks, by their names. */
type Outputs = Readonly<Record<string, Readonly<Record<string, string>> | undefined>>;

/** The API's address is without its last slash. @throws Error that says in one sentence what is missing and how to give it */
export function readOptions(args: readonly string[], env: NodeJS.ProcessEnv) {
  const given = parse(args);
  const outputs = given.outputs === undefined ? {} : readOutputs(given.outputs, given.stage);
  const { ApiUrl, WarmupTraceId } = outputs[`prewarm-${given.stage}`] ?? {};
  const { TokenUrl } = outputs[`prewarm-${given.stage}-identity`] ?? {};
  const apiUrl = given.api ?? ApiUrl;
  if (!apiUrl) fail('Which API? Pass --api URL, or --outputs FILE and --stage NAME after a deployment.');
  return {
    apiUrl: checkUrl('--api', apiUrl).replace(/\/$/, ''),
    traceId: given['trace-id'] ?? WarmupTraceId,
    waitMs: parseSeconds(given.wait) * 1_000,
    credentials: readCredentials(env, given['token-url'] ?? TokenUrl ?? env['PREWARM_TOKEN_URL']),
  };
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const named = { api: text, outputs: text, stage: text, 'trace-id': text, 'token-url': text } as const;
  try {
    return parseArgs({ args: [...args], options: { ...named, wait: { ...text, default: '120' } } }).values;
  } catch (error) {
    const [firstSentence] = (error as Error).message.split(/\.\s|\n/);
    fail(`${firstSentence}.\n\n${USAGE}`, error);
  }
}

function readOutputs(file: string, stage: string | undefined): Outputs {
  if (stage === undefined) fail('Of which stage are the outputs? Pass --stage NAME too.');
  let outputs: Outputs;
  try {
    outputs = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    fail(`Cannot read ${file}: cdk deploy --outputs-file ${file} writes it.`, error);
  }
  if (outputs[`prewarm-${stage}`]) return outputs;
  fail(`${file} has no outputs of the stack prewarm-${stage}: is "${stage}" what was deployed?`);
}

function readCredentials(env: NodeJS.ProcessEnv, tokenUrl: string | undefined): Credentials {
  const { PREWARM_TOKEN: token, PREWARM_CLIENT_ID: clientId, PREWARM_CLIENT_SECRET: clientSecret } = env;
  if (token) return { token };
  if (!clientId || !clientSecret)
    fail('Without a token: set PREWARM_TOKEN, or PREWARM_CLIENT_ID and PREWARM_CLIENT_SECRET.');
  if (!tokenUrl) fail('Where does the client get its token? Pass --token-url URL, or set PREWARM_TOKEN.');
  return { tokenUrl: checkUrl('--token-url', tokenUrl), clientId, clientSecret };
}

function checkUrl(name: string, url: string): string {
  if (/^https?:\/\//.test(url) && URL.canParse(url)) return url;
  fail(`${name} must be an address like https://example.com, but is "${url}".`);
}

function parseSeconds(given: string): number {
  if (/^\d+$/.test(given) && Number(given) <= WAIT_SECONDS_MAX) return Number(given);
  fail(`--wait must be a whole number of seconds, at most ${WAIT_SECONDS_MAX}, but is "${given}".`);
}

function fail(message: string, cause?: unknown): never {
  throw new Error(message, { cause });
}
