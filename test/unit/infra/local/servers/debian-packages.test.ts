/** What is taken from the output of apt-cache: the packages that may hold a program's libraries, and no others. */
import { describe, expect, it } from 'vitest';
import { parseDependencies } from '../../../../../infra/local/servers/debian-packages.ts';

describe('parseDependencies', () => {
  it('keeps libraries and tools, and leaves the C library and the system to the machine', () => {
    const output = `redis-tools
  Depends: adduser
  Depends: libatomic1
  Depends: libc6
  Depends: libjemalloc2
  Depends: liblzf1
  Depends: libssl3
  Depends: libsystemd0
    libelogind0
redis-server
  PreDepends: init-system-helpers
  Depends: lsb-base
    sysvinit-utils
  Depends: redis-tools
`;
    expect(parseDependencies(output)).toEqual([
      'libatomic1',
      'libjemalloc2',
      'liblzf1',
      'libssl3',
      'libsystemd0',
      'redis-tools',
    ]);
  });

  it('takes alternatives, and each package once', () => {
    const output =
      'a\n |Depends: liblua5.1-0\n  Depends: libluajit-5.1-2\n  Depends: liblua5.1-0\n  Depends: <libvirtual>\n';
    expect(parseDependencies(output)).toEqual(['liblua5.1-0', 'libluajit-5.1-2']);
  });

  it('finds nothing in nothing', () => {
    expect(parseDependencies('')).toEqual([]);
  });
});
