/** The stage `local`: this machine, or an emulator. Its addresses are known only when its servers run, so they come from outside. */
import type { StageConfig } from '../stage-config.ts';
import { stageDefaults } from './defaults.ts';

/** The issuer and the audience of this machine's tokens; `npm run token` signs with them. */
export const localJwt = { issuer: 'https://prewarm.local', audience: 'prewarm-api' } as const;

export type LocalContext = {
  readonly redisUrl: string;
  readonly databaseUrl: string;
  /** Of the database's roles for reading and for the warmer, both or none. @default - `databaseUrl` for all */
  readonly readerDatabaseUrl?: string | undefined;
  readonly warmerDatabaseUrl?: string | undefined;
  readonly pushgatewayUrl: string;
  readonly jwksUri: string;
  /** @default 30 */
  readonly warmEveryMinutes?: number;
};

export function localStage({ jwksUri, warmEveryMinutes, ...addresses }: LocalContext): StageConfig {
  const {
    redisUrl,
    databaseUrl,
    readerDatabaseUrl: reader,
    warmerDatabaseUrl: warmer,
    pushgatewayUrl,
  } = addresses;
  const roleUrls = reader !== undefined && warmer !== undefined ? { reader, warmer } : undefined;
  return {
    ...stageDefaults,
    stage: 'local',
    logLevel: 'info',
    logRetentionDays: 7,
    warmEveryMinutes: warmEveryMinutes ?? stageDefaults.warmEveryMinutes,
    identity: { kind: 'existing', ...localJwt, jwksUri },
    servers: { kind: 'plain', redisUrl, databaseUrl, roleUrls, pushgatewayUrl },
  };
}
