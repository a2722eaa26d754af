/** The stage `local`: this machine, or an emulator. Its addresses are known only when its servers run, so they come from outside. */
import type { StageConfig } from '../stage-config.ts';
import { stageDefaults } from './defaults.ts';

/** The issuer and the audience of this machine's tokens; `npm run token` signs with them. */
export const localJwt = { issuer: 'https://prewarm.local', audience: 'prewarm-api' } as const;

export type LocalContext = {
  readonly redisUrl: string;
  readonly databaseUrl: string;
  readonly pushgatewayUrl: string;
  readonly jwksUri: string;
  /** @default 30 */
  readonly warmEveryMinutes?: number;
};

export function localStage({ jwksUri, warmEveryMinutes, ...addresses }: LocalContext): StageConfig {
  return {
    ...stageDefaults,
    stage: 'local',
    logLevel: 'info',
    logRetentionDays: 7,
    warmEveryMinutes: warmEveryMinutes ?? stageDefaults.warmEveryMinutes,
    identity: { kind: 'existing', ...localJwt, jwksUri },
    servers: { kind: 'plain', ...addresses },
  };
}
