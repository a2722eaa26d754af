/** Starts the warmer at a rate, every 30 minutes as the requirement says; what could not start goes to a queue. */
import { Duration } from 'aws-cdk-lib';
import { Rule, RuleTargetInput, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { Construct } from 'constructs';
import type { Warmer } from './warmer.ts';

export type WarmingScheduleProps = { readonly warmer: Warmer; readonly everyMinutes: number };

export class WarmingSchedule extends Construct {
  constructor(scope: Construct, id: string, { warmer, everyMinutes }: WarmingScheduleProps) {
    super(scope, id);
    new Rule(this, 'Rule', {
      description: 'Prewarm: warms the cache',
      schedule: Schedule.rate(Duration.minutes(everyMinutes)),
      targets: [
        new LambdaFunction(warmer.function, {
          event: RuleTargetInput.fromObject({ trigger: 'schedule' }),
          retryAttempts: 0, // the warmer retries itself, and the next run is near
          deadLetterQueue: warmer.deadLetters,
        }),
      ],
    });
  }
}
