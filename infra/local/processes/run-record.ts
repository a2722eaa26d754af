/** The record of who runs in a state folder: numbered files, of which the highest counts. */
import { existsSync, linkSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { draftOf } from '../drafts.ts';
import { StartError } from '../start-error.ts';
import type { ProcessIdentity } from './process-identity.ts';

export type RecordedProcess = ProcessIdentity & {
  readonly name: string;
  readonly stopSignal: NodeJS.Signals;
};
export type RunRecord = {
  readonly runner: ProcessIdentity;
  readonly url?: string;
  readonly processes: readonly RecordedProcess[];
};

/** What the highest file says; undefined when nobody ran here, or who did has released the folder. */
export function readRun(stateDir: string): RunRecord | undefined {
  return readTurn(stateDir).record;
}

/** A run's number and what it recorded; the number of the first one is 1. */
export type Turn = { readonly number: number; readonly record: RunRecord | undefined };

/** Whose turn it is, to be followed by `takeTurn`. */
export function readTurn(stateDir: string): Turn {
  const number = findLast(stateDir);
  return { number, record: readNumbered(stateDir, number) };
}

/**
 * Follows a turn whose runner has gone, and answers the own number. Two starts never both get the folder.
 * @throws StartError for the one who lost.
 */
export function takeTurn(stateDir: string, { number: last }: Turn, record: RunRecord): number {
  const own = last + 1;
  // 1. A and B read run 4, whose runner is dead.
  // 2. A links run 5, and owns the folder.
  // 3. B links run 5 too, and fails: link(2) takes no name that exists. B has touched nothing of A's.
  const isLinked = linkRecord(stateDir, own, record);
  // 1. B reads run 4, and waits for the processor.
  // 2. A takes run 5 and ends; C takes run 6 and removes run 5.
  // 3. B links run 5, and sees run 6 here: the highest file is never removed. B takes its own away again.
  if (!isLinked || findLast(stateDir) !== own) {
    if (isLinked) removeNumbered(stateDir, own);
    throw new StartError(
      'Another Prewarm is just starting in the same folder. Wait for it, or stop it first.',
    );
  }
  for (const number of listNumbers(stateDir)) if (number < own) removeNumbered(stateDir, number);
  return own;
}

/** The file appears only complete, and only once; false when it was there. */
function linkRecord(stateDir: string, number: number, record: RunRecord): boolean {
  const draft = writeDraft(stateDir, record);
  try {
    linkSync(draft, pathOf(stateDir, number));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** An owner alone writes its number. */
export function writeTurn(stateDir: string, number: number, record: RunRecord): void {
  renameSync(writeDraft(stateDir, record), pathOf(stateDir, number));
}

/** Gives the folder back: the number stays taken, by nobody. */
export function releaseTurn(stateDir: string, number: number): void {
  if (!existsSync(stateDir)) return; // somebody has removed it all
  renameSync(writeDraft(stateDir, {}), pathOf(stateDir, number));
}

function writeDraft(stateDir: string, record: Partial<RunRecord>): string {
  const draft = draftOf(join(stateDir, 'run'));
  writeFileSync(draft, JSON.stringify(record, undefined, 2), { mode: 0o600 });
  return draft;
}

function findLast(stateDir: string): number {
  return Math.max(0, ...listNumbers(stateDir));
}

function listNumbers(stateDir: string): number[] {
  try {
    return readdirSync(stateDir).flatMap((name) => Number(/^run\.(\d+)\.json$/.exec(name)?.[1] ?? []));
  } catch {
    return []; // no folder, no run
  }
}

function readNumbered(stateDir: string, number: number): RunRecord | undefined {
  try {
    const record = JSON.parse(readFileSync(pathOf(stateDir, number), 'utf8')) as Partial<RunRecord>;
    return record.runner === undefined ? undefined : (record as RunRecord);
  } catch {
    return undefined; // none, or one that cannot be read, which is as good as none
  }
}

function removeNumbered(stateDir: string, number: number): void {
  rmSync(pathOf(stateDir, number), { force: true });
}

function pathOf(stateDir: string, number: number): string {
  return join(stateDir, `run.${number}.json`);
}
