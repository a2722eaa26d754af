/** The command line of `npm start`: defaults, precedence, and one clear line for each wrong value. */
import { describe, expect, it } from 'vitest';
import { readOptions } from '../../../../infra/local/options.ts';

describe('readOptions', () => {
  it('serves on port 3000 with two containers of each function when nothing is said', () => {
    const options = readOptions([], {});
    expect(options).toMatchObject({
      port: 3000,
      containersPerFunction: 2,
      fresh: false,
      freeze: false,
      logs: false,
    });
    expect(options.stateDir).toMatch(/\.prewarm\/state$/);
    expect(options.use).toEqual({});
  });

  it('takes --port before PORT before the default', () => {
    expect(readOptions(['--port', '4000'], { PORT: '5000' }).port).toBe(4000);
    expect(readOptions([], { PORT: '5000' }).port).toBe(5000);
    expect(readOptions([], { PORT: '' }).port).toBe(3000);
  });

  it('uses the servers that the environment names, and counts an empty variable as unset', () => {
    const env = { REDIS_URL: 'redis://h:1', DATABASE_URL: '', PUSHGATEWAY_URL: 'http://h:2' };
    expect(readOptions([], env).use).toEqual({ redisUrl: 'redis://h:1', pushgatewayUrl: 'http://h:2' });
  });

  it('resolves PREWARM_STATE_DIR against the current folder', () => {
    expect(readOptions([], { PREWARM_STATE_DIR: 'somewhere' }).stateDir).toBe(`${process.cwd()}/somewhere`);
  });

  it.each([
    [['--port', 'abc'], {}, '--port must be a whole number from 1 to 65535, but is "abc".'],
    [['--port', '0'], {}, '--port must be a whole number from 1 to 65535, but is "0".'],
    [[], { PORT: '99999' }, 'PORT must be a whole number from 1 to 65535, but is "99999".'],
    [['--containers', '17'], {}, '--containers must be a whole number from 1 to 16, but is "17".'],
    [['--containers', '1.5'], {}, '--containers must be a whole number from 1 to 16, but is "1.5".'],
    [['--colour'], {}, "Unknown option '--colour'. npm start -- --help lists the options."],
    [
      ['extra'],
      {},
      "Unexpected argument 'extra'. This command does not take positional arguments. npm start -- --help",
    ],
    [['--port'], {}, "Option '--port <value>' argument missing. npm start -- --help lists the options."],
  ])('says in one line what is wrong with %j %j', (args, env, message) => {
    const first = message.split('. ')[0] ?? message;
    expect(() => readOptions(args, env)).toThrow(first);
    expect(() => readOptions(args, env)).toThrow(/^[^\n]+\.$/);
  });
});
