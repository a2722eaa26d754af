/** Passwords for an RDS Proxy that lets functions in by their roles: signed on the spot, without a call to AWS. */
import aws4 from 'aws4';

export type Role = {
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
};

export type Destination = { readonly host: string; readonly port: number; readonly user: string };

/** How long a token is valid: as long as the service allows. It counts at the moment of connecting only. */
const VALID_S = 900;

/**
 * A signed `rds-db:connect` request, whose URL without its scheme is the password. The AWS SDK makes the same one, but has
 * no place in a read container's bundle.
 */
export function createIamToken({ host, port, user }: Destination, role: Role): string {
  const address = `${host}:${port}`;
  const request = {
    service: 'rds-db',
    region: role.region,
    signQuery: true,
    headers: { Host: address },
    path: `/?Action=connect&DBUser=${encodeURIComponent(user)}&X-Amz-Expires=${VALID_S}`,
  };
  return `${address}${aws4.sign(request, role).path}`;
}
