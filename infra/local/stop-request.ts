/** The wish to stop: Ctrl-C, SIGTERM or SIGHUP once for an orderly end, twice for an immediate one; or npm has gone. */
export type StopRequest = {
  /** Aborted at the first request. */
  readonly signal: AbortSignal;
};

/** Under npm, one Ctrl-C arrives twice: from the terminal and, passed on, from npm. What comes this soon is the same one. */
const SAME_REQUEST_MS = 500;
const PARENT_CHECK_MS = 250;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export function listenForStop(killNow: () => void, env: NodeJS.ProcessEnv = process.env): StopRequest {
  const controller = new AbortController();
  let firstAt = 0;
  const request = (what: string) => {
    firstAt = Date.now();
    controller.abort(new Error(`Stopped: ${what}.`));
  };
  const onSignal = (name: NodeJS.Signals) => {
    if (!controller.signal.aborted) request(name);
    else if (Date.now() - firstAt > SAME_REQUEST_MS) killNow();
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  if (env['npm_lifecycle_event'] !== undefined)
    watchParent(() => request('npm has ended'), controller.signal);
  return { signal: controller.signal };
}

/** npm's shell dies of a SIGTERM without passing it on, and a killed npm passes nothing on: both change our parent. */
function watchParent(onGone: () => void, signal: AbortSignal): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid !== parent) onGone();
  }, PARENT_CHECK_MS);
  timer.unref();
  signal.addEventListener('abort', () => clearInterval(timer), { once: true });
}
