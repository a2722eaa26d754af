/** The inner end of a child process that does what it is told: offers what it can do, and answers each call. */

// biome-ignore lint/suspicious/noExplicitAny: each action has arguments of its own, so no other type is one of all.
export type Actions = Readonly<Record<string, (...args: any[]) => unknown>>;
/** Nobody's action is `undefined`: that is answered when everything is open. */
export type Call = { readonly id: number; readonly action?: string; readonly args: readonly unknown[] };
export type Answer = { readonly id: number; readonly result?: unknown; readonly error?: string };

/** Call it when everything is open. The process ends with the one that started it. */
export function offer(actions: Actions): void {
  process.on('disconnect', () => process.exit(0));
  process.on('message', (call: Call) => void perform(actions, call));
}

async function perform(actions: Actions, { id, action = '', args }: Call): Promise<void> {
  try {
    answer({ id, result: await actions[action]?.(...args) });
  } catch (error) {
    answer({ id, error: String((error as Error | undefined)?.stack ?? error) });
  }
}

function answer(answered: Answer): void {
  process.send?.(answered, () => {}); // a parent that has gone needs no answer
}
