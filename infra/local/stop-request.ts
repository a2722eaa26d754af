/** The wish to stop: Ctrl-C, SIGTERM or SIGHUP once for an orderly end, twice for an immediate one; or npm has gone. */

/** Under npm, one Ctrl-C arrives twice: from the terminal and, passed on, from npm. What comes this soon is the same one. */
const SAME_REQUEST_MS = 500;
const PARENT_CHECK_MS = 250;

/** Why it ends, if somebody asked for it. */
export class Stopped extends Error {
  override readonly name = 'Stopped';
}

/** Aborted by the first request; whoever has another reason to end it all may abort it too. */
export function listenForStop(killNow: () => void, env: NodeJS.ProcessEnv = process.env): AbortController {
  const stop = new AbortController();
  let requestedAt: number | undefined;
  const request = (what: string) => {
    requestedAt ??= Date.now();
    stop.abort(new Stopped(`Stopped: ${what}.`));
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => {
      if (requestedAt === undefined) request(name);
      else if (Date.now() - requestedAt > SAME_REQUEST_MS) killNow();
    });
  if (env['npm_lifecycle_event'] !== undefined) watchParent(() => request('npm has ended'), stop.signal);
  return stop;
}

/** npm's shell dies of a SIGTERM without passing it on, and a killed npm passes nothing on: both change our parent. */
function watchParent(onGone: () => void, signal: AbortSignal): void {
  const parent = process.ppid;
  const timer = setInterval(() => process.ppid !== parent && onGone(), PARENT_CHECK_MS).unref();
  signal.addEventListener('abort', () => clearInterval(timer));
}
