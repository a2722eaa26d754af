/** The issuer's public keys: fetched when one is not known, asked for again every hour, and kept while the issuer is away. */
import { SimpleFetcher } from 'aws-jwt-verify/https';
import { type Jwks, SimpleJwksCache } from 'aws-jwt-verify/jwk';
import { hasPassed } from '../../shared/clock.ts';
import { IssuerUnavailableError } from '../../shared/errors.ts';
import { log } from '../../shared/logger.ts';

const FETCH_TIMEOUT_MS = 3_000;
/** Some issuers publish dozens of keys, and none of them a hundred. */
const JWKS_CHARACTERS_MAX = 256 * 1024;
/** A key that the issuer has withdrawn is refused after this time. */
const REFRESH_EVERY_MS = 3_600_000;
/** While the issuer is away, callers do not wait for it one after the other. */
const RETRY_AFTER_MS = 10_000;
const LOOPBACK_HOSTS = new Set(['127.0.0.1', 'localhost', '[::1]']);

type GetJwk = SimpleJwksCache['getJwk'];

export class IssuerKeys extends SimpleJwksCache {
  #fetchedAtMs = 0;
  #failedAtMs = 0;
  #failure: IssuerUnavailableError | undefined;

  constructor() {
    super({ fetcher: new JwksFetcher(), jwksParser: parseJwks });
  }

  /** Throws `IssuerUnavailableError` for whatever is no set of keys; the keys that are known stay. */
  override async getJwks(jwksUri: string): Promise<Jwks> {
    if (this.#failure !== undefined && !hasPassed(RETRY_AFTER_MS, this.#failedAtMs)) throw this.#failure;
    try {
      const jwks = await super.getJwks(jwksUri);
      this.#fetchedAtMs = Date.now();
      this.#failure = undefined;
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

  /** The next one is an hour, or a failure's pause, away: with what is known the callers go on. */
  async #refresh(jwksUri: string): Promise<void> {
    if (this.#failure !== undefined && !hasPassed(RETRY_AFTER_MS, this.#failedAtMs)) return;
    await this.getJwks(jwksUri).catch((error: unknown) => {
      log.error("The issuer's keys could not be asked for again; those that are known go on.", { error });
    });
  }
}

/** A page of HTML, or a set without a key, is what an issuer answers that is not well: it must not replace what is known. */
function parseJwks(body: ArrayBuffer): Jwks {
  if (body.byteLength > JWKS_CHARACTERS_MAX) throw new Error('The answer is too large for a set of keys.');
  const jwks = JSON.parse(new TextDecoder().decode(body)) as Jwks | null;
  if (!Array.isArray(jwks?.keys) || jwks.keys.length === 0) throw new Error('The answer is no set of keys.');
  return jwks;
}

/** Keys come over TLS; without it only from this machine, which is what the local stage does. */
class JwksFetcher extends SimpleFetcher {
  override async fetch(uri: string, ...rest: unknown[]): Promise<ArrayBuffer> {
    const { protocol, hostname } = new URL(uri);
    if (protocol !== 'http:' || !LOOPBACK_HOSTS.has(hostname)) {
      return super.fetch(uri, ...(rest as []));
    }
    const answer = await fetch(uri, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
    if (!answer.ok) throw new Error(`The issuer answered ${answer.status}.`);
    return answer.arrayBuffer();
  }
}
