/** The peers that failed in a case: each gets a line in its table, and the run goes on. Prewarm and the floors must not fail, for without them no figure means anything. */

const WHY_LENGTH_MAX = 100;
/** Among what a process printed before it ended. */
const ERROR_LINE = /^(\w+ )?\w*Error\b/;

export class Failures<Name extends string> {
  readonly #isPeer: (name: Name) => boolean;
  /** By the label that the table shows. */
  readonly #whys = new Map<string, string>();

  constructor(isPeer: (name: Name) => boolean) {
    this.#isPeer = isPeer;
  }

  /** What `work` answers; undefined when it is a peer's and fails. Whoever is no peer throws. */
  async spare<T>(name: Name, work: () => Promise<T>, label: string = name): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!this.#isPeer(name)) throw error;
      this.#whys.set(label, whyOf(error, label));
      return undefined;
    }
  }

  has(label: string): boolean {
    return this.#whys.has(label);
  }

  /** The line of the table: `cells`, or why there are none. */
  row(label: string, cells: () => readonly string[]): string[] {
    const why = this.#whys.get(label);
    return why === undefined ? [label, ...cells()] : [label, `failed: ${why}`];
  }

  /** The lines of all who failed. */
  rows(): string[][] {
    return [...this.#whys.keys()].map((label) => this.row(label, () => []));
  }
}

/** In one line. */
function whyOf(error: unknown, label: string): string {
  const message = String((error as Error)?.message || error);
  const [first = '', ...others] = message.replace(`${label}: `, '').split('\n');
  const told = others.map((line) => line.trim()).find((line) => ERROR_LINE.test(line));
  const why = told === undefined ? first : `${first}: ${told}`;
  return why.length <= WHY_LENGTH_MAX ? why : `${why.slice(0, WHY_LENGTH_MAX - 1)}…`;
}
