/** Closes what a test or a test file has opened when it is finished, so that whoever opens something need not think of it. */
import { onTestFinished, TestRunner } from 'vitest';

type Close = () => unknown;
/** What is opened once and closed once. */
type Closable =
  | { close(): unknown }
  | { end(): unknown }
  | { stop(): unknown }
  | { disconnect(): void }
  | { dispose(): Promise<void> };

let ofFile: Close[] = [];

/**
 * When the test that is under way is finished; in a hook of several tests, or in one of several tests at the same time, of
 * which nobody knows whose it is, after the last test of the file. What was opened last is closed first.
 */
export function atEnd(close: Close): void {
  const test = TestRunner.getCurrentTest();
  if (test === undefined || test.concurrent === true) atFileEnd(close);
  else onTestFinished(async () => void (await close()));
}

export function atFileEnd(close: Close): void {
  ofFile.push(close);
}

/** Hands on what was opened, and closes it at the end. */
export function closedAtEnd<Opened extends Closable>(opened: Opened): Opened {
  atEnd(() => {
    if ('close' in opened) return opened.close();
    if ('dispose' in opened) return opened.dispose();
    if ('stop' in opened) return opened.stop();
    return 'disconnect' in opened ? opened.disconnect() : opened.end();
  });
  return opened;
}

/** After the last test of a file. Closes everything, also when something cannot be closed. */
export async function endFile(): Promise<void> {
  const [closing, failures] = [ofFile.reverse(), [] as unknown[]];
  ofFile = [];
  for (const close of closing) await (async () => close())().catch((error) => failures.push(error));
  if (failures.length > 0) throw new AggregateError(failures, 'Not everything could be closed.');
}
