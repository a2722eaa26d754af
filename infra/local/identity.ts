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

/** The key pair of this state folder, made at the first call. Two processes at once get the same one. */
export async function loadOrCreateIdentity(stateDir: string): Promise<Identity> {
  prepareStateFolder(stateDir); // the token command may come before the first start, or to a folder of somebody else's
  const file = join(stateDir, 'identity.json');
  return readIdentity(file) ?? (await createIdentity(file));
}

function readIdentity(file: string): Identity | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Identity;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`Cannot read ${file}: delete it, and a new key is made at the next start`);
  }
}

/** Written beside and linked into place: the name appears only with a whole file, and only once. */
async function createIdentity(file: string): Promise<Identity> {
  const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
  const publicJwk = await exportJWK(publicKey);
  const marks = { kid: await calculateJwkThumbprint(publicJwk), alg: 'ES256', use: 'sig' };
  const identity: Identity = {
    privateJwk: { ...(await exportJWK(privateKey)), ...marks },
    jwks: { keys: [{ ...publicJwk, ...marks }] },
  };
  const draft = draftOf(file);
  writeFileSync(draft, JSON.stringify(identity), { mode: 0o600 });
  try {
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
  return readIdentity(file) ?? identity;
}

/** A signed JWT. @throws when `expiresIn` is no time span. */
export async function signToken({ privateJwk }: Identity, claims: TokenClaims = {}): Promise<string> {
  const { sub = 'local-user', scope, client = 'default', expiresIn = '1h' } = claims;
  if (expiresIn !== null && !/^-?\d+ ?[a-z]+$/i.test(expiresIn))
    throw new Error(`"${expiresIn}" is no time span: write 30s, 15m, 1h or -5m`);
  const token = new SignJWT({ ...(scope && { scope }), client_id: client })
    .setProtectedHeader({ alg: 'ES256', kid: privateJwk.kid ?? '', typ: 'JWT' })
    .setSubject(sub)
    .setIssuer(claims.issuer ?? localJwt.issuer)
    .setAudience(claims.audience ?? localJwt.audience)
    .setIssuedAt();
  if (expiresIn !== null) token.setExpirationTime(expiresIn); // which jose counts from now
  return await token.sign(await importJWK(privateJwk, 'ES256'));
}
