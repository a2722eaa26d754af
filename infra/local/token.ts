/** `npm run token`: prints a signed token that the local stage accepts, and nothing else. */
import { parseArgs } from 'node:util';
import { loadOrCreateIdentity, signToken } from './identity.ts';
import { readStateDir } from './options.ts';

const usage =
  'Usage: npm run token -- [--sub alice] [--scope "users:read cache:admin"] [--client oncall] ' +
  '[--expires-in 1h] [--no-exp] [--audience …] [--issuer …]';

const text = { type: 'string' } as const;
const options = {
  ...{ sub: text, scope: text, client: text, audience: text, issuer: text, 'expires-in': text },
  'no-exp': { type: 'boolean' },
} as const;

try {
  const { 'expires-in': expiresIn = '1h', 'no-exp': noExp, ...claims } = parse();
  const identity = await loadOrCreateIdentity(readStateDir(process.env));
  const token = await signToken(identity, { ...claims, expiresIn: noExp ? null : expiresIn });
  process.stdout.write(`${token}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

function parse() {
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    throw new Error(`${(error as Error).message.split(/[.\n]/)[0]}. ${usage}`);
  }
}
