/** The command line and the environment of `npm run smoke`: which API, which warm-up, and how to get a token. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Credentials } from './access-token.ts';

export type SmokeOptions = {
  /** Without its last slash. */
  readonly apiUrl: string;
  /** Of the deployment's warm-up. @default - the newest warm-up that a deployment started */
  readonly traceId?: string;
  /** How long to wait for the warm-up's report. */
  readonly waitMs: number;
  readonly credentials: Credentials;
};

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

const WAIT_SECONDS_DEFAULT = 120;
const WAIT_SECONDS_MAX = 600;

const text = { type: 'string' } as const;
const DECLARED = {
  api: text,
  outputs: text,
  stage: text,
  'trace-id': text,
  'token-url': text,
  wait: text,
} as const;

/** @throws Error that says in one sentence what is missing and how to give it */
export function readSmokeOptions(args: readonly string[], env: NodeJS.ProcessEnv): SmokeOptions {
  const given = parse(args);
  const outputs = readOutputs(given.outputs, given.stage);
  const apiUrl = given.api ?? outputs.apiUrl;
  if (apiUrl === undefined) {
    throw new Error('Which API? Pass --api URL, or --outputs FILE and --stage NAME after a deployment.');
  }
  const traceId = given['trace-id'] ?? outputs.traceId;
  return {
    apiUrl: parseUrl('--api', apiUrl).replace(/\/$/, ''),
    ...(traceId !== undefined && { traceId }),
    waitMs: parseSeconds(given.wait) * 1_000,
    credentials: readCredentials(env, given['token-url'] ?? outputs.tokenUrl ?? env['PREWARM_TOKEN_URL']),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: DECLARED }).values;
  } catch (error) {
    const [firstSentence] = (error as Error).message.split(/\.\s|\n/);
    throw new Error(`${firstSentence}.\n\n${USAGE}`, { cause: error });
  }
}

type Outputs = Readonly<Record<'apiUrl' | 'traceId' | 'tokenUrl', string | undefined>>;

/** The file has the outputs of every stack by its name. */
function readOutputs(file: string | undefined, stage: string | undefined): Outputs {
  if (file === undefined) return { apiUrl: undefined, traceId: undefined, tokenUrl: undefined };
  if (stage === undefined) throw new Error('Of which stage are the outputs? Pass --stage NAME too.');
  const stacks = readJson(file);
  const service = stacks[`prewarm-${stage}`];
  if (service === undefined) {
    throw new Error(`${file} has no outputs of the stack prewarm-${stage}: is "${stage}" what was deployed?`);
  }
  return {
    apiUrl: service['ApiUrl'],
    traceId: service['WarmupTraceId'],
    tokenUrl: stacks[`prewarm-${stage}-identity`]?.['TokenUrl'],
  };
}

function readJson(file: string): Record<string, Record<string, string> | undefined> {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new Error(`Cannot read ${file}: cdk deploy --outputs-file ${file} writes it.`, { cause: error });
  }
}

function readCredentials(env: NodeJS.ProcessEnv, tokenUrl: string | undefined): Credentials {
  const { PREWARM_TOKEN: token, PREWARM_CLIENT_ID: clientId, PREWARM_CLIENT_SECRET: clientSecret } = env;
  if (token) return { token };
  if (!clientId || !clientSecret) {
    throw new Error('Without a token: set PREWARM_TOKEN, or PREWARM_CLIENT_ID and PREWARM_CLIENT_SECRET.');
  }
  if (!tokenUrl) {
    throw new Error('Where does the client get its token? Pass --token-url URL, or set PREWARM_TOKEN.');
  }
  return { tokenUrl: parseUrl('--token-url', tokenUrl), clientId, clientSecret };
}

function parseUrl(name: string, url: string): string {
  if (/^https?:\/\//.test(url) && URL.canParse(url)) return url;
  throw new Error(`${name} must be an address like https://example.com, but is "${url}".`);
}

function parseSeconds(given = String(WAIT_SECONDS_DEFAULT)): number {
  const seconds = /^\d+$/.test(given) ? Number(given) : Number.NaN;
  if (seconds <= WAIT_SECONDS_MAX) return seconds;
  throw new Error(
    `--wait must be a whole number of seconds, at most ${WAIT_SECONDS_MAX}, but is "${given}".`,
  );
}
