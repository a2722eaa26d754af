/** The issuer's public keys: fetched when one is not known, asked for again every hour, and kept while the issuer is away. */
import { createPublicKey } from 'node:crypto';
import { type Jwk, type Jwks, SimpleJwksCache } from 'aws-jwt-verify/jwk';
import { hasPassed } from '../../shared/clock.ts';
import { IssuerUnavailableError, TokenRefusedError } from '../../shared/errors.ts';
import { log } from '../../shared/logger.ts';
import { within } from '../../shared/within.ts';

/** One fetch takes so long at most; two of them fit into the function's five seconds. */
const FETCH_TIMEOUT_MS = 2_000;
const FETCH_TRIES = 2;
/** Some issuers publish dozens of keys, and none of them a hundred. */
const JWKS_BYTES_MAX = 256 * 1024;
/** RFC 7518: a shorter one must not be used. */
const RSA_BITS_MIN = 2_048;
/** A key that the issuer has withdrawn is refused after this time. */
const REFRESH_EVERY_MS = 3_600_000;
/** While the issuer is away, callers do not wait for it one after the other. */
const RETRY_AFTER_MS = 10_000;
/** A caller whose key is known waits no longer than this for the keys to be asked for again. */
const REFRESH_WAIT_MS = 300;
const LOOPBACK_HOSTS = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** Others, such as those for encryption, are in the same sets. */
const SIGNS = /^((RS|ES)(256|384|512)|EdDSA)$/;

type GetJwk = SimpleJwksCache['getJwk'];

export class IssuerKeys extends SimpleJwksCache {
  readonly #onFetched: (jwks: Jwks) => void;
  #fetchedAtMs = 0;
  #failedAtMs = 0;
  #failure: IssuerUnavailableError | undefined;

  /** `onFetched` is called for every set: what was made of the keys of the one before must be forgotten. */
  constructor(onFetched: (jwks: Jwks) => void) {
    super({ fetcher: { fetch: fetchTwice }, jwksParser: parseJwks, penaltyBox: new PenaltyBox() });
    this.#onFetched = onFetched;
  }

  /** Whether a token that a known key does not fit is worth asking for the keys again. */
  get mayAskAgain(): boolean {
    return hasPassed(RETRY_AFTER_MS, this.#fetchedAtMs) && hasPassed(RETRY_AFTER_MS, this.#failedAtMs);
  }

  /** Throws `IssuerUnavailableError` for whatever is no set of keys; the keys that are known stay. */
  override async getJwks(jwksUri: string): Promise<Jwks> {
    if (this.#pausingFor !== undefined) throw this.#pausingFor;
    try {
      const jwks = await super.getJwks(jwksUri);
      this.#fetchedAtMs = Date.now();
      this.#failure = undefined;
      this.#onFetched(jwks);
      return jwks;
    } catch (cause) {
      this.#failedAtMs = Date.now();
      this.#failure = new IssuerUnavailableError(jwksUri, { cause });
      throw this.#failure;
    }
  }

  override async getJwk(...[jwksUri, jwt]: Parameters<GetJwk>): ReturnType<GetJwk> {
    if (this.#fetchedAtMs > 0 && hasPassed(REFRESH_EVERY_MS, this.#fetchedAtMs)) await this.#refresh(jwksUri);
    return super.getJwk(jwksUri, jwt);
  }

  /** The failure for which nobody asks the issuer at the moment. */
  get #pausingFor(): IssuerUnavailableError | undefined {
    return hasPassed(RETRY_AFTER_MS, this.#failedAtMs) ? undefined : this.#failure;
  }

  /** The next one is an hour, or a failure's pause, away: with what is known the callers go on. */
  async #refresh(jwksUri: string): Promise<void> {
    if (this.#pausingFor !== undefined) return;
    const refreshed = this.getJwks(jwksUri).catch((error: unknown) => {
      log.error(
        'issuer.keys_not_refreshed',
        "The issuer's keys could not be refreshed; those that are known go on.",
        { error },
      );
    });
    await within(REFRESH_WAIT_MS, refreshed);
  }
}

/**
 * A page of HTML, or a set without a key that can be used, is what an issuer answers that is not well: it must not replace
 * what is known. One odd key among good ones is left out.
 */
function parseJwks(body: ArrayBuffer): Jwks {
  const jwks = JSON.parse(new TextDecoder().decode(body)) as { keys?: unknown } | null;
  const usable = Array.isArray(jwks?.keys) ? jwks.keys.filter(isUsable) : [];
  if (usable.length === 0) throw new Error('The answer has no key that could be used.');
  return { keys: usable };
}

/** By the wall clock, which runs while a container is frozen: who sends tokens of unknown keys makes others wait no longer. */
class PenaltyBox {
  #unknownAtMs = 0;

  async wait(): Promise<void> {
    if (!hasPassed(RETRY_AFTER_MS, this.#unknownAtMs)) throw new TokenRefusedError('The key is not known.');
  }

  registerFailedAttempt(): void {
    this.#unknownAtMs = Date.now();
  }

  registerSuccessfulAttempt(): void {
    this.#unknownAtMs = 0;
  }
}

/** Public, for signatures, named, and long enough. */
function isUsable(key: Jwk | null): key is Jwk {
  if (typeof key?.kid !== 'string' || (key.use !== undefined && key.use !== 'sig')) return false;
  if (key.alg !== undefined && !SIGNS.test(String(key.alg))) return false;
  try {
    const { asymmetricKeyDetails } = createPublicKey({ key: { ...key }, format: 'jwk' });
    return (asymmetricKeyDetails?.modulusLength ?? RSA_BITS_MIN) >= RSA_BITS_MIN;
  } catch {
    return false; // incomplete, or of a kind that has no public half
  }
}

async function fetchTwice(uri: string): Promise<ArrayBuffer> {
  for (let tries = 1; ; tries++) {
    try {
      return await fetchKeys(uri);
    } catch (error) {
      if (tries === FETCH_TRIES) throw error;
    }
  }
}

/** Keys come over TLS; without it only from this machine, which is what the local stage does. */
async function fetchKeys(uri: string): Promise<ArrayBuffer> {
  const { protocol, hostname } = new URL(uri);
  if (protocol !== 'https:' && !LOOPBACK_HOSTS.has(hostname)) throw new Error('Keys come over TLS only.');
  const answer = await fetch(uri, { redirect: 'error', signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
  if (!answer.ok) throw new Error(`The issuer answered ${answer.status}.`);
  return readAtMost(JWKS_BYTES_MAX, answer);
}

async function readAtMost(bytesMax: number, { body }: Response): Promise<ArrayBuffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > bytesMax) throw new Error('The answer is too large for a set of keys.');
    chunks.push(chunk);
  }
  return Uint8Array.from(Buffer.concat(chunks)).buffer;
}
