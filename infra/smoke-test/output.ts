/** What the smoke test shows: lines in a terminal, annotations in a workflow of GitHub, and all lines in its summary. */
import { appendFileSync } from 'node:fs';
import type { Finding } from './checks.ts';

export class SmokeOutput {
  #shown = '';
  readonly #env: NodeJS.ProcessEnv;
  readonly #terminal: { write(text: string): unknown };

  constructor(env: NodeJS.ProcessEnv, terminal: { write(text: string): unknown } = process.stdout) {
    this.#env = env;
    this.#terminal = terminal;
  }

  show(text: string): void {
    this.#shown += `${text}\n`;
    this.#terminal.write(`${text}\n`);
  }

  showFinding({ text, warning }: Finding, durationMs: number): void {
    this.show(`${warning === undefined ? '✓' : '!'} ${text} (${Math.round(durationMs)} ms)`);
    if (warning !== undefined) this.#explain('warning', text, warning);
  }

  showFailure(message: string, next: string): void {
    this.show(`✗ ${message}`);
    this.#explain('error', message, next);
  }

  /** In a job of GitHub: what was shown, as a page of its summary. */
  writeSummary(title: string): void {
    const { GITHUB_STEP_SUMMARY: file } = this.#env;
    if (file) appendFileSync(file, `## ${title}\n\n${this.#shown.replaceAll(/^(?=.)/gm, '    ')}\n`);
  }

  /** For a workflow as a command too, which is one line. */
  #explain(level: 'warning' | 'error', text: string, next: string): void {
    this.show(`  ${next}`);
    if (this.#env['GITHUB_ACTIONS'] !== 'true') return;
    const data = `${text}. ${next}`.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
    this.#terminal.write(`::${level} title=Smoke test::${data}\n`);
  }
}
