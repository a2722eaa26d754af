/** Applies the SQL migrations before the functions that need them: a custom resource that runs whenever their files or the secrets change. */
import { CustomResource, Duration, FileSystem } from 'aws-cdk-lib';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';

export type MigrationsProps = {
  readonly handler: IFunction;
  readonly migrationsDir: string;
  /** Another one makes it run, and set passwords anew. */
  readonly secretsRevision: number | undefined;
};

export class Migrations extends Construct {
  constructor(
    scope: Construct,
    id: string,
    { handler, migrationsDir, secretsRevision = 0 }: MigrationsProps,
  ) {
    super(scope, id);
    new CustomResource(this, 'Resource', {
      resourceType: 'Custom::PrewarmMigrations',
      serviceToken: handler.functionArn,
      serviceTimeout: Duration.minutes(6), // just above the function's own five, so that its answer comes first
      properties: {
        MigrationsHash: FileSystem.fingerprint(migrationsDir),
        SecretsRevision: String(secretsRevision),
      },
    });
  }
}
