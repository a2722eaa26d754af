/** `npm start`: reads the options, starts everything, waits for the end, stops everything; every failure is one clear line. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { HELP, type Options, readOptions } from './options.ts';
import { startPrewarm } from './prewarm.ts';
import { createParts } from './processes/parts.ts';
import { claimRun } from './processes/run.ts';
import { listenOnce } from './servers/ports.ts';
import { describeError, StartError } from './start-error.ts';
import { listenForStop, Stopped } from './stop-request.ts';
import { createTerminal, type Terminal, untilAborted } from './terminal.ts';

/** A shutdown reaches all processes at once: the end of a child of ours may be seen before our own signal. */
const SIGNAL_LAG_MS = 50;

// A closed terminal (SIGHUP) takes its output away: that must not end the stop which it asks for.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

const terminal = createTerminal();
process.exit(await main(terminal));

async function main(terminal: Terminal): Promise<0 | 1> {
  try {
    const options = readOptions(process.argv.slice(2), process.env);
    if (options.help) process.stdout.write(HELP);
    else await runUntilStopped(options, terminal);
    return 0;
  } catch (error) {
    terminal.error(describeError(error));
    return 1;
  } finally {
    terminal.close();
  }
}

/** Rejects with what went wrong; resolves when a stop was asked for. In both cases everything has stopped. */
async function runUntilStopped(options: Options, terminal: Terminal): Promise<void> {
  const run = await claimRun({ stateDir: options.stateDir, url: `http://127.0.0.1:${options.port}` });
  const stop = listenForStop(() => {
    run.kill();
    process.exit(1);
  });
  const end = (error: unknown) => void setTimeout(() => stop.abort(error), SIGNAL_LAG_MS);
  const reportCrash = (part: string, detail: string) =>
    end(new StartError(`${part} stopped unexpectedly: ${detail}`));
  for (const event of ['uncaughtException', 'unhandledRejection'])
    process.on(event, (error) => reportCrash('The runner', logFault(run.stateDir, error)));
  const ended = new Promise((resolve) => stop.signal.addEventListener('abort', resolve));
  const parts = createParts();
  const shown = untilAborted(terminal, stop.signal);
  assertPortFree(options.port)
    .then(() => startPrewarm({ options, run, terminal: shown, parts, reportCrash, signal: stop.signal }))
    .catch(end);
  await ended;
  const reason: unknown = stop.signal.reason;
  if (reason instanceof Stopped) terminal.line('Stopping everything …');
  await parts.stop();
  run.kill(); // what did not stop within its limit
  run.release();
  if (!(reason instanceof Stopped)) throw reason;
}

async function assertPortFree(port: number): Promise<void> {
  try {
    await listenOnce(port);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'EADDRINUSE' ? 'is taken by another program' : `cannot be used (${code})`;
    throw new StartError(
      `Port ${port} ${why}. Choose another one: npm start -- --port ${port === 65_535 ? 3001 : port + 1}`,
    );
  }
}

/** A fault of the runner itself: the stack goes to a file, the terminal gets the line. */
function logFault(stateDir: string, error: unknown): string {
  const logFile = join(stateDir, 'runner.log');
  appendFileSync(logFile, `${error instanceof Error ? error.stack : String(error)}\n`);
  return `${describeError(error)}; its log: ${logFile}`;
}
