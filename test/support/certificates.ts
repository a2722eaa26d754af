/** Certificates for tests of TLS, made on the spot: an authority, and what it vouches for. Node itself reads them only. */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';

/** All in PEM. */
export type Certificate = { readonly cert: string; readonly key: string; readonly ca: string };

export type Authority = {
  /** Its own certificate, in PEM: whoever trusts it trusts what it issues. */
  readonly pem: string;
  /** For a server that is reached by one of these names. */
  issue(...dnsNames: string[]): Certificate;
};

type Pair = { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
type Contents = {
  readonly issuer: string;
  readonly subject: string;
  readonly publicKey: KeyObject;
  readonly extension: Buffer;
};

const HOUR_MS = 3_600_000;

export function createAuthority(name: string): Authority {
  const own = createPair();
  const certify = (contents: Omit<Contents, 'issuer'>) => certificate({ ...contents, issuer: name }, own);
  const pem = certify({ subject: name, publicKey: own.publicKey, extension: mayIssue() });
  return {
    pem,
    issue(...dnsNames) {
      const { publicKey, privateKey } = createPair();
      const cert = certify({ subject: 'server', publicKey, extension: isFor(dnsNames) });
      return { cert, key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), ca: pem };
    },
  };
}

function createPair(): Pair {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
}

/** The tags of ASN.1's distinguished encoding (X.690) that X.509 certificates (RFC 5280) are made of. */
const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  bytes: 0x04,
  oid: 0x06,
  text: 0x0c,
  time: 0x17,
} as const;
const SEQUENCE = 0x30;
const SET = 0x31;
const DNS_NAME = 0x82;
const field = (number: number) => 0xa0 + number;

const OID = {
  ecdsaWithSha256: '2a8648ce3d040302',
  commonName: '550403',
  subjectAltName: '551d11',
  basicConstraints: '551d13',
} as const;

function encode(tag: number, ...contents: Buffer[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content]);
  return Buffer.concat([Buffer.of(tag, 0x82, length >> 8, length & 0xff), content]);
}

function oid(name: keyof typeof OID): Buffer {
  return encode(TAG.oid, Buffer.from(OID[name], 'hex'));
}

function certificate({ issuer, subject, publicKey, extension }: Contents, signer: Pair): string {
  const algorithm = encode(SEQUENCE, oid('ecdsaWithSha256'));
  const contents = encode(
    SEQUENCE,
    encode(field(0), encode(TAG.integer, Buffer.of(2))), // version 3
    encode(TAG.integer, Buffer.of(1), randomBytes(8)),
    algorithm,
    named(issuer),
    encode(SEQUENCE, time(Date.now() - HOUR_MS), time(Date.now() + HOUR_MS)),
    named(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    encode(field(3), encode(SEQUENCE, extension)),
  );
  const signature = encode(TAG.bits, Buffer.of(0), sign('sha256', contents, signer.privateKey));
  const base64 = encode(SEQUENCE, contents, algorithm, signature).toString('base64');
  return `-----BEGIN CERTIFICATE-----\n${base64.replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`;
}

function named(name: string): Buffer {
  const commonName = encode(SEQUENCE, oid('commonName'), encode(TAG.text, Buffer.from(name)));
  return encode(SEQUENCE, encode(SET, commonName));
}

function time(ms: number): Buffer {
  // Two digits of the year, as RFC 5280 wants it until 2049.
  return encode(TAG.time, Buffer.from(`${new Date(ms).toISOString().replace(/\D/g, '').slice(2, 14)}Z`));
}

function mayIssue(): Buffer {
  const yes = encode(TAG.boolean, Buffer.of(0xff));
  return encode(SEQUENCE, oid('basicConstraints'), yes, encode(TAG.bytes, encode(SEQUENCE, yes)));
}

function isFor(dnsNames: readonly string[]): Buffer {
  const names = dnsNames.map((name) => encode(DNS_NAME, Buffer.from(name)));
  return encode(SEQUENCE, oid('subjectAltName'), encode(TAG.bytes, encode(SEQUENCE, ...names)));
}
