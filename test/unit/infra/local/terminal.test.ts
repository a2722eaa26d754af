/** What is printed while Prewarm starts, on a terminal and into a pipe, and at the end. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { formatClosing } from '../../../../infra/local/summary.ts';
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
  it('gives three curl lines that each carry the token', () => {
    const topUser = { id: '7', displayName: 'Zoë Núñez' };
    const text = formatClosing({
      url: 'http://127.0.0.1:3000',
      token: 'T',
      topUser,
      pushgatewayUrl: 'http://127.0.0.1:9',
      functionsLog: '/f',
    });
    expect(text.split('\n').filter((line) => line.startsWith('curl '))).toEqual([
      "curl -i -H 'Authorization: Bearer T' 'http://127.0.0.1:3000/users/7'",
      "curl -i -H 'Authorization: Bearer T' 'http://127.0.0.1:3000/users/search?q=Zo%C3%AB'",
      "curl -i -H 'Authorization: Bearer T' 'http://127.0.0.1:3000/admin/status'",
    ]);
    expect(text).toContain('http://127.0.0.1:9/metrics');
  });
});
