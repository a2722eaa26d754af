/** Brings the database up to date before a deployment goes on; a failed migration stops the deployment. */
import type { CloudFormationCustomResourceEvent } from 'aws-lambda';
import { answerCustomResource, type CustomResourceAnswer } from '../../shared/aws/custom-resource.ts';
import { environment } from '../../shared/environment.ts';
import { rootCause } from '../../shared/errors.ts';
import { log, setLogLevel, withTraceId } from '../../shared/logger.ts';
import { migrate } from '../../shared/postgres/migrate.ts';

setLogLevel(environment.logLevel());

export async function handler(event: CloudFormationCustomResourceEvent): Promise<void> {
  await withTraceId(event.RequestId, async () =>
    answerCustomResource(event, 'prewarm-migrations', await run(event)),
  );
}

async function run(event: CloudFormationCustomResourceEvent): Promise<CustomResourceAnswer> {
  // The data outlives the stack.
  if (event.RequestType === 'Delete') return { status: 'SUCCESS' };
  try {
    const { applied } = await migrate(environment.databaseUrl(), {
      isRdsProxy: environment.isRdsProxy(),
      logins: environment.databaseLogins(),
    });
    log.info('migration.finished', 'The database is up to date.', { applied });
    return { status: 'SUCCESS', data: { Applied: String(applied.length) } };
  } catch (error) {
    log.error('migration.failed', 'The database could not be migrated.', { error });
    return { status: 'FAILED', reason: explain(error) };
  }
}

/** What went wrong, and why: a refused connection to a name with two addresses has no message of its own. */
function explain(error: unknown): string {
  const [message, cause] = [error instanceof Error ? error.message : String(error), rootCause(error)];
  return message.includes(cause) ? message : [message, cause].filter((text) => text !== '').join(' Cause: ');
}
