/** The other end of `OrderedProcess`: does what the benchmark sends, answers each order, and ends with the benchmark. */
import type { AnyOrders } from './ordered-process.ts';

export function takeOrders(orders: AnyOrders): void {
  type Message = { readonly id: number; readonly order: string; readonly argument: never };
  process.on('message', ({ id, order, argument }: Message) => {
    const perform = orders[order] as AnyOrders[string];
    perform(argument).then(
      (result) => process.send?.({ id, result }),
      (error: unknown) => process.send?.({ id, error: String((error as Error)?.stack ?? error) }),
    );
  });
  process.on('disconnect', () => process.exit());
}
