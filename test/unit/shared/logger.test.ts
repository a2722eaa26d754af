/** Log lines: one JSON object each, with the traceId, and nothing that does not belong there. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DatabaseUnavailableError, InvalidInputError } from '../../../shared/errors.ts';
import { log, setLogLevel, withTraceId } from '../../../shared/logger.ts';

const write = vi.spyOn(process.stdout, 'write');

beforeEach(() => {
  write.mockReturnValue(true);
  setLogLevel('info');
});
afterEach(() => {
  write.mockReset();
  setLogLevel('silent');
});

const lastLine = () => JSON.parse(String(write.mock.lastCall?.[0]));

describe('a log line', () => {
  it('is one JSON object that carries the current traceId', () => {
    withTraceId('trace-1', () => log.info('test.happened', 'Something\nhappened.', { count: 2 }));
    expect(String(write.mock.lastCall?.[0])).toMatch(/^[^\n]*\n$/);
    expect(lastLine()).toMatchObject({
      level: 'info',
      event: 'test.happened',
      message: 'Something\nhappened.',
      traceId: 'trace-1',
      count: 2,
    });
  });

  it('below the level is not written', () => {
    log.debug('test.detail', 'Detail.');
    expect(write).not.toHaveBeenCalled();
  });

  it('tells an error with its facts and its causes', () => {
    const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    log.warn('test.failed', 'Failed.', {
      error: new DatabaseUnavailableError('Postgres did not answer.', { cause }),
    });
    expect(lastLine().error).toMatchObject({
      name: 'DatabaseUnavailableError',
      cause: { message: 'connect ECONNREFUSED', code: 'ECONNREFUSED' },
    });
    log.warn('test.failed', 'Failed.', { error: new InvalidInputError('id', 'an integer') });
    expect(lastLine().error).toMatchObject({ field: 'id', expected: 'an integer' });
  });

  it("leaves out what a driver hangs on its errors: rows, clients, a user's data", () => {
    const error = Object.assign(new Error('duplicate key'), {
      code: '23505',
      detail: 'Key (username)=(somebody) already exists.',
      client: { password: 'secret' },
    });
    log.error('test.failed', 'Failed.', { error });
    expect(lastLine().error).toMatchObject({ code: '23505' });
    expect(String(write.mock.lastCall?.[0])).not.toMatch(/somebody|secret/);
  });

  it('survives an error that causes itself', () => {
    const error = new Error('loop');
    error.cause = error;
    log.error('test.failed', 'Failed.', { error });
    expect(lastLine().error.message).toBe('loop');
  });
});
