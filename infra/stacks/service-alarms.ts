/** What of the service wakes somebody, and what moves traffic back to the code before. */
import { Duration } from 'aws-cdk-lib';
import {
  type Alarm,
  ComparisonOperator,
  MathExpression,
  Metric,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import type { Alarms } from '../constructs/alarms.ts';
import type { NodeFunction } from '../constructs/node-function.ts';
import { apiStageName } from '../constructs/rest-api.ts';
import type { Warmer } from '../constructs/warmer.ts';

const minute = Duration.minutes(1);

/** A cold cache is what the service is there to prevent: each way in which warming can fail has its alarm. */
export function alarmOnWarming(
  alarms: Alarms,
  { warmer, hook, everyMinutes }: { warmer: Warmer; hook: NodeFunction; everyMinutes: number },
): void {
  alarms.addForErrors('DeploymentHookFailed', hook, 'A deployment could not start its warm-up.');
  alarms.addForErrors('WarmUpFailed', warmer.function, 'A warm-up failed.');
  alarms.add('WarmUpNotStarted', {
    metric: warmer.deadLetters.metricApproximateNumberOfMessagesVisible({ period: minute }),
    threshold: 1,
    meaning: 'A warm-up could not be started; its event is in the dead-letter queue.',
  });
  alarms.add('WarmUpMissing', {
    metric: warmer.function.metricInvocations({ period: Duration.minutes(2 * everyMinutes) }),
    comparison: ComparisonOperator.LESS_THAN_THRESHOLD,
    threshold: 1,
    missing: TreatMissingData.BREACHING,
    meaning: 'No warm-up was started for two intervals of the schedule.',
  });
}

/** A token that is refused ends the authorizer with an error, so only its log tells the two apart. */
export function alarmOnIssuer(alarms: Alarms, authorizer: NodeFunction): void {
  const meaning = "The issuer's keys cannot be had: callers whose key is not known yet get 500.";
  alarms.addForErrorLines('IssuerUnavailable', authorizer, meaning);
}

/** The API's failures, which stop a rollout as well. `apiName` is a text, because the API itself waits for the rollout. */
export function alarmOnApi(
  alarms: Alarms,
  apiName: string,
  { reader, searcher }: { reader: NodeFunction; searcher: NodeFunction },
): readonly Alarm[] {
  const errorsOf = (failing: NodeFunction) => failing.metricErrors({ period: minute });
  alarms.add('ReadsThrottled', {
    metric: reader.metricThrottles({ period: minute }),
    threshold: 1,
    periods: 5,
    badPeriods: 3,
    meaning: 'Reads find no free container: the reserved concurrency is used up.',
  });
  return [
    alarms.add('ApiFails', {
      metric: new Metric({
        namespace: 'AWS/ApiGateway',
        metricName: '5XXError',
        dimensionsMap: { ApiName: apiName, Stage: apiStageName },
        statistic: 'Average',
        period: minute,
      }),
      threshold: 0.05,
      periods: 3,
      badPeriods: 2,
      meaning: 'Five percent of the answers are server errors.',
    }),
    alarms.add('ReadsCrash', {
      metric: new MathExpression({
        expression: 'FILL(reads, 0) + FILL(searches, 0)',
        usingMetrics: { reads: errorsOf(reader), searches: errorsOf(searcher) },
        period: minute,
        label: 'ReadsCrash',
      }),
      threshold: 3,
      periods: 2,
      meaning: 'The read function, or the search function, ends without an answer.',
    }),
  ];
}
