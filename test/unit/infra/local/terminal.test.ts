/** What is printed while Prewarm starts, on a terminal and into a pipe, and at the end. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createLocalJWKSet, decodeJwt, type JWTPayload, jwtVerify } from 'jose';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { loadOrCreateIdentity } from '../../../../infra/local/identity.ts';
import { readStateDir } from '../../../../infra/local/options.ts';
import { formatClosing, signStartToken } from '../../../../infra/local/summary.ts';
import { createTerminal, untilAborted } from '../../../../infra/local/terminal.ts';

function collect(isTTY: boolean) {
  const written: string[] = [];
  return { isTTY, columns: 60, written, write: (text: string) => written.push(text) };
}

describe('createTerminal', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('writes plain lines into a pipe: what goes on once it takes a second, and its time at the end', async () => {
    const output = collect(false);
    const terminal = createTerminal(output);
    const slow = terminal.run('Synthesis', () => new Promise((resolve) => setTimeout(resolve, 2_500)));
    await vi.advanceTimersByTimeAsync(900);
    expect(output.written).toEqual([]);
    await vi.advanceTimersByTimeAsync(1_600);
    await slow;
    expect(output.written).toEqual(['Synthesis …\n', '✓ Synthesis (2.5 s)\n']);
    terminal.close();
  });

  it('keeps one moving line on a terminal, cut to its width', async () => {
    const output = collect(true);
    const terminal = createTerminal(output);
    const slow = terminal.run('x'.repeat(100), () => new Promise((resolve) => setTimeout(resolve, 250)));
    await vi.advanceTimersByTimeAsync(250);
    await slow;
    const moving = output.written.filter((text) => text.includes('⠋') || text.includes('⠙'));
    expect(moving).toHaveLength(2);
    expect(moving.every((text) => text.startsWith('\r\x1b[2K') && text.length <= 5 + 60)).toBe(true);
    terminal.close();
  });

  it('says nothing of a step that failed: the error itself is told elsewhere', async () => {
    const output = collect(false);
    const terminal = createTerminal(output);
    await expect(terminal.run('Step', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(output.written).toEqual([]);
    terminal.close();
  });
});

describe('untilAborted', () => {
  it('shows neither a line nor the end of a step once the work is to stop', async () => {
    const output = collect(false);
    const stop = new AbortController();
    const terminal = untilAborted(createTerminal(output), stop.signal);
    terminal.line('before');
    const step = terminal.run('Warm-up', async () => stop.abort(new Error('Stopped.')));
    await expect(step).rejects.toThrow('Stopped.');
    terminal.line('after');
    expect(output.written).toEqual(['before\n']);
    terminal.close();
  });
});

describe('formatClosing', () => {
  const closing = {
    url: 'http://127.0.0.1:3000',
    token: 'T',
    topUser: { id: '7', displayName: 'Zoë Núñez' },
    pushgatewayUrl: 'http://127.0.0.1:9',
    functionsLog: '/f',
    stateDir: readStateDir({}),
  };
  const commandOf = (text: string) => text.split('\n').find((line) => line.includes('npm run')) ?? '';

  it('gives three curl lines that each carry the token', () => {
    const text = formatClosing(closing);
    expect(text.split('\n').filter((line) => line.startsWith('curl '))).toEqual([
      "curl -i -H 'Authorization: Bearer T' 'http://127.0.0.1:3000/users/7'",
      "curl -i -H 'Authorization: Bearer T' 'http://127.0.0.1:3000/users/search?q=Zo%C3%AB'",
      "curl -i -H 'Authorization: Bearer T' 'http://127.0.0.1:3000/admin/status'",
    ]);
    expect(text).toContain('http://127.0.0.1:9/metrics');
  });

  it('says how long the token holds, and gives the line that makes a new one', () => {
    const text = formatClosing(closing);
    expect(text).toContain('The token holds for an hour.');
    expect(commandOf(text)).toBe("npm run -s token -- --sub you --scope 'users:read cache:admin'");
  });

  it('gives a line that makes, pasted alone, a token of this stage with the same claims, also of another folder', async () => {
    const stateDir = join(mkdtempSync(join(tmpdir(), 'prewarm-closing-')), "it's here");
    onTestFinished(() => rmSync(dirname(stateDir), { recursive: true }));
    const line = commandOf(formatClosing({ ...closing, stateDir }));
    const printed = execFileSync('sh', ['-c', line], { encoding: 'utf8' }).trim();

    const { jwks } = await loadOrCreateIdentity(stateDir);
    const { payload } = await jwtVerify(printed, createLocalJWKSet({ keys: [...jwks.keys] }));
    const own = decodeJwt(await signStartToken(await loadOrCreateIdentity(stateDir)));
    expect(claimsOf(payload)).toEqual(claimsOf(own));
    expect(lifetimeOf(payload)).toBe(3600);
    expect(lifetimeOf(own)).toBe(3600);
  });
});

const claimsOf = ({ iat, exp, ...claims }: JWTPayload) => claims;
const lifetimeOf = ({ iat = 0, exp = 0 }: JWTPayload) => exp - iat;
