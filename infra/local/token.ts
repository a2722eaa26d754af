/** `npm run token`: prints a signed token that the local stage accepts, and nothing else. */
import { parseArgs } from 'node:util';
import { loadOrCreateIdentity, signToken, type TokenClaims } from './identity.ts';
import { readStateDir } from './options.ts';

const usage =
  'Usage: npm run token -- [--sub alice] [--scope "users:read cache:admin"] [--client oncall] ' +
  '[--expires-in 1h] [--no-exp] [--audience …] [--issuer …]';

try {
  const claims = readClaims(process.argv.slice(2));
  const identity = await loadOrCreateIdentity(readStateDir(process.env));
  process.stdout.write(`${await signToken(identity, claims)}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

function readClaims(args: string[]): TokenClaims {
  const { 'expires-in': expiresIn, 'no-exp': noExp, ...claims } = parse(args);
  return { ...claims, ...(noExp ? { expiresIn: null } : expiresIn !== undefined && { expiresIn }) };
}

function parse(args: string[]) {
  const text = { type: 'string' } as const;
  const options = {
    sub: text,
    scope: text,
    client: text,
    audience: text,
    issuer: text,
    'expires-in': text,
    'no-exp': { type: 'boolean' },
  } as const;
  try {
    return parseArgs({ args, options }).values;
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message.split(/[.\n]/)[0] : error}. ${usage}`);
  }
}
