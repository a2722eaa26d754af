/** Starts a warm-up at every deployment, and never makes a deployment fail or wait. */
import type { CloudFormationCustomResourceEvent } from 'aws-lambda';
import { answerCustomResource } from '../../shared/aws/custom-resource.ts';
import { environment } from '../../shared/environment.ts';
import { log, setLogLevel, setTraceId } from '../../shared/logger.ts';

setLogLevel(environment.logLevel());

export async function handler(event: CloudFormationCustomResourceEvent): Promise<void> {
  const traceId = event.RequestId;
  setTraceId(traceId);
  if (event.RequestType !== 'Delete') await start(traceId);
  await answerCustomResource(event, 'prewarm-deployment', { status: 'SUCCESS', data: { TraceId: traceId } });
}

/** Whatever is wrong here, the SDK included, which is loaded here for that, becomes a line of the log that an alarm counts. */
async function start(traceId: string): Promise<void> {
  try {
    const { startWarmer } = await import('../../shared/aws/invoke-warmer.ts');
    await startWarmer(environment.warmerFunctionName(), { trigger: 'deploy', traceId });
    log.info('Warm-up started by the deployment.');
  } catch (error) {
    // A cold cache is slow, a failed deployment is worse; the schedule warms within 30 minutes.
    log.error('The deployment could not start a warm-up.', { error });
  }
}
