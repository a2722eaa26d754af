/** The local stage's own issuer: one ES256 key pair in the state folder, and the tokens signed with it. */
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose';
import { localJwt } from '../stages/local.ts';
import { draftOf } from './drafts.ts';
import { prepareStateFolder } from './state-folder.ts';

export type Identity = { readonly privateJwk: JWK; readonly jwks: { readonly keys: readonly JWK[] } };

export type TokenClaims = {
  /** @default local-user */
  readonly sub?: string;
  /** Separated by spaces. @default none */
  readonly scope?: string;
  /** @default default */
  readonly client?: string;
  /** As jose takes it: `1h`, `30s`, `-5m`; null leaves `exp` out. @default 1h */
  readonly expiresIn?: string | null;
  /** @default that of the local stage */
  readonly audience?: string;
  readonly issuer?: string;
};

const fileName = 'identity.json';

/** The key pair of this state folder, made at the first call. Two processes at once get the same one. */
export async function loadOrCreateIdentity(stateDir: string): Promise<Identity> {
  prepareStateFolder(stateDir); // the token command may come before the first start, or to a folder of somebody else's
  return readIdentity(stateDir) ?? (await createIdentity(stateDir));
}

function readIdentity(stateDir: string): Identity | undefined {
  try {
    return JSON.parse(readFileSync(join(stateDir, fileName), 'utf8')) as Identity;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(
      `Cannot read ${join(stateDir, fileName)}: delete it, and a new key is made at the next start`,
    );
  }
}

/** Written beside and linked into place: the name appears only with a whole file, and only once. */
async function createIdentity(stateDir: string): Promise<Identity> {
  const identity = await generateIdentity();
  const draft = draftOf(join(stateDir, fileName));
  writeFileSync(draft, JSON.stringify(identity), { mode: 0o600 });
  try {
    linkSync(draft, join(stateDir, fileName));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  return readIdentity(stateDir) ?? identity;
}

async function generateIdentity(): Promise<Identity> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const publicJwk = await exportJWK(publicKey);
  const marks = { kid: await calculateJwkThumbprint(publicJwk), alg: 'ES256', use: 'sig' };
  return {
    privateJwk: { ...(await exportJWK(privateKey)), ...marks },
    jwks: { keys: [{ ...publicJwk, ...marks }] },
  };
}

/** A signed JWT. @throws when `expiresIn` is no time span. */
export async function signToken({ privateJwk }: Identity, claims: TokenClaims = {}): Promise<string> {
  const { scope, client = 'default', expiresIn = '1h' } = claims;
  const token = new SignJWT({ ...(scope && { scope }), client_id: client })
    .setProtectedHeader({ alg: 'ES256', kid: privateJwk.kid ?? '', typ: 'JWT' })
    .setSubject(claims.sub ?? 'local-user')
    .setIssuer(claims.issuer ?? localJwt.issuer)
    .setAudience(claims.audience ?? localJwt.audience)
    .setIssuedAt();
  if (expiresIn !== null) token.setExpirationTime(relative(expiresIn));
  return await token.sign(await importJWK(privateJwk, 'ES256'));
}

/** jose reads `-5m` and `1h`, from now. */
function relative(span: string): string {
  if (!/^-?\d+ ?[a-z]+$/i.test(span)) throw new Error(`"${span}" is no time span: write 30s, 15m, 1h or -5m`);
  return span;
}
