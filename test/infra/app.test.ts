/** What the CDK app says to the command line when it is given a stage that it does not know. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import cdkJson from '../../cdk.json' with { type: 'json' };

it('an unknown stage is an error that names the known ones', async () => {
  const env = {
    PATH: process.env['PATH'],
    CDK_CONTEXT_JSON: JSON.stringify({ ...cdkJson.context, stage: 'staging' }),
  };
  await expect(promisify(execFile)(process.execPath, ['infra/main.ts'], { env })).rejects.toThrow(
    'There is no stage "staging": pass --context stage=local|dev|prod|adopted',
  );
});
