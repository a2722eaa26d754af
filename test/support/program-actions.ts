/** The inner end of a test's program: does what the test asks for, and answers. */

// biome-ignore lint/suspicious/noExplicitAny: each action has arguments of its own, so no other type is one of all.
export type Actions = Readonly<Record<string, (...args: any[]) => unknown>>;
export type Arguments<Offered extends Actions, Action extends keyof Offered> = Parameters<Offered[Action]>;
export type Result<Offered extends Actions, Action extends keyof Offered> = Awaited<
  ReturnType<Offered[Action]>
>;
export type Request = { readonly id: number; readonly action: string; readonly args: readonly unknown[] };
/** The first answer, with the id 0, says that everything is open. */
export type Answer = { readonly id: number; readonly result?: unknown; readonly error?: string };

/** Call it when everything is open. */
export function offer(actions: Actions): void {
  process.on('disconnect', () => process.exit(0));
  process.on('message', (request: Request) => void perform(actions, request));
  send({ id: 0 });
}

async function perform(actions: Actions, { id, action, args }: Request): Promise<void> {
  try {
    send({ id, result: await actions[action]?.(...args) });
  } catch (error) {
    send({ id, error: String(error) });
  }
}

function send(answer: Answer): void {
  process.send?.(answer, () => {}); // a parent that has gone needs no answer
}
