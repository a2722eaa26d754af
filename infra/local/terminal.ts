/** What the person at the terminal sees while Prewarm starts: each step with its time, on a TTY one line that keeps moving. */
export type Terminal = ReturnType<typeof createTerminal>;

type Output = { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number };

const REFRESH_MS = 100;
const ANNOUNCE_AFTER_MS = 1_000;
const CLEAR_LINE = '\r\x1b[2K';
const SPINNER = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏';

export function createTerminal(output: Output = process.stdout, errors: Output = process.stderr) {
  const { isTTY = false } = output;
  const steps = new Map<object, { readonly title: string; readonly startedAt: number }>();
  let frame = 0;
  const clear = () => isTTY && output.write(CLEAR_LINE);
  const print = (text: string, to: Output = output) => {
    clear();
    to.write(`${text}\n`);
  };
  const timer = setInterval(() => {
    if (!isTTY || steps.size === 0) return;
    const parts = [...steps.values()].map(({ title, startedAt }) => `${title} ${secondsSince(startedAt)}`);
    const line = `${SPINNER[frame++ % SPINNER.length]} ${parts.join(' · ')}`;
    output.write(CLEAR_LINE + line.slice(0, (output.columns ?? 80) - 1)); // a line that wraps cannot be cleared
  }, REFRESH_MS).unref();
  return {
    /** Shows that the work goes on, and for how long; work that takes under a second is not worth a line elsewhere than on a TTY. */
    async run<T>(title: string, work: () => Promise<T>): Promise<T> {
      const startedAt = Date.now();
      const announcement = setTimeout(() => isTTY || print(`${title} …`), ANNOUNCE_AFTER_MS);
      steps.set(announcement, { title, startedAt });
      try {
        const result = await work();
        print(`✓ ${title} (${secondsSince(startedAt)})`);
        return result;
      } finally {
        clearTimeout(announcement);
        steps.delete(announcement);
      }
    },
    line: (text: string): void => print(text),
    error: (text: string): void => print(text, errors),
    /** Takes the moving line away, for good. */
    close(): void {
      clearInterval(timer);
      clear();
    },
  };
}

/** The terminal of work that `signal` ends: what that work still comes to is no news any more, and is not shown. */
export function untilAborted(terminal: Terminal, signal: AbortSignal): Terminal {
  return {
    ...terminal,
    run: (title, work) =>
      terminal.run(title, async () => {
        const result = await work();
        signal.throwIfAborted();
        return result;
      }),
    line: (text) => void (signal.aborted || terminal.line(text)),
  };
}

function secondsSince(startedAt: number): string {
  return `${((Date.now() - startedAt) / 1000).toFixed(1)} s`;
}
