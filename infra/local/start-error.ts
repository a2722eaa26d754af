/** An error that the person at the terminal can act on: its message is the one clear line that gets printed, without a stack. */
export class StartError extends Error {
  override readonly name = 'StartError';
}

/** The way out of damaged data. */
export const FRESH_DATA = 'npm start -- --fresh makes new data.';

/** The one line that any error becomes in the terminal: never a stack, never more than a line. */
export function describeError(error: unknown): string {
  const message = error instanceof Error && error.message !== '' ? error.message : String(error);
  return message.split('\n')[0] ?? message;
}
