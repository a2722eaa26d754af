/** A process that stands for one start of the warmer function, whose handler it runs with what Lambda would give it. */
import type { Context } from 'aws-lambda';
import type { Trigger, WarmupReport } from '../../../shared/warming/report.ts';
import { offer } from '../../support/programs/offer.ts';
import { countStatements } from '../processes/count-statements.ts';

/** `statements`: sent to Postgres. */
export type WarmerResult = { readonly report: WarmupReport; readonly statements: number };

const TIME_LEFT_MS = 60_000;

/** Not at the pool, because a warm-up may use more of the driver than reads do. */
const statements = countStatements();

async function warm(trigger: Trigger): Promise<WarmerResult> {
  const { handler } = await import('../../../functions/warmer/handler.ts');
  const context: Partial<Context> = {
    awsRequestId: crypto.randomUUID(),
    getRemainingTimeInMillis: () => TIME_LEFT_MS,
  };
  const report = await handler({ trigger }, context as Context);
  return { report, statements: statements() };
}

const orders = { warm };
export type WarmerOrders = typeof orders;

offer(orders);
