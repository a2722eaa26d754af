/** TLS and a password to a real Redis: whom the functions trust, and whom they do not. */
import { startTlsRedis } from '../../../support/tls-servers.ts';
import { describeTls, REASONS } from './tls-promises.ts';

describeTls({ kind: 'a Redis', start: startTlsRedis, reasons: REASONS });
