/** The alarms of a stack: one topic that tells people, and each alarm with what it means and where to read on. */
import { Aws, Duration, Validations } from 'aws-cdk-lib';
import {
  Alarm,
  type AlarmProps,
  ComparisonOperator,
  type IMetric,
  MathExpression,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { FilterPattern, MetricFilter } from 'aws-cdk-lib/aws-logs';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';
import type { NodeFunction } from './node-function.ts';

export type AlarmsProps = {
  /** Each must confirm once, by a link that AWS sends. */
  readonly emails?: readonly string[] | undefined;
};

export type AlarmSpec = {
  readonly metric: IMetric;
  /** What happened, in a sentence: it is the mail that wakes somebody. */
  readonly meaning: string;
  /** @default - at this value or above */
  readonly comparison?: ComparisonOperator;
  readonly threshold: number;
  /** How many periods of the metric are looked at. @default 1 */
  readonly periods?: number;
  /** How many of them must be bad. @default - all */
  readonly badPeriods?: number;
  /** What it means when there is no figure at all. @default - nothing is wrong */
  readonly missing?: TreatMissingData;
};

/** Where the entries of the runbook are; an entry is named like its alarm. */
const runbook = 'docs/runbook.md';

export class Alarms extends Construct {
  readonly #action: SnsAction;

  constructor(scope: Construct, id: string, { emails = [] }: AlarmsProps) {
    super(scope, id);
    const topic = new Topic(this, 'Topic', { enforceSSL: true, displayName: 'Prewarm' });
    allowAlarms(topic);
    for (const email of emails) topic.addSubscription(new EmailSubscription(email));
    Validations.of(topic).acknowledge({
      id: 'AwsSolutions-SNS2',
      reason:
        'CloudWatch cannot publish to a topic under the key that AWS manages, and an alarm holds no data.',
    });
    this.#action = new SnsAction(topic);
  }

  /** An alarm named `id`, which has an entry of this name in the runbook. */
  add(id: string, spec: AlarmSpec): Alarm {
    const alarm = new Alarm(this, id, propsOf(id, spec));
    alarm.addAlarmAction(this.#action);
    return alarm;
  }

  /** Goes off when a function writes a line of level `error`, or fails without one. */
  addForErrors(id: string, failing: NodeFunction, meaning: string): Alarm {
    return this.add(id, { metric: countErrors(this, id, failing), threshold: 1, meaning });
  }

  /** Goes off when a function writes a line of level `error`; that it fails is nothing unusual. */
  addForErrorLines(id: string, writing: NodeFunction, meaning: string): Alarm {
    return this.add(id, { metric: countErrorLines(this, id, writing), threshold: 1, meaning });
  }
}

/** A topic with a policy of its own has lost the one by which everything of its account could publish to it. */
function allowAlarms(topic: Topic): void {
  topic.addToResourcePolicy(
    new PolicyStatement({
      principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
      actions: ['sns:Publish'],
      resources: [topic.topicArn],
      conditions: { StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID } },
    }),
  );
}

function propsOf(
  id: string,
  { meaning, comparison, threshold, periods = 1, ...spec }: AlarmSpec,
): AlarmProps {
  return {
    metric: spec.metric,
    alarmDescription: `${meaning} What to do: ${runbook}#${id.toLowerCase()}`,
    comparisonOperator: comparison ?? ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
    threshold,
    evaluationPeriods: periods,
    datapointsToAlarm: spec.badPeriods ?? periods,
    treatMissingData: spec.missing ?? TreatMissingData.NOT_BREACHING,
  };
}

const period = Duration.minutes(5);

function countErrorLines(scope: Construct, id: string, writing: NodeFunction): IMetric {
  return new MetricFilter(scope, `${id}Lines`, {
    logGroup: writing.logGroup,
    filterPattern: FilterPattern.stringValue('$.level', '=', 'error'),
    metricNamespace: 'Prewarm',
    metricName: `${writing.node.path.replaceAll('/', '-')}-errors`,
    metricValue: '1',
  }).metric({ statistic: 'Sum', period });
}

/** Lines and failures of five minutes. One that crashes or is never started writes no line. */
function countErrors(scope: Construct, id: string, failing: NodeFunction): IMetric {
  return new MathExpression({
    expression: 'FILL(lines, 0) + FILL(failures, 0)',
    usingMetrics: {
      lines: countErrorLines(scope, id, failing),
      failures: failing.metricErrors({ period }),
    },
    period,
    label: id,
  });
}
