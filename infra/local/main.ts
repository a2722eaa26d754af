/** `npm start`: reads the options, starts everything, waits for the end, stops everything; every failure is one clear line. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { HELP, type Options, readOptions } from './options.ts';
import { startPrewarm } from './prewarm.ts';
import { createParts, type Parts } from './processes/parts.ts';
import { claimRun, type Run } from './processes/run.ts';
import { listenOnce } from './servers/ports.ts';
import { describeError, StartError } from './start-error.ts';
import { listenForStop } from './stop-request.ts';
import { createTerminal, type Terminal, untilAborted } from './terminal.ts';

const EXIT_OK = 0;
const EXIT_FAILED = 1;
/** Ctrl-C reaches the processes of the terminal all at once: the end of a child of ours may be seen before our own signal. */
const SIGNAL_LAG_MS = 50;

// A closed terminal (SIGHUP) takes its output away: that must not end the stop which it asks for.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

const terminal = createTerminal();
process.exit(await main(terminal));

async function main(terminal: Terminal): Promise<number> {
  try {
    const options = readOptions(process.argv.slice(2), process.env);
    if (options.help) process.stdout.write(HELP);
    else await runUntilStopped(options, terminal);
    return EXIT_OK;
  } catch (error) {
    terminal.error(describeError(error));
    return EXIT_FAILED;
  } finally {
    terminal.close();
  }
}

/** Rejects with what went wrong; resolves when a stop was asked for. In both cases everything has stopped. */
async function runUntilStopped(options: Options, terminal: Terminal): Promise<void> {
  const run = await claimRun({ stateDir: options.stateDir, url: `http://127.0.0.1:${options.port}` });
  const parts = createParts();
  const stop = listenForStop(() => killNow(run));
  for (const event of ['uncaughtException', 'unhandledRejection'])
    process.on(event, (error) => crash(parts, run, error));
  try {
    await Promise.race([
      serveUntilCrash({
        options,
        run,
        terminal: untilAborted(terminal, stop.signal),
        parts,
        signal: stop.signal,
      }),
      aborted(stop.signal),
    ]);
  } catch (error) {
    await delay(SIGNAL_LAG_MS);
    if (!stop.signal.aborted) throw error;
  } finally {
    if (stop.signal.aborted) terminal.line('Stopping everything …');
    await parts.stop();
    run.kill(); // what did not stop within its limit
    run.release();
  }
}

async function serveUntilCrash(start: Parameters<typeof startPrewarm>[0]): Promise<never> {
  await assertPortFree(start.options.port);
  const crashed = start.parts.crashed.then((detail) => {
    throw new StartError(detail);
  });
  await Promise.race([startPrewarm(start), crashed]);
  return crashed;
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

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** A fault of the runner itself: the stack goes to a file, the terminal gets the line. */
function crash(parts: Parts, run: Run, error: unknown): void {
  const logFile = join(run.stateDir, 'runner.log');
  appendFileSync(logFile, `${error instanceof Error ? error.stack : String(error)}\n`);
  parts.reportCrash('The runner', `${describeError(error)}; its log: ${logFile}`);
}

function killNow(run: Run): never {
  run.kill();
  process.exit(EXIT_FAILED);
}
