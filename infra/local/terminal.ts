/** What the person at the terminal sees while Prewarm starts: each step with its time, on a TTY one line that keeps moving. */
export type Terminal = {
  /** Shows that the work goes on, and for how long; work that takes under a second is not worth a line elsewhere than on a TTY. */
  run<T>(title: string, work: () => Promise<T>): Promise<T>;
  line(text: string): void;
  error(text: string): void;
  /** Takes the moving line away, for good. */
  close(): void;
};

export type Output = { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number };

type Step = { readonly title: string; readonly startedAt: number; announced: boolean };

const REFRESH_MS = 100;
const ANNOUNCE_AFTER_MS = 1_000;
const CLEAR_LINE = '\r\x1b[2K';
const SPINNER = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];

export function createTerminal(output: Output = process.stdout, errors: Output = process.stderr): Terminal {
  const steps = new Set<Step>();
  const isTty = output.isTTY === true;
  let frame = 0;
  const clear = () => isTty && output.write(CLEAR_LINE);
  const print = (text: string, to: Output = output) => {
    clear();
    to.write(`${text}\n`);
  };
  const refresh = () => {
    if (isTty) output.write(CLEAR_LINE + describeSteps(steps, frame++, output.columns ?? 80));
    else for (const step of takeUnannounced(steps)) print(`${step.title} …`);
  };
  const timer = setInterval(() => steps.size > 0 && refresh(), REFRESH_MS);
  timer.unref();
  return {
    async run(title, work) {
      const step = { title, startedAt: Date.now(), announced: false };
      steps.add(step);
      try {
        const result = await work();
        print(`✓ ${title} (${formatSeconds(Date.now() - step.startedAt)})`);
        return result;
      } finally {
        steps.delete(step);
      }
    },
    line: (text) => print(text),
    error: (text) => print(text, errors),
    close() {
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
    line(text) {
      if (!signal.aborted) terminal.line(text);
    },
  };
}

function takeUnannounced(steps: ReadonlySet<Step>): Step[] {
  const due = [...steps].filter(
    (step) => !step.announced && Date.now() - step.startedAt >= ANNOUNCE_AFTER_MS,
  );
  for (const step of due) step.announced = true;
  return due;
}

/** Cut to the terminal's width: a line that wraps cannot be cleared. */
function describeSteps(steps: ReadonlySet<Step>, frame: number, columns: number): string {
  const parts = [...steps].map((step) => `${step.title} ${formatSeconds(Date.now() - step.startedAt)}`);
  return `${SPINNER[frame % SPINNER.length]} ${parts.join(' · ')}`.slice(0, columns - 1);
}

function formatSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
