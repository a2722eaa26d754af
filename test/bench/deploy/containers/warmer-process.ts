/** A process that stands for one start of the warmer function, whose handler it runs with what Lambda would give it. */
import type { Context } from 'aws-lambda';
import pg from 'pg';
import type { Trigger } from '../../../../shared/warming/report.ts';
import { takeOrders } from '../../processes/take-orders.ts';
import type { WarmerOrders, WarmerResult } from './orders.ts';

const TIME_LEFT_MS = 60_000;

let statements = 0;
/** At the driver, because a warm-up may use more of it than reads do. */
const driver = pg.Client.prototype as { query(...statement: unknown[]): unknown };
const { query } = driver;
driver.query = function (...statement) {
  statements++;
  return query.apply(this, statement);
};

async function warm(trigger: Trigger): Promise<WarmerResult> {
  const { handler } = await import('../../../../functions/warmer/handler.ts');
  const context: Partial<Context> = {
    awsRequestId: crypto.randomUUID(),
    getRemainingTimeInMillis: () => TIME_LEFT_MS,
  };
  const report = await handler({ trigger }, context as Context);
  return { report, statements };
}

takeOrders({ warm, close: async () => undefined } satisfies WarmerOrders);
