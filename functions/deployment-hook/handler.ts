/** Warms the cache at every deployment, before traffic moves to new code; never makes a deployment fail, nor wait for long. */
import type { CloudFormationCustomResourceEvent, Context } from 'aws-lambda';
import { answerCustomResource } from '../../shared/aws/custom-resource.ts';
import type { WarmerEvent } from '../../shared/aws/invoke-warmer.ts';
import { environment } from '../../shared/environment.ts';
import { log, setLogLevel, withTraceId } from '../../shared/logger.ts';

/** Time kept for starting a warm-up that could not be waited for, and for the answer to CloudFormation. */
const CLOSING_MS = 8_000;
/** A shorter wait could end before the warmer has been started. */
const WAIT_MIN_MS = 1_000;

setLogLevel(environment.logLevel());

export function handler(event: CloudFormationCustomResourceEvent, context: Context): Promise<void> {
  return withTraceId(event.RequestId, () => answer(event, context));
}

async function answer(event: CloudFormationCustomResourceEvent, context: Context): Promise<void> {
  const traceId = event.RequestId;
  if (event.RequestType !== 'Delete') {
    const leftMs = context.getRemainingTimeInMillis() - CLOSING_MS;
    await warm({ trigger: 'deploy', traceId }, Math.max(0, Math.min(environment.waitForWarmUpMs(), leftMs)));
  }
  await answerCustomResource(event, 'prewarm-deployment', { status: 'SUCCESS', data: { TraceId: traceId } });
}

/** Whatever is wrong here, the SDK included, which is loaded here for that, becomes a line of the log that an alarm counts. */
async function warm(event: WarmerEvent, waitMs: number): Promise<void> {
  try {
    const { runWarmer, startWarmer } = await import('../../shared/aws/invoke-warmer.ts');
    if (waitMs < WAIT_MIN_MS) return await startWarmer(environment.warmerFunctionName(), event);
    // One that cannot run now (all of its containers are busy) is queued by Lambda, and runs when it can.
    const report = await runWarmer(environment.warmerFunctionName(), event, waitMs).catch(async (error) => {
      log.warn('deployment.wait_failed', 'The warm-up could not be waited for; it is started instead.', {
        error,
      });
      await startWarmer(environment.warmerFunctionName(), event);
    });
    if (report === undefined)
      log.info('deployment.went_on', 'The warm-up goes on behind the deployment.', { waitMs });
    else
      log.info('deployment.warmed_up', `The deployment's warm-up ended: ${report.status}.`, {
        status: report.status,
      });
  } catch (error) {
    // A cold cache is slow, a failed deployment is worse; the schedule warms within 30 minutes.
    log.error('deployment.warmup_failed', 'The deployment could not start a warm-up.', { error });
  }
}
