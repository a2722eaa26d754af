/** Bundles an entry exactly as the product's functions are bundled. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { bundleOptions } from '../../../infra/constructs/bundled-code.ts';

export type Bundle = {
  /** What a container imports at its start. */
  readonly path: string;
  /** With the parts that are imported later. */
  readonly bytes: number;
};

export function buildBundle(entry: string, outDir: string): Bundle {
  buildSync(bundleOptions(entry, outDir));
  const modules = readdirSync(outDir).filter((name) => name.endsWith('.mjs'));
  const bytes = modules.reduce((sum, name) => sum + statSync(join(outDir, name)).size, 0);
  return { path: join(outDir, 'index.mjs'), bytes };
}
