/** A function's code: its handler and what it imports, bundled by esbuild in this process into ES modules. */
import { cpSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AssetHashType, DockerImage } from 'aws-cdk-lib';
import { Code } from 'aws-cdk-lib/aws-lambda';
import { type BuildOptions, buildSync } from 'esbuild';

/** A folder to put beside the bundle, under its new name. */
export type Carried = { readonly from: string; readonly as: string };

/**
 * Bundled CommonJS packages (pg, ioredis, prom-client) call `require`, which an ES module does not have.
 * Imported under another name, because a bundled file may import `createRequire` itself.
 */
const requireBanner =
  "import{createRequire as prewarmCreateRequire}from'node:module';const require=prewarmCreateRequire(import.meta.url);";

/**
 * The construct library's own `NodejsFunction` does the same through `npx`, half a second for each function.
 * The hash is of the bundle: a function is deployed only when what it runs has changed.
 */
export function bundleCode(entry: string, carried?: Carried): Code {
  return Code.fromAsset(dirname(entry), {
    assetHashType: AssetHashType.OUTPUT,
    bundling: {
      image: DockerImage.fromRegistry('never-used'),
      local: {
        tryBundle(outDir) {
          buildSync(bundleOptions(entry, outDir));
          if (carried) cpSync(carried.from, join(outDir, carried.as), { recursive: true });
          return true;
        },
      },
    },
  });
}

/** An `index.mjs` with what the container needs from its start, and a chunk beside it for each dynamic `import()`. */
export function bundleOptions(entry: string, outDir: string): BuildOptions {
  return {
    entryPoints: [entry],
    outdir: outDir,
    entryNames: 'index',
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    banner: { js: requireBanner },
    external: ['@aws-sdk/*'], // the runtime has them
    // Not `minifyIdentifiers`: logs show the names of errors, and it makes a cold start 3 ms slower (docs/decisions/0012).
    minifyWhitespace: true,
    minifySyntax: true,
    sourcemap: true,
    sourcesContent: false,
    logLevel: 'warning',
  };
}
