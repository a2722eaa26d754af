/** TLS and a password to a real Redis Cluster: whom the functions trust, and whom they do not. */
import { startTlsCluster } from '../../../support/tls-servers.ts';
import { describeTls, REASONS } from './tls-promises.ts';

/** Of a cluster ioredis passes on what its servers answered, but not why a certificate was refused. */
const NO_CONNECTION = /"cause":.*Connection is closed/;

describeTls({
  kind: 'a cluster',
  start: startTlsCluster,
  reasons: { ...REASONS, authority: NO_CONNECTION, name: NO_CONNECTION },
});
