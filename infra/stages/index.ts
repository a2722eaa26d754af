/** The stages by name; a new one is a file here and a line below. */
import type { StageConfig } from '../stage-config.ts';
import { adoptedStage } from './adopted.ts';
import { devStage } from './dev.ts';
import { type LocalContext, localStage } from './local.ts';
import { prodStage } from './prod.ts';

const deployedStages: Readonly<Record<string, StageConfig>> = {
  dev: devStage,
  prod: prodStage,
  adopted: adoptedStage,
};

/** Those that `--context stage=` takes. */
export const stageNames: readonly string[] = ['local', ...Object.keys(deployedStages)];

/** Throws with the names of the stages when there is none of this name. */
export function findStage(name: string, localContext: LocalContext): StageConfig {
  if (name === 'local') return localStage(localContext);
  const stage = deployedStages[name];
  if (stage) return stage;
  throw new Error(`There is no stage "${name}": pass --context stage=${stageNames.join('|')}`);
}
